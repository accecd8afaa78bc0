"""The end of the chain and the records beside the history are sealed like everything else."""

import psycopg
import pytest

from iwrs import clock
from iwrs.accounts.models import Role
from iwrs.audit_trail.findings import Finding, Kind
from iwrs.audit_trail.sealing import seal
from iwrs.audit_trail.verifying import verify
from iwrs.problems import Problem
from iwrs.signatures import Signature
from randomization.services import request_code_break, reveal_code, subject_record
from tests import factories as make
from tests.roles import Logins

pytestmark = [pytest.mark.usefixtures("committed_db"), pytest.mark.requirement("REQ-031")]


@pytest.fixture
def superuser(logins: Logins) -> psycopg.Connection:
    return logins.superuser()


def break_code(times: int = 1) -> None:
    """Codes of a subject in a study whose budget is three an hour; what is beyond is refused."""
    subject = make.a_randomized_subject(make.a_centre(make.a_study()))
    signer = make.a_user(Role.INVESTIGATOR)
    for _ in range(times):
        made = request_code_break(
            subject,
            by=make.INVESTIGATOR,
            reason="emergency",
            explanation="Unconscious",
            signature=Signature(
                make.INVESTIGATOR.label,
                clock.now(),
                "I ask",
                account=signer.pk,
                printed_name="Ida",
                role="investigator",
                shown=subject_record(subject).sha256,
            ),
        )
        reveal_code(made, by=make.INVESTIGATOR)


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("randomization_codebreakrequestevent", "reason = 'susar'"),
        ("randomization_codebreakrequestevent", "requested_by = 'Somebody else'"),
        ("randomization_codebreakrefusalevent", "why = 'not_randomized'"),
        ("signatures_signedrecord", "meaning = 'I only looked'"),
    ],
)
def test_a_code_break_its_refusal_and_its_signature_are_sealed(
    superuser: psycopg.Connection, table: str, change: str
) -> None:
    with pytest.raises(Problem, match="No more code breaks"):
        break_code(4)
    assert seal() > 0
    assert verify("blinded").findings == []
    key = "id" if table == "signatures_signedrecord" else "pgh_id"
    last = f"(SELECT max({key}) FROM {table})"
    row = superuser.execute(
        f"UPDATE {table} SET {change} WHERE {key} = {last} RETURNING {key}"
    ).fetchone()
    assert row is not None
    assert verify("blinded").findings == [Finding("blinded", 1, table, row[0], Kind.CHANGED)]
    superuser.execute(f"DELETE FROM {table} WHERE {key} = %s", [row[0]])
    assert verify("blinded").findings == [Finding("blinded", 1, table, row[0], Kind.REMOVED)]


def cut_off(superuser: psycopg.Connection, after: int) -> None:
    """Remove the batches after a number, and every row that they sealed."""
    sealed = superuser.execute(
        "SELECT table_name, ids FROM audit_segment WHERE batch_id > %s", [after]
    ).fetchall()
    for table, ids in sealed:
        key = "pgh_id" if table.endswith("event") else "id"
        superuser.execute(f"DELETE FROM {table} WHERE {key} = ANY (%s)", [ids])
    superuser.execute("DELETE FROM audit_segment WHERE batch_id > %s", [after])
    superuser.execute("DELETE FROM audit_batch WHERE number > %s", [after])


def test_batches_that_were_cut_off_are_noticed_for_good(superuser: psycopg.Connection) -> None:
    break_code()
    assert seal() > 0
    break_code()
    assert seal() > 0
    assert verify("blinded").findings == []
    cut_off(superuser, after=1)
    [found] = verify("blinded").findings
    assert (found.batch, found.kind) == (2, Kind.END)
    assert str(found).endswith("batch 2 was made and is not there.")
    break_code()
    assert seal() > 0
    [found] = verify("blinded").findings
    assert (found.batch, found.kind) == (3, Kind.CHAIN)
