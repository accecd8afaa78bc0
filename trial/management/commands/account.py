"""`manage.py account ...`: the people of the side it runs on."""

import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import date
from getpass import getpass, getuser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from enrolment.access_review import as_csv, who_has_access
from enrolment.people import Days, Person, add_to_centre, end_study_role, give_study_role
from iwrs.accounts.factors import reset_factors
from iwrs.accounts.models import SITE_ROLES, UNBLINDED_ROLES, Role, StudyRole, User
from iwrs.accounts.services import end_account, password_link
from iwrs.actors import Actor
from iwrs.audit_trail.access import record_look
from iwrs.models import Study
from iwrs.problems import Problem


class Command(BaseCommand):
    help = "Make an account with a role, give a further role, or end an account."

    def add_arguments(self, parser: ArgumentParser) -> None:
        does = parser.add_subparsers(dest="does", required=True)
        create = does.add_parser("create", help="give a role, and an account if there is none")
        create.add_argument("--email", required=True)
        create.add_argument("--name", required=True)
        create.add_argument("--study", required=True, help="the study's code")
        create.add_argument("--role", required=True, choices=Role.values)
        create.add_argument("--centre", help="number of the centre, for a role at one centre")
        create.add_argument("--since", type=_day, metavar="DAY", help="first day; else today")
        create.add_argument(
            "--until", type=_day, metavar="DAY", help="last day; else until somebody ends the role"
        )
        password = create.add_mutually_exclusive_group()
        password.add_argument(
            "--password-stdin",
            action="store_true",
            help="read the password from the first line of standard input",
        )
        password.add_argument(
            "--invite",
            action="store_true",
            help="give no password: the person sets one by the link in a letter",
        )
        link = does.add_parser("link", help="make a link to set the password, valid for 3 days")
        link.add_argument("--email", required=True)
        reset = does.add_parser("reset-factors", help="take away second factors that were lost")
        reset.add_argument("--email", required=True)
        reset.add_argument("--why", required=True, help="how you know that it is this person")
        listing = does.add_parser("list", help="accounts and roles of a study, as CSV")
        listing.add_argument("--study", required=True, help="the study's code")
        role = does.add_parser("end-role", help="end a role in a whole study")
        role.add_argument("--email", required=True)
        role.add_argument("--study", required=True, help="the study's code")
        role.add_argument("--role", required=True, choices=Role.values)
        role.add_argument("--why", required=True)
        role.add_argument("--last-day", type=_day, metavar="DAY", help="else it ends at once")
        end = does.add_parser("end", help="end an account and its sessions at once")
        end.add_argument("--email", required=True)
        end.add_argument("--why", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.SIDE not in {"blinded", "unblinded"}:
            raise CommandError(
                "Set IWRS_SIDE=blinded or IWRS_SIDE=unblinded: accounts have a side."
            )
        try:
            getattr(self, f"_{options['does'].replace('-', '_')}")(options)
        except Problem as problem:
            raise CommandError(str(problem)) from None

    def _create(self, options: dict[str, Any]) -> None:
        role, study = Role(options["role"]), _study(options["study"])
        _require_this_side(role)
        centre = None
        if options["centre"] is not None:
            centre = study.centres.filter(number=options["centre"]).first()
            if centre is None:
                raise CommandError(f"There is no centre {options['centre']} in {study.code}.")
        elif role in SITE_ROLES:
            raise CommandError(f"{role.label} is a role at one centre. Give --centre NUMBER.")
        known = User.objects.filter(email__iexact=options["email"].strip(), is_active=True).first()
        asks = not known and not options["invite"]
        password = _password(from_stdin=options["password_stdin"]) if asks else None
        person = Person(options["email"], options["name"], password)
        days = Days(options["since"], options["until"])
        if centre is not None:
            held: Any = add_to_centre(centre, person, role, by=_by(), days=days)
        else:
            held = give_study_role(study, person, role, by=_by(), days=days)
        if known:
            self.stdout.write(f"{known} has an account already; its password stays.")
        until = f" until {held.until}" if held.until else ""
        self.stdout.write(f"{held}, since {held.since}{until}.")
        if held.invited:
            self.stdout.write(f"A letter with a link to set the password goes to {held.user}.")

    def _link(self, options: dict[str, Any]) -> None:
        user = _account(options["email"])
        if not user.is_active:
            raise CommandError("This account was ended. `account create` opens it again.")
        self.stdout.write(settings.PORTAL_URL.rstrip("/") + password_link(user))

    def _reset_factors(self, options: dict[str, Any]) -> None:
        user = _account(options["email"])
        taken = reset_factors(user, by=_by(), why=options["why"])
        self.stdout.write(f"{taken} second factors of {user} are taken away; sessions are ended.")

    def _list(self, options: dict[str, Any]) -> None:
        study = _study(options["study"])
        page = "the list of who has access"
        record_look(_by(), page=page, study_code=study.code, copied=True)
        self.stdout.write(as_csv(who_has_access(study)), ending="")

    def _end_role(self, options: dict[str, Any]) -> None:
        user, study = _account(options["email"]), _study(options["study"])
        held = StudyRole.objects.filter(user=user, study_code=study.code, role=options["role"])
        if (role := held.first()) is None:
            raise CommandError(f"{user} does not hold this role in the whole of {study.code}.")
        last_day = options["last_day"]
        ended = end_study_role(role, by=_by(), why=options["why"], last_day=last_day)
        self.stdout.write(f"{ended}, until {ended.until}.")

    def _end(self, options: dict[str, Any]) -> None:
        user = _account(options["email"])
        ended = end_account(user, by=_by(), why=options["why"])
        self.stdout.write(f"The account of {user} is ended, and {ended} of its sessions.")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text} is not a day. Write it as 2026-05-31.") from None


def _require_this_side(role: Role) -> None:
    side = "unblinded" if role in UNBLINDED_ROLES else "blinded"
    if side != settings.SIDE:
        raise CommandError(
            f"{role.label} is a role of the {side} side. Set IWRS_SIDE={side} and the {side} "
            "DATABASE_URL."
        )


def _study(code: str) -> Study:
    study = Study.objects.filter(code=code).first()
    if study is None:
        raise CommandError(f"There is no study with the code {code}.")
    return study


def _account(email: str) -> User:
    user = User.objects.filter(email__iexact=email.strip()).first()
    if user is None:
        raise CommandError(f"There is no account {email} on the {settings.SIDE} side.")
    return user


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass("Password: ")
    if getpass("The same password again: ") != password:
        raise CommandError("The two passwords are not the same. Nothing was saved.")
    return password


def _by() -> Actor:
    return Actor(label=f"Command line ({getuser()})")
