"""`manage.py edc_client`: let an EDC system of one study use the API."""

import secrets
from argparse import ArgumentParser
from getpass import getuser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from oauth2_provider.models import get_access_token_model
from oauth2_provider.settings import oauth2_settings

from iwrs.accounts.events import Caller, record
from iwrs.accounts.models import SignInEvent
from iwrs.actors import CLIENT, LONGEST_LABEL, Actor
from iwrs.acts import act
from iwrs.models import EdcClient, Study


class Command(BaseCommand):
    help = "Register an EDC system of a study, list them, change their scopes or replace a secret."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="register; prints id and secret once")
        create.add_argument("--study", required=True, help="code of the study")
        create.add_argument("--name", required=True, help="name of the EDC system")
        create.add_argument("--scopes", nargs="+", required=True, metavar="SCOPE")
        listing = verbs.add_parser("list", help="names, ids and scopes of a study's clients")
        listing.add_argument("--study", required=True, help="code of the study")
        change = verbs.add_parser("scopes", help="replace a client's scopes; none shuts it out")
        change.add_argument("--id", required=True, help="client id")
        change.add_argument("--scopes", nargs="*", required=True, metavar="SCOPE")
        secret = verbs.add_parser(
            "secret", help="replace a client's secret; prints the new one once"
        )
        secret.add_argument("--id", required=True, help="client id")

    def handle(self, *args: Any, **options: Any) -> None:
        verbs = {
            "create": self.create,
            "list": self.list,
            "scopes": self.change,
            "secret": self.replace_secret,
        }
        verbs[options["verb"]](options)

    def create(self, options: dict[str, Any]) -> None:
        study = _study(options["study"])
        scopes = _scopes(options["scopes"])
        most = LONGEST_LABEL - len(CLIENT)
        if not 0 < len(options["name"].strip()) <= most:
            raise CommandError(f"Give the name of the EDC system, at most {most} characters.")
        secret = _new_secret()
        with act("register EDC client", by=_by()):
            client = EdcClient.objects.create(
                study=study,
                name=options["name"].strip(),
                allowed_scopes=" ".join(scopes),
                client_type=EdcClient.CLIENT_CONFIDENTIAL,
                authorization_grant_type=EdcClient.GRANT_CLIENT_CREDENTIALS,
                client_secret=secret,
            )
        self._tell(client, secret)

    def _tell(self, client: EdcClient, secret: str) -> None:
        self.stdout.write(f"client_id={client.client_id}")
        self.stdout.write(f"client_secret={secret}")
        self.stderr.write("The secret is stored as a hash and cannot be shown again.")

    def list(self, options: dict[str, Any]) -> None:
        for client in EdcClient.objects.filter(study=_study(options["study"])).order_by("pk"):
            self.stdout.write(f"{client.client_id}  {client.name}  {client.allowed_scopes}")

    def change(self, options: dict[str, Any]) -> None:
        client = _client(options["id"])
        client.allowed_scopes = " ".join(_scopes(options["scopes"]))
        with act("change scopes of EDC client", by=_by()):
            client.save(update_fields=["allowed_scopes"])
        self.stdout.write(f"{client.name}: {client.allowed_scopes or 'no scopes'}")

    def replace_secret(self, options: dict[str, Any]) -> None:
        client, secret, by = _client(options["id"]), _new_secret(), _by()
        client.client_secret = secret
        with act("replace secret of EDC client", by=by):
            client.save(update_fields=["client_secret"])
            # Who had the old secret may hold tokens: they end with it.
            get_access_token_model().objects.filter(application=client).delete()
            # The history of clients has no secrets, so it would not show that one was replaced.
            record(
                SignInEvent.What.SECRET_REPLACED,
                None,
                by=Caller(),
                client=client.client_id,
                done_by=by.label,
            )
        self._tell(client, secret)


def _by() -> Actor:
    return Actor(label=f"Command line ({getuser()})")


def _study(code: str) -> Study:
    study = Study.objects.filter(code=code).first()
    if study is None:
        known = ", ".join(Study.objects.values_list("code", flat=True)) or "none is loaded"
        raise CommandError(f"There is no study {code}. Known studies: {known}.")
    return study


def _client(client_id: str) -> EdcClient:
    client = EdcClient.objects.filter(client_id=client_id).first()
    if client is None:
        raise CommandError("No client has this id. `edc_client list` shows them.")
    return client


def _new_secret() -> str:
    return secrets.token_urlsafe(48)


def _scopes(asked: list[str]) -> list[str]:
    """The scopes, also when given in one text separated by spaces or commas."""
    scopes = [scope for text in asked for scope in text.replace(",", " ").split()]
    unknown = sorted(set(scopes) - set(oauth2_settings.SCOPES))
    if unknown:
        allowed = ", ".join(oauth2_settings.SCOPES)
        raise CommandError(f"Unknown scopes: {', '.join(unknown)}. Known: {allowed}.")
    return list(dict.fromkeys(scopes))
