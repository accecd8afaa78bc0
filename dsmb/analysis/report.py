"""The files of a DSMB package: datasets, one-page summary, results as JSON, manifest.

Bytes depend on the arguments only: no time of building, LF line ends, UTF-8, rows in subject
order, numbers in JSON at ten significant digits. What a sample cannot support is said inside the
files, so that a package always comes out and its existence tells nothing.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from dsmb.analysis.comparison import Comparison, EndPoint, compare
from dsmb.analysis.counting import NotEstimable
from dsmb.analysis.course import Arm, SubjectRecord
from dsmb.analysis.derivation import at_cut, derive_adsl, derive_adtte
from dsmb.analysis.formats import (
    DAYS_PER_MONTH,
    HAZARD_RATIO,
    LOGRANK,
    RERANDOMIZATION,
    WIDTH,
    arm_json,
    arm_name,
    counts_json,
    counts_lines,
    not_estimable,
    outcome_lines,
    p_text,
    periods_json,
    periods_text,
    statistic,
    wrapped,
)
from dsmb.analysis.outcome import PARAMS
from dsmb.analysis.report_several import results_of_several, summary_of_several
from dsmb.analysis.rerandomization import Procedure, ReRandomization

PACKAGE_VERSION = 1
SEVERAL_VERSION = 2  # more than two arms: each end point has pairs


def build_package(
    records: Iterable[SubjectRecord],
    cut: date,
    *,
    study_title: str,
    simulated_note: str | None = None,
    procedures: Sequence[Procedure] = (),
    arms: Iterable[Arm] = (),
) -> dict[str, bytes]:
    """File name to content: adsl.csv, adtte.csv, summary.txt, results.json, manifest.json.

    `simulated_note`, when given, heads the summary and stands in the results and the manifest, so
    that simulated numbers cannot pass for a trial's. `procedures`, `arms`: see `compare`. The
    manifest carries the SHA-256 of the other files and belongs inside the seal. Raises
    `DerivationError` or `ReportError` on records that cannot be true or compared.
    """
    given = list(records)
    comparison = compare(given, cut, procedures, arms)
    heading = {"study": study_title, "data_cut": cut.isoformat(), "note": simulated_note}
    files = {
        "adsl.csv": csv_bytes(derive_adsl(given, cut)),
        "adtte.csv": csv_bytes(derive_adtte(given, cut)),
        "summary.txt": summary(comparison, study_title, simulated_note).encode(),
        "results.json": _json_bytes(heading | _results(comparison, given)),
    }
    version = SEVERAL_VERSION if comparison.several else PACKAGE_VERSION
    return files | {"manifest.json": _manifest(files, heading, version)}


def check_manifest(files: Mapping[str, bytes]) -> list[str]:
    """Names of files that are missing, unlisted or differ from manifest.json; empty when intact."""
    if "manifest.json" not in files:
        return ["manifest.json"]
    listed = json.loads(files["manifest.json"])["sha256"]
    found = {name: _digest(content) for name, content in files.items() if name != "manifest.json"}
    return sorted(name for name in listed | found if listed.get(name) != found.get(name))


def csv_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as CSV with a header; a missing value is an empty field. No rows, no columns: empty."""
    text = io.StringIO(newline="")
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue().encode()


def _results(comparison: Comparison, records: Sequence[SubjectRecord]) -> dict[str, Any]:
    """The summary's numbers for machines; `cannot_be_estimated` stands where a number cannot."""
    subjects = [record.course.subject for record in at_cut(records, comparison.cut)]
    if comparison.several:
        return results_of_several(comparison, subjects)
    periods = comparison.periods
    return {
        "days_per_month": DAYS_PER_MONTH,
        "arms": [counts_json(counts) for counts in comparison.counts],
        **({"periods": periods_json(periods, subjects)} if len(periods) > 1 else {}),
        "end_points": {point.param: _end_point_json(point) for point in comparison.end_points},
    }


def summary(comparison: Comparison, study_title: str, simulated_note: str | None) -> str:
    """The closed report as plain text: one page, with more than two arms perhaps two."""
    lines = [*wrapped(study_title), f"Closed report for the committee. Data cut: {comparison.cut}"]
    if simulated_note:
        lines += wrapped(f"NOTE: {simulated_note}")
    lines.append("=" * WIDTH)
    rest = summary_of_several if comparison.several else _summary_of_two
    return "\n".join([*lines, *rest(comparison)]) + "\n"


def _summary_of_two(comparison: Comparison) -> list[str]:
    lines = counts_lines(comparison.counts, arm_name)
    for point in comparison.end_points:
        lines += ["", *_end_point_lines(point)]
    return [
        *lines,
        "",
        "-" * WIDTH,
        "Hazard ratio: stratified Cox model (Efron), first arm to control; below 1 favours the",
        "first arm. Log-rank: stratified by the randomization strata, p two-sided. Medians:",
        f"Kaplan-Meier, log-log interval, months of {DAYS_PER_MONTH} days. NR: not reached.",
        *_by_period(comparison),
        *_how_repeated(comparison),
    ]


def _end_point_lines(point: EndPoint) -> list[str]:
    lines = outcome_lines(point.param, point.arms, arm_name)
    ratio, test = point.hazard_ratio, point.logrank
    if isinstance(ratio, NotEstimable):
        lines += not_estimable("Hazard ratio", ratio)
    else:
        interval = f"{ratio.low:.2f} to {ratio.high:.2f}"
        lines.append(f"  Hazard ratio {ratio.hazard_ratio:.2f} (95% CI {interval})")
    if isinstance(test, NotEstimable):
        lines += not_estimable("Log-rank test", test)
    else:
        lines.append(f"  Log-rank chi-squared {test.chi2:.2f}, {p_text(test.p_two_sided)}")
    again = point.rerandomization
    if isinstance(again, ReRandomization):
        interval = f"{again.low:.4f} to {again.high:.4f}"
        lines.append(f"  Re-randomization {p_text(again.p_two_sided)} ({interval} by simulation)")
    return lines


def _by_period(comparison: Comparison) -> list[str]:
    """That a later list brought another ratio, and what the tests make of it."""
    if len(comparison.periods) < 2:
        return []
    return wrapped(
        f"The ratio changed (subjects randomized): {periods_text(comparison.periods)}. The hazard"
        " ratio and the tests are stratified by these periods too; events and medians are of all"
        " subjects of an arm."
    )


def _how_repeated(comparison: Comparison) -> list[str]:
    """What the re-randomization test is, once for the page."""
    done = (point.rerandomization for point in comparison.end_points)
    again = next((each for each in done if isinstance(each, ReRandomization)), None)
    if again is None:
        return []
    return [
        "Re-randomization: where the log-rank statistic lies when the same subjects are randomized",
        f"again as they were, {again.repeats:,} times with seed {again.seed}; p two-sided.",
    ]


def _end_point_json(point: EndPoint) -> dict[str, Any]:
    return {
        "label": PARAMS[point.param],
        "arms": [arm_json(arm) for arm in point.arms],
        "hazard_ratio": statistic(point.hazard_ratio, HAZARD_RATIO),
        "logrank": statistic(point.logrank, LOGRANK),
    } | _repeated_json(point)


def _repeated_json(point: EndPoint) -> dict[str, Any]:
    if point.rerandomization is None:
        return {}
    return {"rerandomization": statistic(point.rerandomization, RERANDOMIZATION)}


def _manifest(files: Mapping[str, bytes], heading: Mapping[str, Any], version: int) -> bytes:
    hashes = {name: _digest(content) for name, content in sorted(files.items())}
    return _json_bytes({**heading, "package_version": version, "sha256": hashes})


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json_bytes(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
