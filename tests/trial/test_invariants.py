"""Contradictions in the data are found, each kind by its own sentence, on the side that may see."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import psycopg
import pytest
from django.core.management import CommandError, call_command

from tests import bootstrap
from tests.factories import a_centre, a_randomized_subject, a_study, a_subject
from tests.paper import told_and_accepted
from tests.roles import as_unblinded
from trial.invariants import BLINDED, UNBLINDED, contradictions

pytestmark = pytest.mark.requirement("REQ-078")
_OTHER_ARM = "(SELECT min(a.arm) FROM unblinded.list_entry a WHERE a.arm <> t.arm)"
# What somebody with all rights over the server could do, and the sentence that tells.
PLANTED = [
    ("DELETE FROM randomization_randomization WHERE subject_id = {s}", BLINDED[0]),
    ("UPDATE enrolment_subject SET stratum_key = 'x' WHERE id = {s}", BLINDED[1]),
    ("DELETE FROM assessments_visit WHERE subject_id = {s}", BLINDED[2]),
    ("UPDATE dispensing_dispensation SET subject_id = {w}, number = 99 WHERE subject_id = {s}"
     " AND kit_id IS NOT NULL", BLINDED[3]),
    ("UPDATE dispensing_kit SET status = 'at_centre' WHERE status = 'assigned'", BLINDED[4]),
    ("UPDATE dispensing_kit SET centre_id = {c} WHERE status = 'assigned'", BLINDED[5]),
    ("UPDATE enrolment_subject SET study_id = {t} WHERE id = {w}", BLINDED[6]),
    ("UPDATE iwrs_study SET definition_sha256 = 'x'", BLINDED[7]),
    ("UPDATE enrolment_tally SET randomized = randomized + 1", BLINDED[8]),
    ("UPDATE randomization_randomization SET by = 'EDC client Rave', confirmed_at = now()"
     " WHERE subject_id = {s}", BLINDED[9]),
    ("DELETE FROM unblinded.allocation WHERE subject_id = {s}", UNBLINDED[0]),
    (f"UPDATE unblinded.allocation t SET arm = {_OTHER_ARM}", UNBLINDED[1]),
    ("UPDATE unblinded.stratum_cursor SET used = used + 1", UNBLINDED[2]),
    (f"UPDATE unblinded.forced_allocation t SET arm = {_OTHER_ARM}", UNBLINDED[3]),
    ("UPDATE unblinded.forced_allocation SET subject_id = {s}", UNBLINDED[4]),
    ("UPDATE unblinded.paper_kit p SET kit_id = (SELECT o.kit_id FROM unblinded.cover_kit k"
     " JOIN unblinded.cover_kit o ON o.cohort_id = k.cohort_id AND o.position = k.position"
     " AND o.arm <> k.arm WHERE k.kit_id = p.kit_id)", UNBLINDED[5]),
    (f"UPDATE unblinded.kit_content t SET arm = {_OTHER_ARM}", UNBLINDED[6]),
    ("DELETE FROM unblinded.kit_assignment", UNBLINDED[7]),
]  # fmt: skip


@pytest.fixture
def trial(committed_db: None) -> SimpleNamespace:
    study = a_study()
    here, there = a_centre(study), a_centre(study)
    subject = a_randomized_subject(here)
    other = a_study(with_list=False)
    told_and_accepted(a_subject(here))
    return SimpleNamespace(subject=subject, waiting=a_subject(here), there=there, other=other)


@contextmanager
def superuser() -> Iterator[psycopg.Connection]:
    """A connection that may do anything, with every trigger and foreign key switched off."""
    with psycopg.connect(bootstrap.url("superuser")) as server:
        server.execute("SET session_replication_role = replica")
        yield server


def test_what_acts_leave_has_no_contradiction(
    trial: SimpleNamespace, settings: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert contradictions() == []
    call_command("check_invariants")
    assert capsys.readouterr().out == "No contradictions.\n"
    settings.SIDE = "unblinded"
    with as_unblinded():
        assert contradictions() == []


def test_each_contradiction_is_named(trial: SimpleNamespace) -> None:
    names = {"s": trial.subject.pk, "w": trial.waiting.pk, "c": trial.there.pk, "t": trial.other.pk}
    for statement, invariant in PLANTED:
        with superuser() as server:
            assert server.execute(invariant.query).fetchall() == [], invariant.sentence
            assert server.execute(statement.format(**names)).rowcount > 0, statement
            assert server.execute(invariant.query).fetchall() != [], invariant.sentence
            server.rollback()
    assert [invariant for _, invariant in PLANTED] == [*BLINDED, *UNBLINDED]


def test_the_command_fails_and_names_the_subject(trial: SimpleNamespace) -> None:
    with superuser() as server:
        server.execute(
            "UPDATE enrolment_subject SET stratum_key = 'x' WHERE id = %s", [trial.subject.pk]
        )
    assert [trial.subject.number in each for each in contradictions()] == [True]
    with pytest.raises(CommandError, match="1 of the invariants"):
        call_command("check_invariants")
