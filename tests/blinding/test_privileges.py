"""What `iwrs_blinded` may not do, over the whole catalogue, with its real login; and what
`iwrs_unblinded` may delete.

Nothing here lists today's tables: a table, view or function added later is walked too.
"""

import psycopg
import pytest
from psycopg import errors

from tests.blinding import catalogue
from tests.roles import Logins

OTHERS = [
    "iwrs_owner",
    "iwrs_unblinded",
    "postgres",
    "pg_read_all_data",
    "pg_execute_server_program",
]

# Every function of ours that the blinded login may run. A new one belongs here, or is a leak.
MAY_RUN = {
    "gate.allocate(p_subject bigint, p_paper text) returns void",
    "gate.assign_kit(p_dispensation bigint, p_on date, p_use_until date,"
    " p_at timestamp with time zone) returns bigint",
    "gate.code_break_request(p_subject bigint, p_by text, p_reason text, p_explanation text)"
    " returns bigint",
    "gate.code_break_opening(p_subject bigint, p_by text, p_opened_by text, p_reason text,"
    " p_explanation text, p_at timestamp with time zone) returns bigint",
    "gate.code_break_counts(p_study bigint) returns bigint[]",
    "gate.code_break_reveal(p_request bigint, p_at timestamp with time zone) returns text",
    "gate.has_cover(p_centre bigint, p_use_until date) returns boolean",
    "gate.next_on_paper(p_subject bigint, p_place text, p_cover text, p_use_until date)"
    " returns text",
    "gate.recipient_fingerprint(p_study bigint, p_recipient text) returns text",
    "public._pgtrigger_should_ignore(trigger_name name) returns boolean",
    "public.seal_history(p_most integer) returns integer",
}
# Functions that run as the owner, but for the gates and the audit trail's triggers.
ONE_SIDE = "unblinded.refuse_both_sides() returns trigger"  # iwrs/sql/one_side.sql
RUN_AS_OWNER = {
    "public._pgh_attach_context() returns uuid",
    "public.seal_history(p_most integer) returns integer",
    "unblinded.open_calls(p_kind text, p_id bigint) returns void",
    "unblinded.seal_history(p_most integer) returns integer",
    "unblinded.settle_places(p_study bigint) returns void",
    "unblinded.use_up_cover(p_cohort bigint, p_position bigint) returns void",
}
PINNED = {
    "search_path=pg_catalog, public, pg_temp",
    "client_min_messages=error",
    "debug_print_parse=off",
    "debug_print_rewritten=off",
    "debug_print_plan=off",
    "plpgsql.print_strict_params=off",
    "plan_cache_mode=force_generic_plan",
}


@pytest.fixture
def blinded(logins: Logins) -> psycopg.Connection:
    return logins.blinded()


@pytest.fixture
def unblinded(logins: Logins) -> psycopg.Connection:
    return logins.unblinded()


@pytest.fixture
def owner(logins: Logins) -> psycopg.Connection:
    return logins.owner()


def test_the_login_is_the_role_itself(blinded):
    who = blinded.execute("SELECT session_user, current_user").fetchone()
    assert who == ("iwrs_blinded", "iwrs_blinded")


@pytest.mark.requirement("REQ-042")
def test_schema_unblinded_is_closed(blinded):
    for right in ("USAGE", "CREATE"):
        [held] = catalogue.column(
            blinded, "SELECT has_schema_privilege('unblinded'::regnamespace, %s)", right
        )
        assert not held
    tables = catalogue.relations(blinded, "unblinded")
    assert len(tables) > 15
    for table in [*tables, *catalogue.relations(blinded, "unblinded", kinds="S")]:
        with pytest.raises(errors.InsufficientPrivilege):
            blinded.execute(f"SELECT * FROM {table}")


@pytest.mark.requirement("REQ-042")
def test_nothing_in_schema_unblinded_carries_a_right(blinded):
    """Not even one that the closed schema makes useless."""
    for rights in (
        catalogue.rights_on_tables,
        catalogue.rights_on_columns,
        catalogue.rights_on_sequences,
    ):
        assert rights(blinded, "iwrs_blinded", "unblinded") == set()


def test_the_whole_list_of_functions_it_may_run(blinded):
    assert catalogue.functions(blinded, "has_function_privilege(p.oid, 'EXECUTE')") == MAY_RUN


def test_the_whole_list_of_functions_that_run_as_the_owner(blinded):
    made = catalogue.functions(blinded, "p.prosecdef AND p.prorettype <> 'trigger'::regtype")
    gates = {name for name in MAY_RUN if name.startswith("gate.")}
    assert made == gates | RUN_AS_OWNER
    triggers = catalogue.functions(blinded, "p.prosecdef AND p.prorettype = 'trigger'::regtype")
    audit = {name for name in triggers if ".pgtrigger_" in name}
    assert triggers - audit == {ONE_SIDE}


def test_every_gate_pins_what_a_caller_could_turn(blinded):
    rows = blinded.execute(
        "SELECT proname, proconfig FROM pg_proc WHERE pronamespace = 'gate'::regnamespace"
    ).fetchall()
    assert len(rows) == 9
    for name, settings in rows:
        assert set(settings) >= PINNED, name


def test_every_function_that_runs_as_the_owner_pins_its_path(blinded):
    loose = catalogue.functions(
        blinded,
        "p.prosecdef AND NOT EXISTS (SELECT 1 FROM unnest(p.proconfig) s"
        " WHERE s LIKE 'search_path=%%pg_temp%%')",
    )
    assert loose == set()


def test_nothing_outside_reads_schema_unblinded(blinded):
    """No view, foreign key or other function is a window into it."""
    views = catalogue.column(
        blinded,
        "SELECT DISTINCT v.oid::regclass::text FROM pg_depend d"
        " JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass"
        " JOIN pg_class v ON v.oid = r.ev_class JOIN pg_class t ON t.oid = d.refobjid"
        " WHERE t.relnamespace = 'unblinded'::regnamespace"
        " AND v.relnamespace <> 'unblinded'::regnamespace",
    )
    keys = catalogue.column(
        blinded,
        "SELECT k.conname FROM pg_constraint k JOIN pg_class f ON f.oid = k.conrelid"
        " JOIN pg_class t ON t.oid = k.confrelid WHERE k.contype = 'f'"
        " AND t.relnamespace = 'unblinded'::regnamespace"
        " AND f.relnamespace <> 'unblinded'::regnamespace",
    )
    readers = catalogue.functions(
        blinded,
        "n.nspname <> 'unblinded' AND p.prosrc ~ 'unblinded\"?[.]'"
        " AND p.prorettype <> 'trigger'::regtype",
    )
    assert (views, keys) == ([], [])
    assert readers <= {name for name in MAY_RUN if name.startswith("gate.")}


def test_audit_triggers_of_public_tables_write_to_public_tables(blinded):
    """A trigger that runs as the owner would be a gate nobody reviewed.

    One is reviewed: it asks the other side whether an e-mail address holds a role in the study.
    """
    writers = catalogue.functions(
        blinded,
        "p.prosrc ~ 'unblinded\"?[.]' AND EXISTS (SELECT 1 FROM pg_trigger t"
        " JOIN pg_class c ON c.oid = t.tgrelid"
        " WHERE t.tgfoid = p.oid AND c.relnamespace = 'public'::regnamespace)",
    )
    assert writers == {ONE_SIDE}


def test_what_is_added_later_is_closed_from_its_first_moment(owner):
    """The owner's default privileges, tried on new objects in a transaction that is undone."""
    with owner.transaction(force_rollback=True):
        owner.execute("CREATE TABLE unblinded.later (arm text)")
        owner.execute("CREATE VIEW unblinded.later_view AS SELECT arm FROM unblinded.later")
        owner.execute("CREATE SEQUENCE unblinded.later_seq")
        for schema in ("unblinded", "gate", "public"):
            owner.execute(
                f"CREATE FUNCTION {schema}.later() RETURNS text LANGUAGE sql"
                " AS 'SELECT arm FROM unblinded.later'"
            )
        assert catalogue.rights_on_tables(owner, "iwrs_blinded", "unblinded") == set()
        assert catalogue.rights_on_columns(owner, "iwrs_blinded", "unblinded") == set()
        assert catalogue.rights_on_sequences(owner, "iwrs_blinded", "unblinded") == set()
        mine = catalogue.functions(
            owner, "has_function_privilege('iwrs_blinded', p.oid, 'EXECUTE')"
        )
        assert mine == MAY_RUN


def test_no_role_is_a_member_of_another(blinded):
    members = catalogue.column(
        blinded,
        "SELECT pg_get_userbyid(member) FROM pg_auth_members"
        " WHERE pg_get_userbyid(member) LIKE 'iwrs%%'"
        " AND pg_get_userbyid(member) <> 'iwrs_test'",  # the tests' own login, not in production
    )
    assert members == []
    powers = blinded.execute(
        "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
        " OR rolinherit FROM pg_roles WHERE rolname = ANY(%s)",
        [["iwrs_blinded", "iwrs_unblinded", "iwrs_owner"]],
    ).fetchall()
    assert powers == [(False,)] * 3


@pytest.mark.requirement("REQ-023")
@pytest.mark.parametrize("role", OTHERS)
def test_it_cannot_become_another_role(blinded, role):
    attempts = [
        f"SET ROLE {role}",
        f"SET LOCAL ROLE {role}",
        f"SET SESSION AUTHORIZATION {role}",
        f"SELECT set_config('role', '{role}', false)",
        f"SELECT set_config('session_authorization', '{role}', false)",
        f"GRANT {role} TO iwrs_blinded",
        f"ALTER ROLE {role} PASSWORD 'x'",
    ]
    for attempt in attempts:
        with pytest.raises((errors.InsufficientPrivilege, errors.ReservedName)):
            blinded.execute(attempt)
    blinded.execute("RESET ROLE")
    blinded.execute("RESET SESSION AUTHORIZATION")
    assert blinded.execute("SELECT current_user").fetchone() == ("iwrs_blinded",)


def test_a_default_of_its_own_does_not_make_it_another_role(blinded, logins):
    """A role may set its own defaults; `role` among them is ignored at the next login."""
    [database] = catalogue.column(blinded, "SELECT quote_ident(current_database())")
    own = f"ALTER ROLE iwrs_blinded IN DATABASE {database}"
    try:
        blinded.execute(f"{own} SET role = 'iwrs_owner'")
        again = logins.blinded()
        assert again.execute("SELECT current_user").fetchone() == ("iwrs_blinded",)
        with pytest.raises(errors.InsufficientPrivilege):
            again.execute("SELECT arm FROM unblinded.allocation")
    finally:
        blinded.execute(f"{own} RESET role")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.x (a int)",
        "CREATE TABLE gate.x (a int)",
        "CREATE TEMP TABLE x (a int)",
        "CREATE SCHEMA x",
        "CREATE FUNCTION public.x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION pg_temp.x() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE public.x AS ENUM ('a')",
        "CREATE VIEW public.x AS SELECT 1",
        "CREATE EXTENSION IF NOT EXISTS pg_trgm",
        "CREATE EVENT TRIGGER x ON sql_drop EXECUTE FUNCTION public.refuse_change()",
        "CREATE PUBLICATION x",
        "ALTER TABLE public.enrolment_subject DISABLE TRIGGER ALL",
        "ALTER TABLE public.enrolment_subject ADD COLUMN x int",
        "DROP TRIGGER frozen_facts ON public.enrolment_subject",
        "ALTER FUNCTION gate.allocate(bigint, text) RESET ALL",
        "ALTER SYSTEM SET log_statement = 'all'",
        "SET log_statement = 'all'",
        "SET log_error_verbosity = verbose",
        "SET track_functions = 'all'",
        "SET session_replication_role = replica",
        "SET session_preload_libraries = 'auto_explain'",
        "LOAD '/tmp/x'",
        "COPY (SELECT 1) TO PROGRAM 'cat'",
        "COPY (SELECT 1) TO '/tmp/x'",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT pg_ls_dir('.')",
        "SELECT pg_ls_waldir()",
        "SELECT lo_import('/etc/passwd')",
        "SELECT * FROM pg_statistic",
        "SELECT * FROM pg_authid",
        "SELECT pg_create_logical_replication_slot('x', 'test_decoding')",
        "SELECT unblinded.open_calls('centre', 1)",
        "SELECT unblinded.calls_made('centre', 1)",
        "SELECT unblinded.draw_call('centre', 1)",
    ],
)
def test_it_makes_nothing_and_reads_no_server_file(blinded, statement):
    with pytest.raises(psycopg.Error) as refused:
        blinded.execute(statement)
    # 42501 insufficient privilege; 42704 for CREATE in the temporary schema it cannot have;
    # 0A000 and 58P01 where an extension or library is not even installed.
    assert refused.value.sqlstate in {"42501", "42704", "3F000", "0A000", "58P01"}


def test_vacuum_cannot_refresh_the_sizes_of_unblinded_tables(blinded):
    notices = []
    blinded.add_notice_handler(lambda said: notices.append(said.message_primary))
    with pytest.raises(errors.InsufficientPrivilege):
        blinded.execute("ANALYZE unblinded.allocation")
    assert notices == []


@pytest.mark.requirement("REQ-023")
def test_it_has_no_right_to_create_anywhere(blinded):
    open_schemas = catalogue.column(
        blinded, "SELECT nspname FROM pg_namespace WHERE has_schema_privilege(oid, 'CREATE')"
    )
    open_databases = catalogue.column(
        blinded,
        "SELECT datname || r FROM pg_database, unnest(ARRAY['CREATE', 'TEMP']) r"
        " WHERE has_database_privilege(oid, r)",
    )
    assert (open_schemas, open_databases) == ([], [])


def test_only_the_language_of_the_gates_is_installed(blinded):
    assert catalogue.column(blinded, "SELECT extname FROM pg_extension") == ["plpgsql"]


@pytest.mark.requirement("REQ-009")
def test_on_public_tables_it_never_deletes_but_tokens_sessions_and_factors(blinded):
    rights = catalogue.rights_on_tables(blinded, "iwrs_blinded", "public")
    strong = {each for each in rights if not each.startswith(("SELECT", "INSERT", "UPDATE"))}
    tokens = {"accesstoken", "refreshtoken", "grant", "idtoken"}
    assert strong == {"DELETE on django_session", "DELETE on mfa_authenticator"} | {
        f"DELETE on oauth2_provider_{each}" for each in tokens
    }
    assert catalogue.rights_on_sequences(blinded, "iwrs_blinded", "public") == set()


@pytest.mark.requirement("REQ-009")
@pytest.mark.parametrize(
    ("schema", "deletes"),
    [("public", set()), ("unblinded", {"django_session", "mfa_authenticator"})],
)
def test_the_unblinded_login_never_deletes_but_its_own_sessions_and_factors(
    unblinded, schema, deletes
):
    rights = catalogue.rights_on_tables(unblinded, "iwrs_unblinded", schema)
    strong = {each for each in rights if not each.startswith(("SELECT", "INSERT", "UPDATE"))}
    assert strong == {f"DELETE on {each}" for each in deletes}
    assert len(rights) > 15  # it reads the schema at all
    sequences = catalogue.rights_on_sequences(unblinded, "iwrs_unblinded", schema)
    assert not {each for each in sequences if not each.startswith("SELECT")}


@pytest.mark.requirement("REQ-042")
def test_it_cannot_write_kits(blinded):
    """The kit gate asks whether a visit's kit is at its centre: its caller must not decide that."""
    rights = {
        *catalogue.rights_on_tables(blinded, "iwrs_blinded", "public"),
        *catalogue.rights_on_columns(blinded, "iwrs_blinded", "public"),
    }
    kits = {each for each in rights if "dispensing_kit" in each.split(" on ")[1]}
    assert kits
    assert all(each.startswith("SELECT") for each in kits)
    for change in ("status = 'retired'", "status = 'at_centre'", "centre_id = NULL", "id = id"):
        with pytest.raises(errors.InsufficientPrivilege):
            blinded.execute(f"UPDATE dispensing_kit SET {change}")
    with pytest.raises(errors.InsufficientPrivilege):
        blinded.execute("SELECT 1 FROM dispensing_kit FOR UPDATE")
