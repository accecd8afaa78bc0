"""ADSL and ADTTE at a data cut: rows as dictionaries, one key per ADaM variable.

Source: CDISC ADaM Implementation Guide and the ADaM structure for time-to-event analyses. The
rules for events and censoring are the tables of `dsmb.analysis.outcome`; `docs/analysis.md` gives
every column. Dates are `datetime.date` or None, times whole days. Rows are in
subject order, so that equal input gives equal bytes whatever the order of the records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from itertools import pairwise
from typing import Any

from dsmb.analysis.course import Course, DerivationError, SubjectRecord
from dsmb.analysis.outcome import PARAMS, derive_outcome, happened, last_alive

Row = dict[str, Any]


def derive_adsl(records: Iterable[SubjectRecord], cut: date) -> list[Row]:
    """One row per subject randomized on or before the cut.

    STRATAR is the stratum as randomized with STRATARN its number in alphabetical order; STRATwD
    and STRATwR are the name and level of factor w. STRATAV and STRATwV are the same as verified
    afterwards; no analysis uses them. RNDERFL marks who was randomized in error; they are analysed
    as randomized. TRT01A is the arm of a subject who took at
    least one dose and is empty otherwise.
    """
    included = at_cut(records, cut)
    numbers = _stratum_numbers(record.course for record in included)
    return [_adsl_row(record, cut, numbers) for record in included]


def derive_adtte(records: Iterable[SubjectRecord], cut: date) -> list[Row]:
    """One row per subject and PARAMCD (PFSINV, PFSIRC, OS); AVAL = ADT - STARTDT + 1 days."""
    included = at_cut(records, cut)
    numbers = _stratum_numbers(record.course for record in included)
    return [row for record in included for row in _adtte_rows(record, cut, numbers)]


def at_cut(records: Iterable[SubjectRecord], cut: date) -> list[SubjectRecord]:
    """Records of subjects randomized on or before the cut, by subject; each subject once."""
    included = [record for record in records if record.course.randomized_on <= cut]
    included.sort(key=lambda record: record.course.subject)
    for first, second in pairwise(included):
        if first.course.subject == second.course.subject:
            raise DerivationError(f"subject {first.course.subject} is given twice")
    return included


def stratum_of(course: Course) -> str:
    """The stratum as randomized in one text: `visceral=yes, sensitive=no`."""
    return _in_one_text(course.strata)


def _in_one_text(levels: Mapping[str, str]) -> str:
    return ", ".join(f"{factor}={level}" for factor, level in levels.items())


def _stratum_numbers(courses: Iterable[Course]) -> dict[str, int]:
    factors: tuple[str, ...] | None = None
    seen = set()
    for course in courses:
        factors = tuple(course.strata) if factors is None else factors
        if tuple(course.strata) != factors:
            raise DerivationError(
                f"subject {course.subject}: stratification factors {tuple(course.strata)} differ "
                f"from those of the subjects before, {factors}"
            )
        seen.add(stratum_of(course))
    return {stratum: number for number, stratum in enumerate(sorted(seen), start=1)}


def _adsl_row(record: SubjectRecord, cut: date, numbers: dict[str, int]) -> Row:
    course, arm = record.course, record.arm
    treated, died = happened(course.first_dose_on, cut), happened(course.died_on, cut)
    row: Row = {
        "USUBJID": course.subject,
        "SITEID": course.centre,
        "COUNTRY": course.country,
        "AGE": course.age,
        "AGEU": "YEARS" if course.age is not None else None,
        "ARMCD": arm.code,
        "ARM": arm.label,
        "TRT01P": arm.label,
        "TRT01A": arm.label if treated else None,
        "RANDDT": course.randomized_on,
        "TRTSDT": course.first_dose_on if treated else None,
        "TRTEDT": _when(course.drug_stopped_on, cut) if treated else None,
        "ITTFL": "Y",
        "SAFFL": "Y" if treated else "N",
        "STRATAR": stratum_of(course),
        "STRATARN": numbers[stratum_of(course)],
    }
    for number, (factor, level) in enumerate(course.strata.items(), start=1):
        row[f"STRAT{number}D"] = factor
        row[f"STRAT{number}R"] = level
    # A list may be stratified by the centre or its country too, which nobody verifies.
    verified = {**course.strata, **(course.verified_strata or {})}
    row["STRATAV"] = _in_one_text({factor: verified[factor] for factor in course.strata})
    for number, factor in enumerate(course.strata, start=1):
        row[f"STRAT{number}V"] = verified[factor]
    wrong = happened(course.randomized_in_error_on, cut)
    row |= {
        "RNDERFL": "Y" if wrong else None,
        "RNDERDT": _when(course.randomized_in_error_on, cut),
        "NEWTHDT": _when(course.new_therapy_on, cut),
        "WITHDT": _when(course.withdrew_on, cut),
        "DTHDT": _when(course.died_on, cut),
        "DTHFL": "Y" if died else None,
        "LSTALVDT": last_alive(course, cut)[0],
        "DCUTDT": cut,
    }
    return row


def _adtte_rows(record: SubjectRecord, cut: date, numbers: dict[str, int]) -> list[Row]:
    course = record.course
    rows = []
    for code, name in PARAMS.items():
        outcome = derive_outcome(course, cut, code)
        rows.append(
            {
                "USUBJID": course.subject,
                "SITEID": course.centre,
                "TRT01P": record.arm.label,
                "ITTFL": "Y",
                "STRATAR": stratum_of(course),
                "STRATARN": numbers[stratum_of(course)],
                "PARAMCD": code,
                "PARAM": name,
                "STARTDT": course.randomized_on,
                "ADT": outcome.on,
                "AVAL": (outcome.on - course.randomized_on).days + 1,
                "AVALU": "DAYS",
                "CNSR": outcome.cnsr,
                "EVNTDESC": outcome.description,
                "CNSDTDSC": outcome.source.description if outcome.cnsr else None,
                "SRCDOM": outcome.source.domain,
                "SRCVAR": outcome.source.variable,
                "SRCSEQ": outcome.source.sequence,
            }
        )
    return rows


def _when(when: date | None, cut: date) -> date | None:
    return when if happened(when, cut) else None
