"""After a small trial, no public row tells an arm: not by a value, a name, or an order of keys."""

import hashlib
import re
from datetime import date, timedelta

import psycopg
import pyrage
import pytest

from dsmb.services import cut_data, request_extract
from dsmb.unblinded.packs import work_packs
from dsmb.unblinded.paper import work_papers
from dsmb.unblinded.services import register_recipient_key, work_extracts
from iwrs import clock
from iwrs.models import Study
from randomization.services import request_code_break, reveal_code
from tests import factories as make
from tests.blinding import catalogue
from tests.dispensing.depots import fill_depot
from tests.roles import Logins, as_unblinded

pytestmark = pytest.mark.usefixtures("committed_db")

# The definition names the arms, as the protocol does; it says nothing of who has which.
DEFINITION = {
    "iwrs_studyversion.definition",
    "iwrs_studyversion.source",
    "iwrs_studyversionevent.definition",
    "iwrs_studyversionevent.source",
}
TELLING_NAMES = "(^|_)(arm|arms|treatment|content|contents|block|seed|rank|position|kit_type)($|_)"
START = make.at(2010, 1, 4)


@pytest.fixture
def study() -> Study:
    """Fourteen subjects at two centres, a code break that was read, a sealed extract
    and sealed packs.
    """
    from dispensing.unblinded.services import run_supply

    with clock.at(START):
        study = make.a_study()
        fill_depot(study, kits=200, expiries=[date(2011, 12, 31)])
        centres = [make.a_centre(study, cover=0) for _ in range(2)]
    for week in range(7):
        moment = START + timedelta(weeks=week)
        with as_unblinded():
            run_supply(study, moment, by=make.TESTER)
        with clock.at(moment):
            subjects = [make.a_randomized_subject(centre) for centre in centres]
    with clock.at(START + timedelta(weeks=8)):
        _break_a_code(subjects[0])
        _seal_something(study)
    return study


def _break_a_code(subject) -> None:
    signature = make.Signature("Tester", clock.now(), "I ask for the code")
    made = request_code_break(
        subject,
        by=make.TESTER,
        reason="emergency",
        explanation="The treatment decides the care.",
        signature=signature,
    )
    assert reveal_code(made, by=make.TESTER) == make.arm_of(subject)


def _seal_something(study: Study) -> None:
    key = pyrage.x25519.Identity.generate().to_public()
    recipient = study.definition.recipients[0].key
    with as_unblinded():
        register_recipient_key(study, recipient, str(key), by=make.TESTER)
    cut = cut_data(study, by=make.TESTER, on=clock.today(), reason="Interim analysis")
    request_extract(study, cut, recipient=recipient, by=make.TESTER, reason="Interim analysis")
    with as_unblinded():
        make.a_holder(study)
        assert work_extracts() == 1
        assert work_packs() == 2
        assert work_papers() == 1


@pytest.mark.requirement("REQ-042")
def test_no_value_tells_an_arm(study, logins: Logins):
    """Every column of every public table as text, read by the blinded login."""
    blinded = logins.blinded()
    arms = study.definition.arms
    words = [re.escape(text) for arm in arms for text in (arm.code, arm.label)]
    assert _arms_given(logins) == {arm.code for arm in arms}
    told, looked_at = set(), 0
    for table, column in _columns(blinded):
        looked_at += 1
        if column == "sealed":
            continue  # encrypted: see below
        [count] = catalogue.column(
            blinded,
            rf"SELECT count(*) FROM {table} WHERE {column}::text ~* %s",
            rf"\m({'|'.join(words)})\M",
        )
        if count:
            told.add(f"{table}.{column}")
    assert looked_at > 300
    assert told == DEFINITION


def test_no_column_has_a_telling_name(logins: Logins):
    named = {
        column
        for _, column in _columns(logins.blinded())
        if re.search(TELLING_NAMES, column) and column != "content_type_id"
    }
    assert named == set()


@pytest.mark.requirement("REQ-069")
def test_who_asks_for_an_extract_cannot_read_it(study, logins: Logins):
    """What is stored is a file of the age format; its size says nothing, its name neither."""
    blinded = logins.blinded()
    row = blinded.execute("SELECT status, size, sha256, sealed FROM dsmb_extract").fetchone()
    status, size, sha256, sealed = row
    assert status == "ready"
    assert sealed.startswith(b"age-encryption.org/v1\n")
    assert (len(sealed), hashlib.sha256(sealed).hexdigest()) == (size, sha256)
    for arm in study.definition.arms:
        assert arm.label.encode() not in sealed
    stranger = pyrage.x25519.Identity.generate()
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed, [stranger])
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        blinded.execute("SELECT public_key FROM unblinded.recipient_key")


@pytest.mark.requirement("REQ-069")
def test_what_a_recipient_gets_cannot_be_exchanged(study, logins: Logins):
    blinded = logins.blinded()
    for change in ("sealed = ''", "sha256 = ''", "size = 1", "recipient = 'x'"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            blinded.execute(f"UPDATE dsmb_extract SET {change}")


def _columns(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """Table and column of everything public that the login may read."""
    return connection.execute(
        "SELECT c.oid::regclass::text, quote_ident(a.attname)"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')"
        " AND a.attnum > 0 AND NOT a.attisdropped"
        " AND has_column_privilege(c.oid, a.attnum, 'SELECT')"
    ).fetchall()


def _arms_given(logins: Logins) -> set[str]:
    return set(catalogue.column(logins.owner(), "SELECT DISTINCT arm FROM unblinded.allocation"))
