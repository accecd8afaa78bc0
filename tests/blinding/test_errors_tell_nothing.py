"""Errors, notices and settings: what PostgreSQL says to the blinded login names nothing hidden."""

import re

import psycopg
import pytest

from enrolment.models import Subject
from tests.blinding import catalogue, hostile
from tests.blinding.hostile import Target, a_target
from tests.roles import Logins

pytestmark = pytest.mark.usefixtures("committed_db")

PARTS = (
    "message_primary",
    "message_detail",
    "message_hint",
    "context",
    "internal_query",
    "schema_name",
    "table_name",
    "column_name",
    "constraint_name",
    "datatype_name",
)


@pytest.fixture
def target() -> Target:
    return a_target(waiting=3)


@pytest.fixture
def eve(logins: Logins) -> psycopg.Connection:
    return logins.blinded()


@pytest.fixture
def telling(logins: Logins, target: Target) -> re.Pattern[str]:
    """Arms, the schema's name, and names of tables, indexes and counters that are only there."""
    owner = logins.owner()
    query = "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace"
    hidden = set(catalogue.column(owner, query, "unblinded"))
    hidden -= {*catalogue.column(owner, query, "public"), "list"}  # "list" is also a word
    return re.compile(r"unblinded\.|\b(" + "|".join([*hidden, arms_of(target)]) + r")\b")


def arms_of(target: Target) -> str:
    arms = target.study.definition.arms
    return "|".join(re.escape(text) for arm in arms for text in (arm.code, arm.label))


def said(error: psycopg.Error) -> str:
    """Everything that an error carries to the client."""
    return " ".join(getattr(error.diag, part) or "" for part in PARTS) + str(error)


# Calls of every gate, right and wrong. The names in brackets are those of `keys_of`.
RIGHT = {  # in an order in which each finds what it needs
    "next_on_paper": "{waiting}, '0000', '0000', now()::date + 60",
    "has_cover": "{centre}, now()::date + 60",
    "allocate": "{waiting}",
    "assign_kit": "{planned}, now()::date, now()::date + 60, now()",
    "code_break_request": "{treated}, 'Eve', 'emergency', 'because'",
    "code_break_reveal": "{asked}, now()",
    "code_break_opening": "{treated}, 'Eve', 'Eve', 'emergency', 'because', now()",
    "code_break_counts": "{study}",
    "recipient_fingerprint": "{study}, 'dsmb'",
}
WRONG = {
    "allocate": ["0", "NULL", "9223372036854775807", "{treated}", "{treated}, NULL"],
    "assign_kit": [
        "0, now()::date, now()::date, now()",
        "NULL, NULL, NULL, NULL",
        "{planned}, now()::date, now()::date, now()",
        "{planned}, 'infinity', 'infinity', now()",
        "{planned}, now()::date, '-infinity', now()",
    ],
    "code_break_request": [
        "0, 'a', 'b', 'c'",
        "NULL, NULL, NULL, NULL",
        "{waiting}, 'a', 'b', 'c'",
        "{treated}, 'a', ' ', 'c'",
        "{treated}, repeat('x', 300), 'b', 'c'",
    ],
    "code_break_reveal": ["0, now()", "NULL, NULL"],
    "code_break_opening": [
        "0, 'a', 'b', 'c', 'd', now()",
        "NULL, NULL, NULL, NULL, NULL, NULL",
        "{waiting}, 'a', 'b', 'c', 'd', now()",
        "{treated}, 'a', 'b', 'c', 'd', '-infinity'",
        "{treated}, 'a', 'b', 'c', 'd', 'infinity'",
        "{treated}, 'a', '', 'c', 'd', now()",
        "{treated}, repeat('x', 300), 'b', 'c', 'd', now()",
    ],
    "next_on_paper": [
        "0, '0000', '0000', now()::date",
        "NULL, NULL, NULL, NULL",
        "{treated}, '0000', '0000', now()::date",
    ],
    # What these know nothing of they do not refuse: see NOTHING.
    "code_break_counts": ["0", "NULL", "-9223372036854775808"],
    "has_cover": ["0, now()::date", "NULL, NULL", "9223372036854775807, 'infinity'"],
    "recipient_fingerprint": ["0, 'dsmb'", "NULL, NULL", "0, repeat('x', 100000)"],
}
NOTHING = {"code_break_counts": [0, 0], "has_cover": False, "recipient_fingerprint": None}


def keys_of(eve: psycopg.Connection, target: Target, waiting: Subject) -> dict[str, int]:
    """Rows that the gates are asked about, a planned dispensation and a code break among them."""
    return {
        "treated": target.treated.pk,
        "waiting": waiting.pk,
        "planned": hostile.plan(eve, waiting),
        "asked": hostile.request(eve, target.treated),
        "centre": target.centre.pk,
        "study": target.study.pk,
    }


def test_every_gate_is_called_rightly_and_wrongly(eve):
    gates = catalogue.column(
        eve, "SELECT proname FROM pg_proc WHERE pronamespace = 'gate'::regnamespace"
    )
    assert sorted(RIGHT) == sorted(gates)
    assert sorted(WRONG) == sorted(gates)


@pytest.mark.parametrize("gate", WRONG)
def test_wrong_calls_of_the_gates(eve, target, telling, gate):
    keys = keys_of(eve, target, target.waiting[0])
    texts = []
    for arguments in WRONG[gate]:
        call = f"SELECT gate.{gate}({arguments.format(**keys)})"
        if gate in NOTHING:
            assert eve.execute(call).fetchone() == (NOTHING[gate],)
            continue
        with pytest.raises(psycopg.Error) as refused:
            eve.execute(call)
        assert refused.value.diag.message_primary == "refused"
        assert refused.value.sqlstate[:2] == "IW"
        texts.append(said(refused.value))
    assert [text for text in texts if telling.search(text)] == []


@pytest.mark.parametrize("gate", RIGHT)
def test_no_gate_says_what_it_could_not_read(eve, target, telling, logins, gate):
    """Also the gates that refuse no arguments: somebody holds whatever they would look at."""
    arguments = RIGHT[gate].format(**keys_of(eve, target, target.waiting[0]))
    eve.execute("SET lock_timeout = '200ms'")
    # The session knows the gate already: it comes to its own tables, not to their names.
    hostile.refusal(eve.execute, f"SELECT gate.{gate}({WRONG[gate][1]})")
    owner = logins.owner()
    tables = catalogue.relations(owner, "public", "r") + catalogue.relations(
        owner, "unblinded", "r"
    )
    with owner.transaction(force_rollback=True):
        owner.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(psycopg.Error) as refused:
            eve.execute(f"SELECT gate.{gate}({arguments})")
    assert refused.value.diag.message_primary == "refused"
    assert refused.value.sqlstate in {"55P03", "IW500"}
    assert not telling.search(said(refused.value))


@pytest.mark.requirement("REQ-054")
def test_one_refusal_is_like_the_other(eve, target):
    """Line numbers too: no kit, not planned and not due cannot be told apart."""
    planned = hostile.plan(eve, target.waiting[0])
    first = target.treated.dispensations.get(number=0).pk
    contexts = set()
    for dispensation in (0, planned, first):
        with pytest.raises(psycopg.Error) as refused:
            hostile.assign(eve, dispensation)
        assert refused.value.sqlstate == "IW003"
        contexts.add((refused.value.diag.context, refused.value.diag.source_line))
    assert len(contexts) == 1


def test_a_gate_that_fails_inside_says_nothing(eve, target, telling, logins):
    """Content that is missing, as after a mistake of the unblinded side."""
    logins.owner().execute("DELETE FROM unblinded.cover_kit")
    with pytest.raises(psycopg.Error) as refused, eve.transaction():
        hostile.take_kit(eve, target.waiting[0])
    assert refused.value.sqlstate == "IW500"
    assert not telling.search(said(refused.value))


@pytest.mark.parametrize(
    ("limit", "code"), [("lock_timeout", "55P03"), ("statement_timeout", "57014")]
)
def test_a_gate_that_waits_too_long_says_nothing(eve, target, telling, logins, limit, code):
    with eve.transaction(force_rollback=True):
        hostile.allocate(eve, target.waiting[0])  # holds the stratum
        other = logins.blinded()
        # The session knows the gate already: the time runs out within it, however slow the machine.
        assert hostile.refusal(hostile.allocate, other, target.treated) == "IW001"
        other.execute(f"SET {limit} = '200ms'")
        with pytest.raises(psycopg.Error) as refused:
            hostile.allocate(other, target.waiting[1])
    assert refused.value.sqlstate == code
    assert refused.value.diag.message_primary == "refused"
    assert not telling.search(said(refused.value))


def test_errors_of_every_public_table(eve, target, telling):
    texts = []
    for table in catalogue.relations(eve, "public", kinds="r"):
        columns = catalogue.column(
            eve,
            "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = %s::regclass"
            " AND attnum > 0 AND NOT attisdropped",
            table,
        )
        tries = [
            f"INSERT INTO {table} DEFAULT VALUES",
            f"INSERT INTO {table} SELECT * FROM {table}",
            f"DELETE FROM {table}",
            f"SELECT * FROM {table} FOR UPDATE NOWAIT",
            *(f"UPDATE {table} SET {name} = NULL" for name in columns),
            *(f"UPDATE {table} SET {name} = '999999999'" for name in columns),
            *(f"SELECT CAST({name}::text AS int) FROM {table}" for name in columns),
        ]
        for attempt in tries:
            try:
                with eve.transaction(force_rollback=True):
                    eve.execute(attempt)
                    eve.execute("SET CONSTRAINTS ALL IMMEDIATE")
            except psycopg.Error as error:
                if "iwrs_studyversion" not in table:  # the definition itself names its arms
                    texts.append(said(error))
    assert len(texts) > 300
    assert {text for text in texts if telling.search(text)} == set()


def test_a_serialization_failure_names_no_row(eve, target, telling, logins):
    other = logins.blinded()
    update = "UPDATE enrolment_centre SET name = name || '.' WHERE id = %s"
    eve.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    with eve.transaction(force_rollback=True):
        eve.execute("SELECT 1 FROM enrolment_centre")
        other.execute(update, [target.centre.pk])
        with pytest.raises(psycopg.errors.SerializationFailure) as failed:
            eve.execute(update, [target.centre.pk])
    assert not telling.search(said(failed.value))


HOSTILE_SETTINGS = [
    "SET client_min_messages = debug5; SET debug_print_plan = on; SET debug_print_parse = on;"
    " SET debug_print_rewritten = on; SET debug_pretty_print = on",
    "SET client_min_messages = log; SET plpgsql.print_strict_params = on;"
    " SET plpgsql.extra_warnings = 'all'",
    "SET plpgsql.extra_errors = 'too_many_rows'; SET client_min_messages = debug1",
    "SET enable_indexscan = off; SET enable_seqscan = on; SET plan_cache_mode ="
    " force_custom_plan; SET client_min_messages = debug5",
    "SET search_path = pg_temp, nowhere; SELECT setseed(0.5)",
    "SET trace_sort = on; SET client_min_messages = log; SET work_mem = '64kB'",
    "SET TimeZone = 'Pacific/Kiritimati'; SET DateStyle = 'German'; SET transform_null_equals = on",
    "SELECT pg_advisory_lock_shared(1); SET lock_timeout = '1s'; SET jit_above_cost = 0",
]


def test_no_setting_makes_a_gate_talk(logins):
    """At commit PostgreSQL may print its own checks of foreign keys, which carry no values."""
    target = a_target(waiting=len(HOSTILE_SETTINGS))
    read_alone = "cover_kit|kit_content|stratum_cursor|code_break_budget|recipient_key|paper_cover"
    telling = re.compile(rf"\b({arms_of(target)})\b|\b({read_alone})\b")
    logins.owner().execute("UPDATE unblinded.code_break_budget SET per_hour = 100")
    notices: list[str] = []
    for settings, subject in zip(HOSTILE_SETTINGS, target.waiting, strict=True):
        with logins.blinded() as eve:
            eve.add_notice_handler(
                lambda told: notices.append(" ".join(getattr(told, part) or "" for part in PARTS))
            )
            eve.execute(settings)
            keys = keys_of(eve, target, subject)
            with eve.transaction():
                for gate, arguments in RIGHT.items():
                    eve.execute(f"SELECT gate.{gate}({arguments.format(**keys)})")
    assert len(notices) > 10
    assert [text for text in notices if telling.search(text)] == []


@pytest.mark.requirement("REQ-056")
def test_the_log_keeps_no_statement_and_no_detail(eve):
    for setting, value in {
        "log_statement": "none",
        "log_min_error_statement": "panic",
        "log_error_verbosity": "terse",
        "log_parameter_max_length_on_error": "0",
    }.items():
        assert eve.execute(f"SHOW {setting}").fetchone() == (value,)
