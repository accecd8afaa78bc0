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
from tests.audit.test_seal import seal_until_closed
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


def test_batches_that_were_cut_off_are_noticed(superuser: psycopg.Connection) -> None:
    break_code()
    seal_until_closed(superuser)
    whole = verify("blinded")
    break_code()
    seal_until_closed(superuser)
    assert verify("blinded").findings == []
    superuser.execute("DELETE FROM audit_segment WHERE batch_id > %s", [whole.batches])
    superuser.execute("DELETE FROM audit_batch WHERE number > %s", [whole.batches])
    found = verify("blinded").findings
    assert {(each.batch, each.kind) for each in found if each.kind is Kind.END} == {
        (whole.batches + 1, Kind.END)
    }
    assert "randomization_codebreakrequestevent" in {each.table for each in found}
