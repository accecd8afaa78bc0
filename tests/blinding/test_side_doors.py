"""Side doors of PostgreSQL: extensions, large objects, notices, cascades, random numbers, sizes."""

import re

import psycopg
import pytest
from psycopg import errors

from tests.blinding import catalogue, hostile
from tests.blinding.hostile import Target, a_target
from tests.roles import Logins, as_unblinded


@pytest.fixture
def blinded(logins: Logins) -> psycopg.Connection:
    return logins.blinded()


@pytest.fixture
def target(committed_db: None) -> Target:
    return a_target(waiting=4)


OWN_FUNCTIONS = (
    "SELECT n.nspname || '.' || p.proname, p.prosrc FROM pg_proc p"
    " JOIN pg_namespace n ON n.oid = p.pronamespace"
    " WHERE n.nspname IN ('public', 'gate', 'unblinded')"
)


@pytest.mark.requirement("REQ-042")
def test_no_extension_can_be_created(blinded):
    """Whatever the server has: dblink, file and foreign-data wrappers among them."""
    offered = catalogue.column(blinded, "SELECT name FROM pg_available_extensions")
    for name in {*offered, "dblink", "file_fdw", "postgres_fdw", "pageinspect", "plpython3u"}:
        if name == "plpgsql":
            continue  # installed: see test_privileges.py
        with pytest.raises(psycopg.Error) as refused:
            blinded.execute(f'CREATE EXTENSION "{name}"')
        assert refused.value.sqlstate in {"42501", "0A000"}, name


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE OPERATOR public.= (FUNCTION = texteq, LEFTARG = text, RIGHTARG = text)",
        "CREATE OPERATOR pg_catalog.= (FUNCTION = texteq, LEFTARG = text, RIGHTARG = text)",
        "CREATE FUNCTION pg_catalog.now() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE AGGREGATE public.x (int) (SFUNC = int4pl, STYPE = int)",
        "CREATE CAST (text AS bytea) WITHOUT FUNCTION",
        "CREATE DOMAIN public.x AS text",
        "CREATE COLLATION public.x (LOCALE = 'C')",
        "CREATE FOREIGN DATA WRAPPER x",
        "CREATE LANGUAGE x HANDLER plpgsql_call_handler",
        "CREATE TABLE x AS SELECT 1",
        "SELECT 1 AS a INTO x",
        "CREATE TEMP SEQUENCE x",
        "CREATE TEMP VIEW x AS SELECT 1",
        "CREATE OR REPLACE FUNCTION gate.allocate(p_subject bigint, p_paper text) RETURNS void"
        " LANGUAGE sql AS 'SELECT'",
        "CREATE STATISTICS x ON id, number FROM public.enrolment_subject",
        "CREATE RULE x AS ON INSERT TO public.enrolment_subject DO NOTHING",
        "CREATE POLICY x ON public.enrolment_subject",
        "CREATE TRIGGER x BEFORE INSERT ON public.enrolment_subject"
        " FOR EACH ROW EXECUTE FUNCTION public.refuse_change()",
        "ALTER DATABASE postgres SET log_statement = 'all'",
        "SELECT pg_stat_reset()",
        "SELECT pg_promote()",
        "SELECT pg_stat_file('postgresql.conf')",
        "SELECT pg_read_binary_file('postgresql.conf')",
        "SELECT pg_current_logfile()",
        "SELECT pg_ls_logdir()",
        "SELECT pg_log_backend_memory_contexts(pg_backend_pid())",
        "SELECT lo_export(0, '/tmp/x')",
        "SET pg_stat_statements.track = 'all'; SELECT * FROM pg_stat_statements",
        "SET auto_explain.log_min_duration = 0; LOAD 'auto_explain'",
        "SET track_io_timing = on",
        "SET log_duration = on",
        "SET log_parser_stats = on",
        "SET log_executor_stats = on",
        "SET log_planner_stats = on",
        "SET trace_locks = on",
    ],
)
def test_nothing_shadows_a_gate_or_watches_it(blinded, statement):
    with pytest.raises(psycopg.Error) as refused:
        blinded.execute(statement)
    # 42501 insufficient privilege; 42704 unknown here; 42P01 no such view; 58P01 no such library;
    # 42P16 not on a temporary object.
    assert refused.value.sqlstate in {"42501", "42704", "42P01", "58P01", "42P16"}


def test_large_objects_hold_nothing_of_ours(blinded, target, logins):
    """A login may make one for itself; nothing of ours is one, and another's is not read."""
    assert catalogue.column(blinded, "SELECT oid FROM pg_largeobject_metadata") == []
    owner = logins.owner()
    with owner.transaction(force_rollback=True):
        [made] = catalogue.column(owner, "SELECT lo_from_bytea(0, 'EVE')")
        held = owner.execute(
            "SELECT has_largeobject_privilege('iwrs_blinded', %s, 'SELECT')", [made]
        ).fetchone()
        assert held == (False,)


def test_nobody_is_told_by_notify(blinded, logins):
    """No function of ours speaks on a channel, so listening to all of them hears nothing."""
    speaking = [
        name
        for name, source in blinded.execute(OWN_FUNCTIONS).fetchall()
        if "notify" in source.lower()
    ]
    assert speaking == []


def test_nothing_cascades(blinded):
    """A delete or a changed key of one side never reaches rows of another table by itself."""
    cascading = catalogue.column(
        blinded,
        "SELECT conname FROM pg_constraint WHERE contype = 'f'"
        " AND (confdeltype NOT IN ('a', 'r') OR confupdtype NOT IN ('a', 'r'))",
    )
    assert cascading == []


def test_no_function_draws_a_random_number(blinded):
    """`setseed` steers `random()`: what a caller can steer decides nothing."""
    drawing = {
        name
        for name, source in blinded.execute(OWN_FUNCTIONS).fetchall()
        if re.search(r"random\s*\(|random_uuid|uuidv\d|setseed", source.lower())
    }
    assert drawing == set()


@pytest.mark.parametrize("seed", [-1, 0, 0.5])
def test_a_seed_does_not_choose_the_kit(blinded, target, logins, seed):
    """The places of cover are taken in their order, whatever the session's seed."""
    kits = []
    for subject in target.waiting:
        with blinded.transaction():
            blinded.execute("SELECT setseed(%s)", [seed])
            kits.append(hostile.take_kit(blinded, subject))
    places = [place for _, place in hostile.positions(logins.owner(), kits)]
    assert places == [2, 3, 4, 5]


@pytest.mark.requirement("REQ-026")
def test_a_forged_context_changes_no_history_and_no_time(blinded, target):
    """All of a side share one login, so who acts is what the session says: a forged name is kept as
    it was given. What was changed, when, and what history held before are not the session's to say.
    """
    history = "SELECT * FROM enrolment_centreevent WHERE id = %s ORDER BY pgh_id"
    before = blinded.execute(history, [target.centre.pk]).fetchall()
    [act, now] = blinded.execute(
        "SELECT pgh_context_id::text, clock_timestamp() FROM enrolment_centreevent WHERE id = %s"
        " ORDER BY pgh_id DESC LIMIT 1",
        [target.centre.pk],
    ).fetchone()
    rename_as(blinded, target, act, '{"by": "x", "pgh_created_at": "2001-01-01"}')
    for statement in (
        "UPDATE public.enrolment_centreevent SET pgh_context = NULL",
        "UPDATE public.pghistory_context SET metadata = '{}'",
        "SELECT public._pgh_attach_context()",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            blinded.execute(statement)
    after = blinded.execute(history, [target.centre.pk]).fetchall()
    assert after[:-1] == before
    written = blinded.execute(
        "SELECT name, pgh_label, pgh_context ->> 'by',"
        " pgh_created_at BETWEEN %s AND clock_timestamp()"
        " FROM enrolment_centreevent WHERE id = %s ORDER BY pgh_id DESC LIMIT 1",
        [now, target.centre.pk],
    ).fetchone()
    assert written == ("forged", "update", "x", True)


@pytest.mark.parametrize(("act", "metadata"), [("none", "{}"), ("", "{"), ("", "x")])
def test_what_history_cannot_keep_does_not_happen(blinded, target, act, metadata):
    with pytest.raises(errors.DataError):
        rename_as(blinded, target, act, metadata)
    target.centre.refresh_from_db()
    assert target.centre.name != "forged"


def rename_as(login: psycopg.Connection, target: Target, act: str, metadata: str) -> None:
    """Change an audited row, having said which act it is and who does it as `iwrs.acts` does."""
    with login.transaction():
        login.execute(
            "SELECT set_config('pghistory.context_id', %s, true),"
            " set_config('pghistory.context_metadata', %s, true)",
            [act, metadata],
        )
        login.execute(
            "UPDATE enrolment_centre SET name = 'forged' WHERE id = %s", [target.centre.pk]
        )


def test_locks_of_a_supply_run_name_the_study_only(blinded, target):
    """Advisory locks are open to every login: their keys are of blinded rows, not of contents."""
    from django.db import connection, transaction

    from dispensing.unblinded import depot

    with as_unblinded(), transaction.atomic():
        depot.lock_depot(target.study)
        depot.depot_lots(target.study)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            [worker] = cursor.fetchone()
        shown = blinded.execute(
            "SELECT locktype, objid::bigint FROM pg_locks WHERE pid = %s AND locktype NOT IN"
            " ('relation', 'virtualxid', 'transactionid')",
            [worker],
        ).fetchall()
    assert shown == [("advisory", target.study.pk)]
