"""From records to the sealed bytes of one announced size."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date

from dsmb.analysis import (
    Arm,
    PackageTooLarge,
    Procedure,
    SubjectRecord,
    build_package,
    derive_adsl,
    derive_adtte,
    pack,
    pad,
    pairs_of,
    seal,
)
from dsmb.analysis.report import csv_bytes
from iwrs.models import Study

# Summary, results, manifest and the zip's own bookkeeping: their length depends on the arms'
# numbers, so it is not looked at; it stays far below this.
REST_BYTES = 16 * 1024
# With more than two arms, for each arm, pair and subject besides: numbers at their longest.
ARM_BYTES = 6 * 1024
PAIR_BYTES = 6 * 1024
SUBJECT_BYTES = 20
SIMULATED = "Simulated data: no real person is in this package."


def sealed_package(
    study: Study,
    records: Sequence[SubjectRecord],
    arms: Iterable[Arm],
    cut: date,
    public_key: str,
    *,
    procedures: Sequence[Procedure] = (),
) -> bytes:
    """The closed report and datasets, padded to the study's announced size and encrypted.

    Raises `PackageTooLarge`, and what `build_package` and `seal` raise.
    """
    size = study.definition.release.package_kib * 1024
    arms = list(arms)
    needed = most_bytes(records, arms, cut, procedures)
    if needed > size:
        raise PackageTooLarge(needed=needed, allowed=size)
    files = build_package(
        records,
        cut,
        study_title=study.title,
        simulated_note=SIMULATED if study.simulated else None,
        procedures=procedures,
        arms=arms,
    )
    return seal(pad(pack(files), size=size), [public_key])


def most_bytes(
    records: Sequence[SubjectRecord],
    arms: Iterable[Arm],
    cut: date,
    procedures: Sequence[Procedure] = (),
) -> int:
    """What a package could need at most, whoever is in which arm.

    Whether a package fits is seen from outside ("failed"). If it hung on the true arms, somebody
    who may choose the size and the cut could count an arm's subjects by the length of its label;
    so the question is asked of records that all carry the longest code and label.
    """
    given = list(arms)
    longest = Arm(_longest(arm.code for arm in given), _longest(arm.label for arm in given))
    same = [replace(record, arm=longest) for record in records]
    rows = len(csv_bytes(derive_adsl(same, cut))) + len(csv_bytes(derive_adtte(same, cut)))
    return rows + REST_BYTES + _several_bytes(same, given, several_lists=len(procedures) > 1)


def _several_bytes(
    records: Sequence[SubjectRecord], arms: Sequence[Arm], *, several_lists: bool
) -> int:
    """What more than two arms add: tables by arm and pair, and every subject in its period. Of two
    arms, the subjects when lists may have differed in their ratio.
    """
    subjects = sum(len(record.course.subject) + SUBJECT_BYTES for record in records)
    if len(arms) <= 2:
        return subjects if several_lists else 0
    return len(arms) * ARM_BYTES + len(pairs_of(arms)) * PAIR_BYTES + subjects


def _longest(texts: Iterable[str]) -> str:
    return max(texts, key=lambda text: len(csv_bytes([{"text": text}])))
