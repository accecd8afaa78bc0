"""The audit trail is sealed, and what is done to it afterwards is found, whoever did it."""

import hashlib
import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from psycopg import errors

from iwrs.audit_trail.findings import Finding, Kind
from iwrs.audit_trail.roots import RootsError, compare, export
from iwrs.audit_trail.sealing import seal
from iwrs.audit_trail.verifying import verify
from tests import factories as make
from tests.roles import Logins, as_unblinded

pytestmark = pytest.mark.usefixtures("committed_db")
TABLE = "enrolment_subjectevent"


@pytest.fixture
def superuser(logins: Logins) -> psycopg.Connection:
    """Somebody whom no privilege and no trigger stops."""
    return logins.superuser()


@pytest.fixture
def sealed() -> int:
    """Two sealed batches; returns the number of rows in them."""
    centre = make.a_centre(make.a_study())
    make.a_randomized_subject(centre)
    rows = seal()
    make.a_subject(centre)
    return rows + seal()


def seal_until_closed(superuser: psycopg.Connection) -> None:
    """Seal until no key that was given can come any more: sessions that are just ending hold
    that up while they last."""
    for _ in range(600):
        seal()
        [closed] = superuser.execute(
            "SELECT bool_and(complete_to >= highest) FROM audit_mark JOIN (VALUES"
            " ('enrolment_subjectevent', (SELECT max(pgh_id) FROM enrolment_subjectevent)),"
            " ('enrolment_centreevent', (SELECT max(pgh_id) FROM enrolment_centreevent))"
            ") AS tables (table_name, highest) USING (table_name)"
        ).fetchone()
        if closed:
            return
        time.sleep(0.1)
    raise AssertionError("the history was not closed within a minute")


def findings(side: str = "blinded") -> list[Finding]:
    return verify(side).findings


@pytest.mark.requirement("REQ-031")
def test_untouched_history_holds_and_sealing_again_changes_nothing(sealed: int) -> None:
    assert sealed > 20
    report = verify("blinded")
    assert (report.rows, report.batches, report.waiting) == (sealed, 2, 0)
    assert report.findings == []
    assert seal() == 0
    assert verify("blinded") == report


@pytest.mark.requirement("REQ-031")
def test_a_changed_row_is_named(sealed: int, superuser: psycopg.Connection) -> None:
    [key] = superuser.execute(
        f"UPDATE {TABLE} SET strata = jsonb_set(strata, '{{visceral}}', '\"no\"'), pgh_label = 'x'"
        f" WHERE pgh_id = (SELECT min(pgh_id) FROM {TABLE}) RETURNING pgh_id"
    ).fetchone()
    assert findings() == [Finding("blinded", 1, TABLE, key, Kind.CHANGED)]


@pytest.mark.requirement("REQ-031")
@pytest.mark.parametrize(
    "change",
    [
        "pgh_created_at = pgh_created_at + interval '1 microsecond'",
        'pgh_context = pgh_context || \'{"by": "Somebody else"}\'',
        "pgh_context = NULL",
        "failure_reason = failure_reason || ' '",
        "decided_at = NULL",
    ],
)
def test_the_smallest_change_shows(sealed: int, superuser: psycopg.Connection, change: str) -> None:
    [key] = superuser.execute(
        f"UPDATE {TABLE} SET {change}"
        f" WHERE pgh_id = (SELECT max(pgh_id) FROM {TABLE}) RETURNING pgh_id"
    ).fetchone()
    assert findings() == [Finding("blinded", 2, TABLE, key, Kind.CHANGED)]


@pytest.mark.requirement("REQ-031")
def test_a_removed_row_is_named(sealed: int, superuser: psycopg.Connection) -> None:
    [key] = superuser.execute(
        f"DELETE FROM {TABLE} WHERE pgh_id = (SELECT min(pgh_id) FROM {TABLE}) RETURNING pgh_id"
    ).fetchone()
    assert findings() == [Finding("blinded", 1, TABLE, key, Kind.REMOVED)]


def copied(superuser: psycopg.Connection, key: str, at: str) -> int:
    """A copy of the first row of the history under another key and time; returns the key."""
    columns = [
        each
        for (each,) in superuser.execute(
            "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = %s::regclass"
            " AND attnum > 0 AND attname NOT IN ('pgh_id', 'pgh_created_at')",
            [TABLE],
        )
    ]
    rest = ", ".join(columns)
    [made] = superuser.execute(
        f"INSERT INTO {TABLE} (pgh_id, pgh_created_at, {rest}) OVERRIDING SYSTEM VALUE"
        f" SELECT {key}, {at}, {rest} FROM {TABLE} ORDER BY pgh_id LIMIT 1 RETURNING pgh_id"
    ).fetchone()
    return made


@pytest.mark.requirement("REQ-031")
def test_a_row_inserted_into_the_sealed_past_is_named(
    sealed: int, superuser: psycopg.Connection
) -> None:
    seal_until_closed(superuser)
    past = copied(superuser, f"(SELECT min(pgh_id) - 1 FROM {TABLE})", "pgh_created_at")
    assert seal() == 0
    [found] = findings()
    assert (found.table, found.row, found.kind) == (TABLE, past, Kind.INSERTED)


@pytest.mark.requirement("REQ-031")
def test_a_new_row_with_an_old_time_is_named(sealed: int, superuser: psycopg.Connection) -> None:
    key = copied(
        superuser, f"(SELECT max(pgh_id) + 1 FROM {TABLE})", "pgh_created_at - interval '1 day'"
    )
    assert verify("blinded").waiting == 1
    assert seal() == 1
    assert findings() == [Finding("blinded", 3, TABLE, key, Kind.DATED_BACK)]


SEALS = [
    ("UPDATE audit_segment SET leaves = sha256(leaves) || substring(leaves FROM 33)"
     f" WHERE table_name = '{TABLE}' AND batch_id = 1", 1),
    (f"UPDATE audit_segment SET ids[1] = 0 WHERE table_name = '{TABLE}' AND batch_id = 2", 2),
    ("UPDATE audit_segment SET complete_to = complete_to + 1 WHERE batch_id = 2 AND place = 0", 2),
    ("UPDATE audit_batch SET sealed_at = sealed_at - interval '1 day' WHERE number = 1", 1),
    ("UPDATE audit_batch SET chain = sha256(chain) WHERE number = 1", 1),
    ("UPDATE audit_batch SET root = sha256(root) WHERE number = 2", 2),
    ("DELETE FROM audit_segment WHERE batch_id = 2 AND place = 0", 2),
    ("DELETE FROM audit_segment WHERE batch_id = 1; DELETE FROM audit_batch WHERE number = 1", 2),
]  # fmt: skip


@pytest.mark.requirement("REQ-031")
@pytest.mark.parametrize(("statement", "batch"), SEALS)
def test_a_changed_seal_is_named(
    sealed: int, superuser: psycopg.Connection, statement: str, batch: int
) -> None:
    superuser.execute(statement)
    found = findings()
    assert found
    assert found[0].batch in {0, batch}
    assert any(each.batch == batch for each in found)


@pytest.mark.requirement("REQ-031")
def test_a_chain_made_anew_by_the_owner_is_found_by_exported_roots(
    sealed: int, superuser: psycopg.Connection, tmp_path: Path
) -> None:
    exported = tmp_path / "roots.json"
    export(exported)
    assert compare(exported) == []
    superuser.execute("TRUNCATE audit_segment, audit_batch, audit_mark")
    superuser.execute(f"UPDATE {TABLE} SET failure_reason = 'forged'")
    assert seal() == sealed
    assert findings() == []  # the new chain is whole in itself
    assert [each.kind for each in compare(exported)] == [Kind.ROOTS, Kind.ROOTS]
    with pytest.raises(CommandError, match="Batch 1 is not the one whose root was exported"):
        call_command("audit", "verify", "--roots", str(exported))


def parts(der: bytes) -> list[tuple[int, bytes]]:
    """The values that stand one after the other in DER: the tag and the content of each."""
    found = []
    while der:
        length, begin = der[1], 2
        if length > 0x80:  # then so many bytes say how long it is
            begin += length - 0x80
            length = int.from_bytes(der[2:begin])
        assert length != 0x80
        assert len(der) >= begin + length
        found.append((der[0], der[begin : begin + length]))
        der = der[begin + length :]
    return found


@pytest.mark.requirement("REQ-031")
def test_the_request_for_a_time_stamp_names_the_exported_file(sealed: int, tmp_path: Path) -> None:
    """RFC 3161, 2.4.1, read by hand; and by OpenSSL where the machine has it."""
    exported = tmp_path / "roots.json"
    request = export(exported)
    digest = hashlib.sha256(exported.read_bytes()).digest()
    [(sequence, body)] = parts(request.read_bytes())
    version, (tag, imprint), *rest = parts(body)
    assert (sequence, version, tag) == (0x30, (0x02, b"\x01"), 0x30)
    (tag, algorithm), hashed = parts(imprint)
    assert tag == 0x30
    sha256 = bytes.fromhex("608648016503040201")  # 2.16.840.1.101.3.4.2.1
    assert parts(algorithm) == [(0x06, sha256), (0x05, b"")]
    assert hashed == (0x04, digest)
    *nonce, wants_certificate = rest
    assert [tag for tag, _ in nonce] == [0x02]
    assert wants_certificate == (0x01, b"\xff")
    if program := shutil.which("openssl"):
        asked = [program, "ts", "-query", "-in", str(request), "-text"]
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        assert "Version: 1" in said
        assert "Hash Algorithm: sha256" in said
        assert "Certificate required: yes" in said
        dumped = re.findall(r"^ +[0-9a-f]{4} - ((?:[0-9a-f]{2}[ -])+)", said, re.MULTILINE)
        assert bytes.fromhex(re.sub(r"[ -]", "", "".join(dumped))) == digest


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "x", "chains": {}}', '{"format": "iwrs audit roots/1"}',
             '{"format": "iwrs audit roots/1", "chains": {"unblinded": []}}',
             '{"format": "iwrs audit roots/1", "chains": {"blinded": [{"a": 1}]}}'],
)  # fmt: skip
def test_a_file_that_is_no_export_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "something.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RootsError, match=r"something\.json"):
        compare(file)
    with pytest.raises(CommandError, match=r"missing\.json cannot be read"):
        call_command("audit", "verify", "--roots", str(tmp_path / "missing.json"))


@pytest.mark.requirement("REQ-031")
def test_the_command_names_the_first_difference(
    sealed: int, superuser: psycopg.Connection, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    call_command("audit", "seal")
    call_command("audit", "verify")
    call_command("audit", "roots", "--out", str(tmp_path / "roots.json"))
    said = capsys.readouterr().out
    assert "0 rows sealed." in said
    assert f"{sealed} rows in 2 batches compared" in said
    assert "as it was sealed" in said
    assert len(json.loads((tmp_path / "roots.json").read_text())["chains"]["blinded"]) == 2
    superuser.execute(f"DELETE FROM {TABLE}")
    with pytest.raises(
        CommandError, match=rf"The first: Removed, blinded side: Row \d+ of {TABLE} was removed"
    ):
        call_command("audit", "verify")


@pytest.mark.requirement("REQ-031")
def test_each_side_seals_its_own_history(
    sealed: int, superuser: psycopg.Connection, settings: object
) -> None:
    settings.SIDE = "unblinded"  # type: ignore[attr-defined]
    with as_unblinded():
        rows = seal()
        assert rows > 0
        assert findings("unblinded") == []
    kinds = superuser.execute("SELECT DISTINCT table_name FROM unblinded.audit_segment").fetchall()
    assert {name for (name,) in kinds} >= {"list_event", "allocation_event", "kit_content_event"}
    [key] = superuser.execute(
        "UPDATE unblinded.allocation_event SET arm = arm || 'x' RETURNING pgh_id"
    ).fetchone()
    with as_unblinded():
        assert findings("unblinded") == [
            Finding("unblinded", 1, "allocation_event", key, Kind.CHANGED)
        ]


def test_what_commits_late_is_sealed_although_higher_keys_were_sealed_before(
    logins: Logins,
) -> None:
    """Keys are given before the commit: a batch by key alone would pass over the slow act."""
    centre = make.a_centre(make.a_study(with_list=False), cover=0)
    seal()
    slow = logins.blinded()
    rename = "UPDATE enrolment_centre SET name = name || 'x' WHERE id = %s"
    quick = make.a_centre(centre.study, cover=0)
    with slow.transaction():
        slow.execute(rename, [centre.pk])
        logins.blinded().execute(rename, [quick.pk])
        assert seal() > 0
        assert seal() == 0
        assert seal() == 0
    assert verify("blinded").waiting == 1
    assert seal() == 1
    assert verify("blinded").waiting == 0
    assert findings() == []


def test_keys_of_acts_that_failed_stay_closed(
    sealed: int, logins: Logins, superuser: psycopg.Connection
) -> None:
    """A gap is not held open for ever: what appears in it later was put there."""
    blinded = logins.blinded()
    with blinded.transaction(force_rollback=True):
        blinded.execute("UPDATE enrolment_subject SET failure_reason = 'never'")
    gap = superuser.execute(f"SELECT max(pgh_id) + 1 FROM {TABLE}").fetchone()[0]
    make.a_subject(make.Centre.objects.get())
    seal_until_closed(superuser)
    assert copied(superuser, str(gap), "now()") == gap
    assert seal() == 0
    assert [(each.row, each.kind) for each in findings()] == [(gap, Kind.INSERTED)]


def test_a_restored_database_goes_on(sealed: int, superuser: psycopg.Connection) -> None:
    """A dump that is read into a new server meets lower transaction numbers there."""
    superuser.execute("UPDATE audit_mark SET seen_before = seen_before + 4000000000")
    make.a_subject(make.Centre.objects.get())
    assert seal() > 0
    seal_until_closed(superuser)
    assert findings() == []


def test_a_column_added_later_changes_no_seal(sealed: int, superuser: psycopg.Connection) -> None:
    try:
        superuser.execute(f"ALTER TABLE {TABLE} ADD COLUMN later text DEFAULT 'new'")
        assert findings() == []
        make.a_subject(make.Centre.objects.get())
        assert seal() > 0
        assert findings() == []
        [key] = superuser.execute(
            f"UPDATE {TABLE} SET later = 'x' WHERE pgh_id = (SELECT max(pgh_id) FROM {TABLE})"
            " RETURNING pgh_id"
        ).fetchone()
        assert findings() == [Finding("blinded", 3, TABLE, key, Kind.CHANGED)]
    finally:
        superuser.execute(f"ALTER TABLE {TABLE} DROP COLUMN later")


@pytest.mark.requirement("REQ-026", "REQ-031")
@pytest.mark.parametrize("side", ["blinded", "unblinded"])
def test_no_login_writes_a_seal(sealed: int, logins: Logins, side: str) -> None:
    login = getattr(logins, side)()
    schema = "public" if side == "blinded" else "unblinded"
    for table, column in (
        ("audit_batch", "rows"),
        ("audit_segment", "complete_to"),
        ("audit_mark", "complete_to"),
    ):
        for statement in (
            f"INSERT INTO {schema}.{table} SELECT * FROM {schema}.{table}",
            f"UPDATE {schema}.{table} SET {column} = 1",
            f"DELETE FROM {schema}.{table}",
            f"TRUNCATE {schema}.{table}",
            f"LOCK TABLE {schema}.{table} IN SHARE ROW EXCLUSIVE MODE",
        ):
            with pytest.raises(errors.InsufficientPrivilege), login.transaction():
                login.execute(statement)
    other = "unblinded" if side == "blinded" else "public"
    with pytest.raises(errors.InsufficientPrivilege):
        login.execute(f"SELECT {other}.seal_history(10)")


def test_what_a_sweep_costs_does_not_grow_with_what_is_sealed(
    sealed: int, superuser: psycopg.Connection, logins: Logins
) -> None:
    """The reads of a sweep that finds nothing, before and after a thousand more rows."""

    def rows_read() -> int:
        counted = logins.owner()  # its statistics begin with this connection
        with counted.transaction():
            counted.execute("SELECT public.seal_history(10000)")
            [read] = counted.execute(
                "SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_xact_user_tables"
            ).fetchone()
        return int(read or 0)

    seal_until_closed(superuser)
    before = rows_read()
    blinded = logins.blinded()
    sequence = "UPDATE enrolment_centre SET last_subject_sequence = last_subject_sequence + 1"
    for _ in range(1000):
        blinded.execute(sequence)
    assert seal() >= 1000
    seal_until_closed(superuser)
    assert rows_read() <= before + 100  # of a thousand rows more
