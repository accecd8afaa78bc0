"""The SQL of the audit trail. Names of tables and columns come from the models, and everything that
a person typed is a parameter.
"""
# ruff: noqa: S608

from collections.abc import Iterator
from typing import Any

from django.conf import settings

from iwrs.models import Study
from trial.audit.narrowing import Filter, Place
from trial.audit.sources import Source
from trial.audit.words import CODE_BREAK_ACTS, CODE_BREAK_FIELDS, is_of_code_breaks, is_secret


def fits(source: Source, wanted: Filter) -> bool:
    """True when the table can have rows that are wanted."""
    if wanted.tables and source.key not in wanted.tables:
        return False
    if not wanted.code_breaks and is_of_code_breaks(source.model):
        return False
    if wanted.accounts is not None and (not wanted.accounts or source.person() is None):
        return False
    if wanted.subjects is not None:
        return source.subject() is not None
    return source.study() is not None or source.person() is not None


def newest(
    source: Source, wanted: Filter, before: Place | None, size: int
) -> tuple[str, list[Any]]:
    """The newest rows of one table that fit."""
    where, values = _scope(source, wanted)
    for condition, its_values in _narrowed(source, wanted):
        where.append(condition)
        values += its_values
    at, row = f"e.{source.at}", f"e.{source.id}"
    if before is not None:
        if source.key == before.source:
            where.append(f"({at}, {row}) < (%s, %s)")
            values += [before.at, before.id]
        else:
            where.append(f"{at} {'<=' if source.key < before.source else '<'} %s")
            values.append(before.at)
    subject, centre = source.subject() or "NULL::bigint", source.centre() or "NULL::bigint"
    sql = (
        f"SELECT '{source.key}' COLLATE \"C\" AS source, {at} AS at, {row}::bigint AS id,"
        f" {source.label} AS label, {source.context} AS context,"
        f" {subject} AS subject, {centre} AS centre, {source.request} AS request"
        f" FROM {source.table} e WHERE {' AND '.join(where)}"
        f" ORDER BY {at} DESC, {row} DESC LIMIT %s"
    )
    return sql, [*values, size]


def _scope(source: Source, wanted: Filter) -> tuple[list[str], list[Any]]:
    if wanted.subjects is not None:
        return [f"{source.subject()} = ANY (%s)"], [list(wanted.subjects)]
    study = source.study()
    if study is not None:
        return [f"{study} = %s"], [wanted.study.pk]
    # Who came to the door without an account belongs to no study: every reader of a trail sees it.
    nobody = f" OR {source.person()} IS NULL" if source.record is not None else ""
    clients: list[Any] = []
    if nobody and settings.SIDE == "blinded":  # an EDC system has no account, and one study
        own = "SELECT client_id FROM iwrs_edcclient WHERE study_id = %s"
        nobody += f" AND (e.client = '' OR e.client IN ({own}))"
        clients = [wanted.study.pk]
    people, values = _people(wanted.study)
    return [f"({source.person()} IN ({people}){nobody})"], [*values, *clients]


def _people(study: Study) -> tuple[str, list[Any]]:
    """SQL: the accounts of this side that hold or held a role in the study.

    An account of the other side may have the same key: the unblinded side has no roles at centres.
    """
    people = "SELECT user_id FROM accounts_studyrole WHERE study_code = %s"
    if settings.SIDE != "blinded":
        return people, [study.code]
    at_centres = (
        "SELECT r.user_id FROM enrolment_centrerole r"
        " JOIN enrolment_centre c ON c.id = r.centre_id WHERE c.study_id = %s"
    )
    return f"{people} UNION {at_centres}", [study.code, study.pk]


def accounts_called(study: Study, text: str) -> tuple[str, list[Any]]:
    """SQL: key and e-mail address of the study's accounts whose name or address has, or once had,
    the text in it. Nobody else's, so that it does not tell who has an account."""
    people, values = _people(study)
    called = f"IN ({people}) AND (a.name ILIKE %s OR a.email ILIKE %s)"
    values = [*values, _containing(text), _containing(text)]
    sql = (
        f"SELECT a.id, a.email FROM accounts_user a WHERE a.id {called}"
        f" UNION SELECT a.pgh_obj_id, a.email FROM accounts_userevent a WHERE a.pgh_obj_id {called}"
    )
    return sql, [*values, *values]


def _narrowed(source: Source, wanted: Filter) -> Iterator[tuple[str, list[Any]]]:
    """SQL conditions on a row `e`, each with its values."""
    context = f"({source.context})"
    if wanted.since is not None:
        yield f"e.{source.at} >= %s", [wanted.since]
    if wanted.until is not None:
        yield f"e.{source.at} < %s", [wanted.until]
    if wanted.accounts is not None:
        yield f"{source.person()} = ANY (%s)", [list(wanted.accounts)]
    if wanted.by:
        yield f"{context} ->> 'by' ILIKE %s", [_containing(wanted.by)]
    if wanted.act:
        yield f"{context} ->> 'act' ILIKE %s", [_containing(wanted.act)]
    if wanted.acts:
        yield f"{context} ->> 'act' = ANY (%s)", [list(wanted.acts)]
    if wanted.labels:
        yield f"{source.label} = ANY (%s)", [list(wanted.labels)]
    if not wanted.code_breaks:
        yield f"coalesce({context} ->> 'act', '') <> ALL (%s)", [list(CODE_BREAK_ACTS)]
    if wanted.field:
        yield _changed(source, wanted.field), []
    if wanted.text:
        shown = [
            f"e.{each.column}::text"
            for each in source.fields
            if not is_secret(each) and (wanted.code_breaks or each.name not in CODE_BREAK_FIELDS)
        ]
        about = [f"{context} ->> 'why'", f"{context} ->> 'act'", source.request]
        everything = ", ".join([*shown, *about])
        yield f"concat_ws(' ', {everything}) ILIKE %s", [_containing(wanted.text)]


def _changed(source: Source, name: str) -> str:
    """SQL: the row gave a field another value than the row before it of the same object."""
    column = next((each.column for each in source.fields if each.name == name), None)
    if column is None or source.record is not None:
        return "false"
    return (
        f"e.pgh_label = 'update' AND e.{column} IS DISTINCT FROM (SELECT p.{column}"
        f" FROM {source.table} p WHERE p.pgh_obj_id = e.pgh_obj_id AND p.pgh_id < e.pgh_id"
        " ORDER BY p.pgh_id DESC LIMIT 1)"
    )


def rows_of(source: Source) -> str:
    """SQL: key and values of rows of a table, and the values of the row before of the same object.
    One parameter: the keys."""
    before = "NULL::jsonb"
    if source.record is None:
        before = (
            f"(SELECT {_as_json(source, 'p')} FROM {source.table} p WHERE p.pgh_obj_id ="
            " e.pgh_obj_id AND p.pgh_id < e.pgh_id ORDER BY p.pgh_id DESC LIMIT 1)"
        )
    return (
        f"SELECT '{source.key}', e.{source.id}::bigint, {_as_json(source, 'e')}, {before}"
        f" FROM {source.table} e WHERE e.{source.id} = ANY (%s)"
    )


def _as_json(source: Source, name: str) -> str:
    """SQL: the fields of a row. Of a secret field only a fingerprint leaves the database."""
    pairs = []
    for each in source.fields:
        value = f"{name}.{each.column}"
        if is_secret(each):
            value = f"md5({value}::text)"
        pairs.append(f"'{each.name}', {value}")
    return f"jsonb_build_object({', '.join(pairs)})"


def _containing(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
