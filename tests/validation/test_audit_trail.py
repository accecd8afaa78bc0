"""The audit trail: what a row says, and which tables leave one."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection, models
from django.test import Client
from django.urls import reverse

from enrolment.forms import answers_given
from iwrs.accounts.models import User
from tests.factories import a_subject
from tests.portal.conftest import a_site
from tests.roles import Logins

ROOMS = {
    "accounts",
    "audit",
    "iwrs",
    "signatures",
    "enrolment",
    "randomization",
    "dispensing",
    "assessments",
    "dsmb",
}
# Tables without a history of their own, and why.
WITHOUT_HISTORY = {
    # no facts of a study: what waits to be sent or done, what was answered, who is let in
    "OutboxMessage": "messages; the acts behind them are audited",
    "StaffLetter": "messages; what happened to the account is a row of the door",
    "IdempotencyRecord": "stored answers of the API",
    "SupplyRun": "a queue; what a run did is in audited rows",
    "SignInEvent": "written once; each row is its own record, with the database's time",
    # written once by a gate or an import, changed by nobody: each row is its own record, and sealed
    "KitImport": "who imported which file, and when",
    "ListEntry": "frozen with its list, whose fingerprint is published",
    "Decision": "written once by gate.allocate",
    "Margin": "written once by gate.allocate, a new row for each place",
    "ListOrigin": "written once with its list, changed by nobody",
    "ListNotice": "when a letter was sent; what it is about are audited rows",
    "OpenedStudy": "written once by the act of unblinding, whose own row is audited",
    "OpenedAllocation": "written once by the act of unblinding, changed by nobody",
    "ImportedFile": "written once with its list, changed by nobody",
    "PaperPlace": "a random code, written once; REVOKE UPDATE",
    "PaperCover": "a random code, written once; REVOKE UPDATE",
    "CoverKit": "frozen; which kit serves which place of a cohort",
    # the seals over the history itself: written by seal_history only, and chained
    "Batch": "a link of the chain of seals",
    "Segment": "the sealed rows of one table in a batch",
    "Mark": "how far each table is sealed",
    "Access": "a look at a sensitive page: written once, then sealed",
    "Review": "a period that was reviewed: written once, then sealed",
    "SignedRecord": "stamped and checked by the database: written once, then sealed",
    "SigningState": "counts wrong tries to sign; who is told of a lock gets a letter",
    "Tally": "a count of audited rows, kept by a trigger",
    # simulations: what was asked is written once, the results follow from it
    "SimulationRun": "written once, with who and when; REVOKE UPDATE",
    "SimulationChunk": "follows from its run; written once by a worker",
    # counters of the gates
    "StratumCursor": "calls of a stratum; a release of them is a CallRelease",
    "CentreCalls": "calls of a centre; a release of them is a CallRelease",
    "CodeBreakBudget": "requests of a study",
}


def models_of_the_rooms() -> list[type[models.Model]]:
    return [
        each
        for each in apps.get_models()
        if each._meta.app_label in ROOMS
        and each._meta.managed
        and not hasattr(each, "pgh_created_at")
        and not hasattr(each, "pgh_tracked_model")
    ]


@pytest.mark.requirement("REQ-028")
def test_every_table_of_facts_writes_history(logins: Logins) -> None:
    owner = logins.owner()
    without = set()
    for model in models_of_the_rooms():
        kinds = owner.execute(
            "SELECT bit_or(tgtype::integer & 28) FROM pg_trigger"
            " WHERE tgrelid = %s::regclass AND tgname LIKE 'pgtrigger_%%' AND tgenabled = 'O'"
            " AND pg_get_functiondef(tgfoid) ~ 'INSERT INTO .*event'",
            [f'"{model._meta.db_table}"'],
        ).fetchone()[0]  # type: ignore[index]
        if kinds != 4 + 8 + 16:  # pg_trigger.h: INSERT, DELETE, UPDATE
            without.add(model.__name__)
    assert without - set(WITHOUT_HISTORY) == set()
    assert len(models_of_the_rooms()) > 30


@pytest.mark.django_db
@pytest.mark.requirement("REQ-025", "REQ-034")
def test_a_change_says_who_in_which_role_what_from_what_why_and_when(
    signed_in_as: Callable[[User], Client],
) -> None:
    site: SimpleNamespace = a_site()
    subject = a_subject(site.here, eligible=False)
    before = dict(subject.strata)
    other = {key: "no" if value == "yes" else "yes" for key, value in before.items()}
    typed = {k: v for k, v in answers_given(subject).items() if v is not None}
    typed |= {f"strata.{key}": value for key, value in other.items()}
    address = reverse("change-answers", args=[subject.pk])
    sent = signed_in_as(site.site_coordinator).post(address, typed | {"why": "CT read again"})
    assert sent.status_code == 302, sent.content.decode()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT strata, pgh_context, pgh_created_at, pgh_label FROM enrolment_subjectevent"
            " WHERE pgh_obj_id = %s ORDER BY pgh_id",
            [subject.pk],
        )
        (old, *_), (new, context, at, kind) = cursor.fetchall()[-2:]
    assert (json.loads(old), json.loads(new)) == (before, other)
    told = json.loads(context) if isinstance(context, str) else context
    assert told | {"role": "site_coordinator"} == told
    assert told["by"] == str(site.site_coordinator)
    assert told["act"] == "change screening answers"
    assert told["why"] == "CT read again"
    assert kind == "update"
    assert at.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=2)


@pytest.fixture
def signed_in_as() -> Callable[[User], Client]:
    def browser(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return browser
