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
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import date
from typing import Any

from dsmb.analysis.comparison import ArmCounts, ArmOutcome, Comparison, EndPoint, compare
from dsmb.analysis.counting import NotEstimable
from dsmb.analysis.course import SubjectRecord
from dsmb.analysis.derivation import derive_adsl, derive_adtte
from dsmb.analysis.outcome import CENSORING, PARAMS
from dsmb.analysis.rerandomization import Procedure, ReRandomization

DAYS_PER_MONTH = 30.4375
PACKAGE_VERSION = 1
WIDTH = 100


def build_package(
    records: Iterable[SubjectRecord],
    cut: date,
    *,
    study_title: str,
    simulated_note: str | None = None,
    procedures: Sequence[Procedure] = (),
) -> dict[str, bytes]:
    """File name to content: adsl.csv, adtte.csv, summary.txt, results.json, manifest.json.

    `simulated_note`, when given, heads the summary and stands in the results and the manifest, so
    that simulated numbers cannot pass for a trial's. `procedures`: see `compare`. The manifest
    carries the SHA-256 of the other files and belongs inside the seal. Raises `DerivationError` or
    `ReportError` on records that cannot be true or compared.
    """
    given = list(records)
    comparison = compare(given, cut, procedures)
    heading = {"study": study_title, "data_cut": cut.isoformat(), "note": simulated_note}
    files = {
        "adsl.csv": csv_bytes(derive_adsl(given, cut)),
        "adtte.csv": csv_bytes(derive_adtte(given, cut)),
        "summary.txt": summary(comparison, study_title, simulated_note).encode(),
        "results.json": _json_bytes(heading | results(comparison)),
    }
    return files | {"manifest.json": _manifest(files, heading)}


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


def results(comparison: Comparison) -> dict[str, Any]:
    """The summary's numbers for machines; `cannot_be_estimated` stands where a number cannot."""
    return {
        "days_per_month": DAYS_PER_MONTH,
        "arms": [_counts_json(counts) for counts in comparison.counts],
        "end_points": {point.param: _end_point_json(point) for point in comparison.end_points},
    }


def summary(comparison: Comparison, study_title: str, simulated_note: str | None) -> str:
    """The closed report on one page of plain text."""
    lines = [*_wrapped(study_title), f"Closed report for the committee. Data cut: {comparison.cut}"]
    if simulated_note:
        lines += _wrapped(f"NOTE: {simulated_note}")
    lines += ["=" * WIDTH, *_counts_lines(comparison.counts)]
    for point in comparison.end_points:
        lines += ["", *_end_point_lines(point)]
    lines += [
        "",
        "-" * WIDTH,
        "Hazard ratio: stratified Cox model (Efron), first arm to control; below 1 favours the",
        "first arm. Log-rank: stratified by the randomization strata, p two-sided. Medians:",
        f"Kaplan-Meier, log-log interval, months of {DAYS_PER_MONTH} days. NR: not reached.",
        *_how_repeated(comparison),
    ]
    return "\n".join(lines) + "\n"


def _counts_lines(arms: Sequence[ArmCounts]) -> list[str]:
    if not arms:
        return ["No subject was randomized on or before the data cut."]
    head = f"{'Arm':<56}{'randomized':>11}{'treated':>9}{'on treatment':>14}{'deaths':>8}"
    rows = [
        f"{_arm_name(c.arm.label, c.arm.control):<56}{c.randomized:>11}{c.treated:>9}"
        f"{c.on_treatment:>14}{c.deaths:>8}"
        for c in arms
    ]
    return [head, *rows]


def _end_point_lines(point: EndPoint) -> list[str]:
    title = f"{point.param}  {PARAMS[point.param].removesuffix(' (days)')}"
    lines = [f"{title:<56}{'subjects':>9}{'events':>8}   median (95% CI), months"]
    for arm in point.arms:
        label = _arm_name(arm.arm.label, arm.arm.control)
        lines.append(f"  {label:<54}{arm.subjects:>9}{arm.events:>8}   {_median_text(arm)}")
    ratio, test = point.hazard_ratio, point.logrank
    if isinstance(ratio, NotEstimable):
        lines += _not_estimable("Hazard ratio", ratio)
    else:
        interval = f"{ratio.low:.2f} to {ratio.high:.2f}"
        lines.append(f"  Hazard ratio {ratio.hazard_ratio:.2f} (95% CI {interval})")
    if isinstance(test, NotEstimable):
        lines += _not_estimable("Log-rank test", test)
    else:
        lines.append(f"  Log-rank chi-squared {test.chi2:.2f}, {_p_text(test.p_two_sided)}")
    again = point.rerandomization
    if isinstance(again, ReRandomization):
        interval = f"{again.low:.4f} to {again.high:.4f}"
        lines.append(f"  Re-randomization {_p_text(again.p_two_sided)} ({interval} by simulation)")
    return lines


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


def _not_estimable(name: str, why: NotEstimable) -> list[str]:
    return _wrapped(f"  {name} {why}", indent="    ")


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent)


def _arm_name(label: str, control: bool) -> str:
    return f"{label[:38]} (control)" if control else label[:48]


def _median_text(arm: ArmOutcome) -> str:
    if isinstance(arm.median, NotEstimable):
        return "no events"
    middle, low, high = (
        "NR" if days is None else f"{days / DAYS_PER_MONTH:.1f}"
        for days in (arm.median.estimate, arm.median.low, arm.median.high)
    )
    return f"{middle} ({low} to {high})"


def _p_text(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}"


def _counts_json(counts: ArmCounts) -> dict[str, Any]:
    return {
        "code": counts.arm.code,
        "label": counts.arm.label,
        "control": counts.arm.control,
        "randomized": counts.randomized,
        "treated": counts.treated,
        "on_treatment": counts.on_treatment,
        "deaths": counts.deaths,
    }


def _end_point_json(point: EndPoint) -> dict[str, Any]:
    return {
        "label": PARAMS[point.param],
        "arms": [_arm_json(arm) for arm in point.arms],
        "hazard_ratio": _statistic(
            point.hazard_ratio, ("hazard_ratio", "low", "high", "beta", "se")
        ),
        "logrank": _statistic(
            point.logrank,
            ("chi2", "z", "p_two_sided", "p_one_sided", "observed", "expected", "variance"),
        ),
    } | _repeated_json(point)


def _repeated_json(point: EndPoint) -> dict[str, Any]:
    if point.rerandomization is None:
        return {}
    names = [each.name for each in fields(ReRandomization)]
    return {"rerandomization": _statistic(point.rerandomization, names)}


def _arm_json(arm: ArmOutcome) -> dict[str, Any]:
    middle = _statistic(arm.median, ("estimate", "low", "high"))
    if not isinstance(arm.median, NotEstimable):
        middle |= {
            f"{name}_months": None if days is None else _rounded(days / DAYS_PER_MONTH)
            for name, days in list(middle.items())
        }
    return {
        "code": arm.arm.code,
        "subjects": arm.subjects,
        "events": arm.events,
        "censored": {CENSORING[code]: count for code, count in arm.censored.items()},
        "median_days": middle,
    }


def _statistic(value: object, names: Sequence[str]) -> dict[str, Any]:
    if isinstance(value, NotEstimable):
        return {"cannot_be_estimated": value.reason}
    return {name: _rounded(getattr(value, name)) for name in names}


def _rounded(value: Any) -> Any:
    """Ten significant digits: the last bits of exp() and log() differ between processors."""
    if isinstance(value, tuple):
        return [_rounded(part) for part in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value


def _manifest(files: Mapping[str, bytes], heading: Mapping[str, Any]) -> bytes:
    hashes = {name: _digest(content) for name, content in sorted(files.items())}
    return _json_bytes({**heading, "package_version": PACKAGE_VERSION, "sha256": hashes})


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json_bytes(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
