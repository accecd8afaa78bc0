"""Everything that PostgreSQL offers to the blinded login is walked; nothing of it tells an arm.

Tables, views, materialized views, sequences and functions of schema `unblinded` are each tried.
Every system view is read, and every system function that takes nothing or one object's number is
called, with the objects of that schema as arguments. Nothing here is a list of today's objects.
"""

import re
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from tests.blinding import catalogue, hostile
from tests.blinding.hostile import Target, a_target
from tests.roles import Logins

pytestmark = pytest.mark.requirement("REQ-042")

REFUSED = errors.InsufficientPrivilege.sqlstate
# They act on the session or the server (or are refused as such); they read nothing.
NOT_CALLED = (
    "pg_advisory|pg_export_snapshot|binary_upgrade|lo_|pg_stop_making|.*_validator|.*_call_handler"
)


@pytest.fixture
def target(committed_db: None) -> Target:
    """A small trial with both arms given, all of it analyzed."""
    return a_target(waiting=4)


@pytest.fixture
def eve(logins: Logins) -> psycopg.Connection:
    return logins.blinded()


@pytest.fixture
def owner(logins: Logins) -> psycopg.Connection:
    return logins.owner()


@pytest.fixture
def telling(target: Target, owner: psycopg.Connection) -> str:
    """A pattern of PostgreSQL's: codes and labels of the arms, and the seed of the list."""
    seeds = catalogue.column(owner, "SELECT encode(seed, 'hex') FROM unblinded.list")
    words = [text for arm in target.study.definition.arms for text in (arm.code, arm.label)]
    assert len(words) == 4
    assert len(seeds) == 1
    return rf"\m({'|'.join(re.escape(word) for word in [*words, *seeds])})\M"


@pytest.fixture
def busy(eve: psycopg.Connection, logins: Logins, target: Target) -> Iterator[None]:
    """Gates were called, statistics are fresh, and others work at this moment with arms in SQL."""
    for subject in target.waiting[:3]:
        with eve.transaction():
            hostile.take_kit(eve, subject)
    hostile.request(eve, target.treated)
    worker = logins.unblinded()
    logins.owner().execute("ANALYZE")
    worker.execute("SET application_name = 'supply'")
    [arm, _] = target.study.definition.arm_codes
    with worker.transaction():
        worker.execute(f"SELECT arm FROM unblinded.allocation WHERE arm = '{arm}'")
        yield


STATEMENTS_ON_TABLES = (
    "SELECT FROM {0}",
    "TABLE {0}",
    "SELECT count(*) FROM {0}",
    "EXPLAIN SELECT FROM {0}",
    "EXPLAIN (ANALYZE, BUFFERS) SELECT FROM {0}",
    "SELECT FROM {0} FOR KEY SHARE",
    "INSERT INTO {0} DEFAULT VALUES",
    "DELETE FROM {0}",
    "MERGE INTO {0} t USING (SELECT 1) s ON false WHEN NOT MATCHED THEN DO NOTHING",
    "TRUNCATE {0}",
    "COPY {0} TO STDOUT",
    "COPY (SELECT FROM {0}) TO STDOUT",
    "COPY {0} FROM STDIN",
    "DO $$ BEGIN LOCK TABLE {0} IN ACCESS SHARE MODE; END $$",
    "ANALYZE {0}",
    "VACUUM {0}",
    "REINDEX TABLE {0}",
    "CLUSTER {0}",
    "COMMENT ON TABLE {0} IS 'x'",
    "ALTER TABLE {0} OWNER TO iwrs_blinded",
    "GRANT SELECT ON {0} TO iwrs_blinded",
    "DROP TABLE {0}",
    "CREATE INDEX ON {0} ((1))",
    "CREATE STATISTICS ON (1), (2) FROM {0}",
    "CREATE RULE x AS ON INSERT TO {0} DO NOTHING",
    "CREATE POLICY x ON {0}",
    "DO $$ BEGIN PERFORM FROM {0}; END $$",
    "DECLARE x CURSOR WITH HOLD FOR SELECT FROM {0}",
    "PREPARE x AS SELECT FROM {0}",
    "SELECT table_to_xml('{0}', true, false, '')",
    "SELECT query_to_xml('SELECT 1 FROM {0}', true, false, '')",
    "SELECT ts_stat('SELECT to_tsvector(1::text) FROM {0}')",
    "SELECT pg_get_viewdef('{0}')",
    "SELECT pg_relation_size('{0}')",
)


def test_every_table_and_view_is_refused_whatever_is_tried(eve, target):
    """Each attempt ends at the closed schema: the same text, whatever is in the table."""
    tables = catalogue.relations(eve, "unblinded")
    assert len(tables) > 15
    for table in tables:
        for statement in STATEMENTS_ON_TABLES:
            with pytest.raises(psycopg.Error) as refused:
                eve.execute(statement.format(table))
            error = refused.value
            assert error.sqlstate == REFUSED, statement.format(table)
            assert error.diag.message_primary == "permission denied for schema unblinded"
            assert (error.diag.message_detail, error.diag.message_hint) == (None, None)


def test_a_materialized_view_and_a_partition_would_be_closed_too(owner, eve):
    """Kinds of relations that the project does not use today, made and seen by the walk."""
    owner.execute("CREATE MATERIALIZED VIEW unblinded.later AS SELECT 'EVE' AS arm")
    owner.execute("CREATE TABLE unblinded.parts (arm text) PARTITION BY LIST (arm)")
    try:
        for name in ("unblinded.later", "unblinded.parts"):
            assert name in catalogue.relations(eve, "unblinded")
            for statement in STATEMENTS_ON_TABLES:
                with pytest.raises(psycopg.Error) as refused:
                    eve.execute(statement.format(name))
                assert refused.value.sqlstate == REFUSED
        assert catalogue.rights_on_tables(eve, "iwrs_blinded", "unblinded") == set()
    finally:
        owner.execute("DROP MATERIALIZED VIEW unblinded.later; DROP TABLE unblinded.parts")


def test_every_sequence_is_refused_by_name_and_by_number(eve, target):
    """By its number (oid) a sequence is reached past the closed schema; its own right decides."""
    sequences = catalogue.relations(eve, "unblinded", kinds="S")
    assert len(sequences) > 10
    calls = ("nextval({0})", "currval({0})", "setval({0}, 1)", "setval({0}, 1, false)")
    for sequence in sequences:
        number = "(SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n"
        number += " ON n.oid = c.relnamespace WHERE format('%I.%I', nspname, relname) = "
        number += f"'{sequence}')"
        for call in calls:
            for named in (f"'{sequence}'", number):
                with pytest.raises(errors.InsufficientPrivilege):
                    eve.execute(f"SELECT {call.format(named)}")
        with pytest.raises(errors.InsufficientPrivilege):
            eve.execute(f"SELECT last_value, is_called, log_cnt FROM {sequence}")
        told = eve.execute(
            f"SELECT pg_sequence_last_value({number}), (pg_get_sequence_data({number})).last_value"
        ).fetchone()
        assert told == (None, None)
    shown = eve.execute("SELECT last_value FROM pg_sequences WHERE schemaname = 'unblinded'")
    assert {value for (value,) in shown} <= {None}


def test_a_gate_leaves_no_last_value_behind(eve, target):
    """What a gate drew from a counter of its own is not told by `lastval` afterwards."""
    with eve.transaction():
        hostile.allocate(eve, target.waiting[0])
        refusals = (errors.InsufficientPrivilege, errors.ObjectNotInPrerequisiteState)
        with pytest.raises(refusals), eve.transaction():
            eve.execute("SELECT lastval()")


def test_every_function_of_the_schema_is_refused(eve, target):
    rows = eve.execute(
        "SELECT p.proname, p.pronargs, p.oid::int FROM pg_proc p"
        " WHERE p.pronamespace = 'unblinded'::regnamespace"
    ).fetchall()
    assert len(rows) > 4
    for name, arguments, _ in rows:
        nothing = ", ".join(["NULL"] * arguments)
        with pytest.raises(errors.InsufficientPrivilege):
            eve.execute(f"SELECT unblinded.{name}({nothing})")
        with pytest.raises(errors.InsufficientPrivilege):
            eve.execute(f"CALL unblinded.{name}({nothing})")


def test_no_system_view_tells_an_arm(eve, busy, telling):
    """Statistics, activity, locks, sizes, settings: every row of every view that may be read."""
    views = [
        *catalogue.relations(eve, "pg_catalog", kinds="rvmf"),
        *catalogue.relations(eve, "information_schema", kinds="rvmf"),
    ]
    told, refused = {}, set()
    for view in views:
        try:
            rows = eve.execute(f"SELECT t::text FROM {view} t WHERE t::text ~ %s", [telling])
            told[view] = [text for (text,) in rows if _is_news(text)]
        except errors.InsufficientPrivilege:
            refused.add(view.split(".")[1])
    assert len(told) > 180
    assert {view: texts for view, texts in told.items() if texts} == {}
    assert {"pg_statistic", "pg_statistic_ext_data", "pg_authid", "pg_largeobject"} <= refused


def _is_news(text: str) -> bool:
    """The study's definition names the arms, in its own table, in its statistics and in my SQL."""
    return "iwrs_studyversion" not in text and "WHERE t::text ~" not in text


def test_the_walk_of_views_would_find_an_arm(eve, busy, telling, owner):
    """A comment on a table, which everybody reads."""
    comment = "COMMENT ON TABLE unblinded.allocation IS "
    owner.execute(comment + "'the first subject has EVE'")
    try:
        rows = eve.execute(
            "SELECT count(*) FROM pg_description t WHERE t::text ~ %s", [telling]
        ).fetchone()
        assert rows == (1,)
    finally:
        owner.execute(comment + "NULL")


def test_no_system_function_tells_an_arm(eve, busy, telling):
    """Each function without arguments, and each that takes one object, of every hidden object."""
    called, failures = 0, []
    for name, argument in _functions(eve):
        query = f"SELECT x::text FROM {name}() x"
        if argument:
            query = (
                f"SELECT (SELECT string_agg(x::text, ' ') FROM {name}(o.oid::{argument}) x)"
                f" FROM ({HIDDEN_OBJECTS}) o"
            )
        try:
            with eve.transaction(force_rollback=True):
                eve.execute("SET LOCAL statement_timeout = '5s'")
                rows = eve.execute(f"SELECT t FROM ({query}) q(t) WHERE t ~ %s", [telling])
                assert [t for (t,) in rows if "FROM (SELECT" not in t] == [], name
            called += 1
        except psycopg.Error as error:
            failures.append(str(error))
    words = telling.replace(r"\m", r"\b").replace(r"\M", r"\b")
    assert [text for text in failures if re.search(words, text)] == []
    assert called > 150
    assert len(failures) < 100


HIDDEN_OBJECTS = """
    SELECT oid FROM pg_class WHERE relnamespace = 'unblinded'::regnamespace
    UNION ALL SELECT oid FROM pg_proc
               WHERE pronamespace IN ('unblinded'::regnamespace, 'gate'::regnamespace)
    UNION ALL SELECT oid FROM pg_constraint WHERE connamespace = 'unblinded'::regnamespace
    UNION ALL SELECT t.oid FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
               WHERE c.relnamespace = 'unblinded'::regnamespace
"""


def _functions(connection: psycopg.Connection) -> list[tuple[str, str]]:
    """System functions that may be run: name, and the type of the one argument (or '')."""
    rows = connection.execute(
        "SELECT p.oid::regproc::text, CASE p.pronargs WHEN 0 THEN '' ELSE"
        "       p.proargtypes[0]::regtype::text END"
        "  FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f'"
        "   AND has_function_privilege(p.oid, 'EXECUTE') AND NOT p.proname ~ %s"
        "   AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype,"
        "                            'internal'::regtype)"
        "   AND (p.pronargs = 0 OR p.pronargs = 1"
        "        AND p.proargtypes[0] IN ('oid'::regtype, 'regclass'::regtype))",
        [f"^({NOT_CALLED})"],
    )
    return rows.fetchall()
