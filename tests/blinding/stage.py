"""A study to play twice, its people and systems, and the tape of blinded acts that is played.

The tape is a whole simulated trial whose nature ignores the arms, followed by what goes wrong in
one: cover that runs out, kits that are not there, code breaks beyond the budget.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pyrage
from django.core import mail
from django.test import Client
from django.urls import reverse

from assessments.services import record_read
from assessments.tasks import sweep_studies
from dispensing.models import Kit
from dispensing.services import request_supply
from dispensing.tasks import request_daily_supply
from dispensing.unblinded.supply import work_supply_runs
from dsmb.services import cut_data, request_extract
from dsmb.tasks import watch_studies
from dsmb.unblinded import paper_places
from dsmb.unblinded.packs import work_packs
from dsmb.unblinded.paper import work_papers
from dsmb.unblinded.services import register_recipient_key, work_extracts
from enrolment.models import Centre, Subject
from enrolment.people import Person, add_to_centre
from enrolment.services import activate_centre
from enrolment.tasks import remind_of_access_reviews
from iwrs import clock, outbox
from iwrs.accounts.events import Caller
from iwrs.accounts.factors import reset_factors
from iwrs.accounts.links import ask_for_link
from iwrs.accounts.models import SITE_ROLES, UNBLINDED_ROLES, Role, User
from iwrs.actors import SYSTEM
from iwrs.models import Study
from iwrs.problems import Problem
from randomization.models import CodeBreakRequest
from randomization.unblinded.notices import work_notices
from tests import factories as make
from tests.api.client import Edc, screening_body
from tests.blinding import allowed
from tests.blinding.received import Log
from tests.blinding.stage_rules import play_rules, read_open_report
from tests.dispensing.depots import fill_depot
from tests.hostile.walk import Form, forms_at
from tests.roles import as_unblinded
from tests.signing import sign_page
from trial.nature import Nature
from trial.replay.player import Player, add_centres
from trial.replay.source import simulated_trial
from trial.replay.tape import Act, Step

BEFORE = make.at(2009, 5, 4)
NEWCOMER = "newcomer@example.org"
EXPIRIES = [date(2010, 12, 31), date(2011, 12, 31), date(2012, 12, 31)]


@dataclass(frozen=True)
class Size:
    """How large a play is. `nature` is the seed of the courses, which ignore the arms."""

    subjects: int
    centres: int
    kits: int
    nature: int = 7

    def tape(self, study: Study) -> Nature:
        return simulated_trial(
            study.definition,
            list_seed=b"",
            nature_seed=self.nature,
            subjects=self.subjects,
            centres=self.centres,
            arm_matters=False,
        )


SMALL = Size(subjects=20, centres=4, kits=1500)


@dataclass
class Cast:
    """The study before its first subject, with a person of each blinded role and one EDC system."""

    size: Size
    study: Study
    people: list[User]
    edc: Edc

    def person(self, role: Role) -> User:
        return next(each for each in self.people if each.email.startswith(role))


def a_cast(size: Size = SMALL) -> Cast:
    """Commit the study; call it with the fixture `committed_db`."""
    with clock.at(BEFORE):
        study = make.a_study(length=max(60, size.subjects))
        fill_depot(study, kits=size.kits, expiries=EXPIRIES)
        add_centres(size.tape(study), study)
        key = str(pyrage.x25519.Identity.generate().to_public())
        with as_unblinded():
            register_recipient_key(study, "dsmb", key, by=make.TESTER)
            make.a_holder(study, key)
    first, *others = Centre.objects.filter(study=study).order_by("number")
    people = [make.a_user(Role.SITE_COORDINATOR, centre=each) for each in others]
    for role in Role:
        if role in SITE_ROLES | {Role.MONITOR}:
            people.append(make.a_user(role, centre=first))
        elif role not in UNBLINDED_ROLES:
            people.append(make.a_user(role, study=study))
    User.objects.create_user(NEWCOMER, name="Newcomer")  # without a password, until invited
    return Cast(size, study, people, Edc(study))


def open_centres(study: Study) -> None:
    """Activate every centre, as of the present business day."""
    for centre in Centre.objects.filter(study=study).order_by("number"):
        make.a_drill(centre)
        activate_centre(centre, by=make.TESTER, ethics_approved_on=clock.today())


@dataclass
class Played:
    """What sites and systems were answered. `door` is what the code break showed to who asked."""

    answers: dict[str, Any] = field(default_factory=dict)
    door: list[str] = field(default_factory=list)

    def keep(self, name: str, answer: Any) -> Any:
        headers = {k: allowed.masked(v) for k, v in sorted(answer.headers.items())}
        body = allowed.masked(answer.content.decode(errors="backslashreplace"))
        self.answers[name] = (answer.status_code, headers, body, len(answer.content))
        return answer


@contextmanager
def unblinded_at_work(log: Log) -> Iterator[None]:
    log.silent = True
    try:
        with as_unblinded():
            yield
    finally:
        log.silent = False


class Tape(Player):
    """Plays the nature and keeps each answer. A refused act is an answer too."""

    def __init__(self, cast: Cast, study: Study, log: Log, played: Played) -> None:
        def supply(moment: datetime) -> None:
            request_supply(study, by=SYSTEM)
            with unblinded_at_work(log):
                work_supply_runs()
            outbox.deliver_due(limit=1000)

        super().__init__(cast.size.tape(study), study, supply)
        self.played = played

    def play(self, steps: Any = None) -> None:
        for number, step in enumerate(self.steps if steps is None else steps):
            try:
                super().play([step])
            except Exception as problem:  # under a planted leak, later steps have nothing to act on
                code = problem.code if isinstance(problem, Problem) else type(problem).__name__
                self.played.answers[f"step {number} refused"] = f"{step.act.name} {code}"
            else:
                self._keep(number, step)

    def _keep(self, number: int, step: Step) -> None:
        if step.act == Act.RANDOMIZE:
            subject = self.subjects[step.who]
            kit = subject.dispensations.get(number=0).kit
            told = (subject.number, subject.randomization.number, kit.number, kit.lot.number)
            self.played.answers[f"step {number}"] = told


def play(cast: Cast, log: Log, *, whole: bool = True) -> Played:
    """The tape, then the epilogue. The database in use is one of the copies."""
    mail.outbox.clear()
    study = Study.objects.get(pk=cast.study.pk)
    played = Played()
    Tape(cast, study, log, played).play()
    if whole:
        study.refresh_from_db()
        with clock.at(study.replay_now):
            _run_out_of_cover(cast, study, played)
            _ask_for_kits_too_early(cast, study, played)
            _break_codes(cast, study, played)
            _correct_a_fact(cast, played)
            _correct_a_progression(cast, study, log, played)
            _record_an_opening(cast, study, played)
            _come_and_go(cast, study)
            _make_paper(study, log)
            play_rules(study, cast.person, cast.edc, played.keep)
            _extract(cast, study, log)
            read_open_report(study, cast.person(Role.STUDY_MANAGER), played.keep)
        _beat(log)
    return played


def _run_out_of_cover(cast: Cast, study: Study, played: Played) -> None:
    """Randomize over the API at one centre, without a supply run, until it is refused and again."""
    centre = Centre.objects.filter(study=study).order_by("number")[0]
    for turn in range(9):
        screened = played.keep(
            f"screened {turn}", cast.edc.post("subjects", screening_body(centre), key=f"s{turn}")
        )
        number = screened.json()["number"]
        played.keep(f"randomized {turn}", cast.edc.randomize(number, key=f"r{turn}"))
    browser = Client()
    coordinator = cast.people[0]
    browser.force_login(coordinator, backend="iwrs.accounts.backend.PasswordBackend")
    place = coordinator.centre_roles.get().centre
    for turn in range(5):
        subject = make.a_subject(place)
        answer = browser.post(f"/subjects/{subject.pk}/randomize/", follow=True)
        played.keep(f"randomized on paper {turn}", answer)


def _ask_for_kits_too_early(cast: Cast, study: Study, played: Played) -> None:
    for subject in Subject.objects.filter(study=study, status="randomized").order_by("pk")[:4]:
        for number in range(1, 5):
            path = f"subjects/{subject.number}/dispensations/{number}/assignment"
            played.keep(path, cast.edc.post(path, key=f"{subject.number}-{number}"))


def _break_codes(cast: Cast, study: Study, played: Played) -> None:
    """Two codes are seen, a third is asked for, and the fourth is beyond the budget."""
    browser = Client()
    physician = cast.person(Role.SAFETY_PHYSICIAN)
    browser.force_login(physician, backend="iwrs.accounts.backend.PasswordBackend")
    browser.person = physician.email  # type: ignore[attr-defined]  # who signs
    subjects = Subject.objects.filter(study=study, status="randomized").order_by("pk")
    for turn, subject in enumerate(subjects[:4]):
        path = f"/subjects/{subject.pk}/code-break/"
        [form] = forms_at("code break", path, browser)
        asked = played.keep(f"asked {turn}", form.post(_typed(form, subject)))
        if turn < 2:
            shown = browser.post(asked.headers["Location"])
            assert shown.status_code == 200
            played.door.append(shown.content.decode())
    assert CodeBreakRequest.objects.filter(subject__study=study).count() == 3


def _correct_a_fact(cast: Cast, played: Played) -> None:
    """An investigator corrects the age of a subject, and reads what is recorded."""
    investigator = cast.person(Role.INVESTIGATOR)
    browser = Client()
    browser.force_login(investigator, backend="iwrs.accounts.backend.PasswordBackend")
    own = Subject.objects.filter(centre__roles__user=investigator, status="randomized")
    subject = own.order_by("pk")[0]
    typed = {
        "consent_on": subject.consent_on.isoformat(),
        **{f"baseline.{key}": value for key, value in subject.baseline.items()},
        "baseline.age": "77",
        "why": "Year of birth misread",
    }
    address = reverse("correct", args=["screening", subject.pk])
    answer = played.keep("corrected", sign_page(browser, investigator, address, typed))
    assert answer.status_code == 302
    played.keep("recorded facts", browser.get(reverse("facts", args=[subject.pk])))


def _correct_a_progression(cast: Cast, study: Study, log: Log, played: Played) -> None:
    """A progression that was none: its kits are retired, then sent again after the correction.

    Of a subject whose arm differs in the second play (see `twins`): nobody keeps which kits were
    sent for a visit before, so those of the others would be exchanged without their subject.
    """
    investigator = cast.person(Role.INVESTIGATOR)
    differing = set(_randomized(study)[::2])
    own = Subject.objects.filter(centre__roles__user=investigator, status="randomized")
    subject = [each for each in own.order_by("pk") if each in differing][-1]
    _supply_run(study, log)
    today = clock.today(subject.centre.time_zone)
    read = record_read(
        subject, "local", by=make.TESTER, assessed_on=today, response="PD", read_on=today
    )
    retired = _kits_and_run(study, log, played, "after the progression")
    browser = Client()
    browser.force_login(investigator, backend="iwrs.accounts.backend.PasswordBackend")
    typed = {
        "assessed_on": today.isoformat(),
        "read_on": today.isoformat(),
        "response": "SD",
        "why": "Measured the wrong lesion",
    }
    address = reverse("correct", args=["local-read", read.pk])
    answer = played.keep("read corrected", sign_page(browser, investigator, address, typed))
    assert answer.status_code == 302, answer.content.decode()
    sent_again = _kits_and_run(study, log, played, "after the correction")
    assert retired["retired"] > 0
    assert sent_again["at_centre"] > retired["at_centre"]
    played.keep("facts after correction", browser.get(reverse("facts", args=[subject.pk])))


def _supply_run(study: Study, log: Log) -> None:
    request_supply(study, by=SYSTEM)
    with unblinded_at_work(log):
        work_supply_runs()


def _kits_and_run(study: Study, log: Log, played: Played, name: str) -> dict[str, int]:
    """How many kits of each state a supply run leaves, kept with which are retired."""
    _supply_run(study, log)
    kits = Kit.objects.filter(study=study).order_by("number")
    played.answers[f"kits {name}"] = list(kits.values_list("number", "status"))
    return Counter(kits.values_list("status", flat=True))


def _record_an_opening(cast: Cast, study: Study, played: Played) -> None:
    """The safety physician records on the page that a sealed pack was opened for two subjects."""
    physician = cast.person(Role.SAFETY_PHYSICIAN)
    browser = Client()
    browser.force_login(physician, backend="iwrs.accounts.backend.PasswordBackend")
    centre = Centre.objects.filter(study=study).order_by("number")[0]
    before = clock.now() - timedelta(days=1)
    subjects = centre.subjects.filter(randomized_at__lt=before, unblinded_at=None).order_by("pk")
    there = clock.now().astimezone(ZoneInfo(centre.time_zone)) - timedelta(minutes=1)
    typed = {
        "subjects": [each.number for each in subjects[:2]],
        "opened_by": "Duty pharmacist",
        "on": f"{there:%Y-%m-%d}",
        "time": f"{there:%H:%M}",
        "reason": "emergency",
        "explanation": "Sepsis while the system was down",
    }
    address = reverse("record-opening", args=[centre.pk])
    answer = played.keep("opening recorded", sign_page(browser, physician, address, typed))
    assert answer.status_code == 302, answer.content.decode()
    played.keep("code breaks", browser.get(reverse("code-breaks", args=[study.code])))


def _make_paper(study: Study, log: Log) -> None:
    """A randomization pack, whose codes are the same in both plays: the desk tells them to sites,
    so they are an input, and random ones would differ whatever the arms.
    """
    with unblinded_at_work(log), patch.object(paper_places, "drawn", counted_codes):
        assert work_papers() == 1


def counted_codes(count: int, *, taken: Iterable[str] = ()) -> list[str]:
    first = len(set(taken))
    return [f"{number:04d}" for number in range(first, first + count)]


def _randomized(study: Study) -> list[Subject]:
    return list(Subject.objects.filter(study=study, status="randomized").order_by("pk"))


def _typed(form: Form, subject: Subject) -> dict[str, Any]:
    """An honest request; where a text box asks for the subject's number, that."""
    typed = form.typed(reason="susar")
    return typed | ({"read_back": subject.number} if "read_back" in typed else {})


def _come_and_go(cast: Cast, study: Study) -> None:
    """Letters about accounts: an invitation, a forgotten password, a lost phone."""
    centre = Centre.objects.filter(study=study).order_by("number")[0]
    add_to_centre(centre, Person(NEWCOMER, "Newcomer"), Role.MONITOR, by=make.TESTER)
    ask_for_link(cast.person(Role.MONITOR).email, by=Caller("192.0.2.7", "Firefox"))
    ask_for_link("nobody@example.org", by=Caller("192.0.2.7", "Firefox"))
    reset_factors(cast.person(Role.INVESTIGATOR), by=make.TESTER, why="Lost phone")


def _extract(cast: Cast, study: Study, log: Log) -> None:
    cut = cut_data(study, by=make.TESTER, on=clock.today(), reason="Interim analysis")
    request_extract(study, cut, recipient="dsmb", by=make.TESTER, reason="Interim analysis")
    with unblinded_at_work(log):
        assert work_extracts() == 1
    manager = cast.person(Role.STUDY_MANAGER)
    browser = Client()
    browser.force_login(manager, backend="iwrs.accounts.backend.PasswordBackend")
    address = reverse("release-extract", args=[study.extracts.get().pk])
    assert sign_page(browser, manager, address).status_code == 302


def _beat(log: Log) -> None:
    """What the timetable does, once more at the end."""
    sweep_studies()
    watch_studies()
    request_daily_supply()
    remind_of_access_reviews()
    with unblinded_at_work(log):
        work_supply_runs()
        work_packs()
        work_papers()
        work_notices()
    outbox.deliver_due(limit=1000)


def letters() -> list[Any]:
    """Every letter as it was sent: to whom, headers, text, in the order of sending."""
    return [
        (m.subject, allowed.masked(m.body), tuple(m.recipients()), sorted(_headers(m).items()))
        for m in mail.outbox
    ]


def _headers(message: Any) -> dict[str, str]:
    return {name: allowed.masked(str(value)) for name, value in message.extra_headers.items()}
