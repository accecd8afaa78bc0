"""A run on paper: methods side by side, figures, strata, and how to repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from iwrs.paper import pdf
from randomization.simulation.accrual import Accrual
from randomization.simulation.figures import figures
from randomization.simulation.plan import Plan
from randomization.simulation.summary import MEASURES, Balance, Measure, Outcome, Spread
from randomization.simulation.supply_told import Kits, told_supply

TEMPLATE = Path(__file__).parent / "report.typ"
MOST_STRATA = 40  # in the table on paper; the worst ones first


def report_pdf(
    plan: Plan, outcomes: Sequence[Outcome], heading: Mapping[str, Any], kits: Kits | None = None
) -> bytes:
    """The run as PDF/UA-1.

    heading: `title`, `simulated`, and `facts`, pairs of what the run was and who asked for it.
    Equal arguments give equal bytes.
    """
    return pdf(TEMPLATE, dict(heading) | document(plan, outcomes, kits))


def document(plan: Plan, outcomes: Sequence[Outcome], kits: Kits | None = None) -> dict[str, Any]:
    """Everything that page and paper show of the results, as texts."""
    return {
        "methods": [
            {"label": each.label, "by": ", ".join(each.by) or "nothing"} for each in plan.contenders
        ],
        "closed": told_closed(plan),
        "accrual": told_accrual(plan),
        "arms": [_arm_rows(outcomes, place) for place in range(len(plan.arms))] if outcomes else [],
        "measures": [
            {"title": each.title, "cells": [_cell(each, out) for out in outcomes]}
            for each in MEASURES
        ],
        "kits": told_supply(plan, kits),
        "factors": _balances(outcomes, [out.factors for out in outcomes]),
        "strata": _balances(outcomes, [out.strata for out in outcomes])[:MOST_STRATA],
        "strata_left": max(len(plan.stratum_names()) - MOST_STRATA, 0),
        "figures": [figure.__dict__ for figure in figures(outcomes)],
    }


def told_closed(plan: Plan) -> str:
    """Which arms are left out and why; empty when none is."""
    if not plan.closed:
        return ""
    arms = ", ".join(plan.closed)
    return f"Left out, closed to new subjects: {arms}. The ratio is that of the other arms."


def told_accrual(plan: Plan) -> list[str]:
    """Who comes, in sentences."""
    accrual: Accrual = plan.accrual
    centres = len(accrual.centre_weights)
    even = len(set(accrual.centre_weights)) == 1
    told = [
        f"{accrual.subjects} subjects in each trial, at {centres} centre{'s' * (centres != 1)} "
        + ("with equal weights." if even else "with weights of their own.")
    ]
    if accrual.spread is not None:
        told.append(f"Rates of the centres vary by a gamma variable of shape {accrual.spread:g}.")
    for factor, chances in zip(plan.factors, accrual.levels, strict=False):
        total = sum(chances)
        shares = (
            f"{level} {chance / total:.1%}"
            for level, chance in zip(factor.levels, chances, strict=True)
        )
        told.append(f"{factor.name}: {', '.join(shares)}.")
    for factor in plan.factors[len(accrual.levels) :]:
        told.append(f"{factor.name}: {len(factor.levels)} levels, by the centre.")
    return told


def _arm_rows(outcomes: Sequence[Outcome], place: int) -> dict[str, Any]:
    arm = outcomes[0].arms[place]
    cells = [_arm_cell(out.arms[place].spread, out.arms[place].off) for out in outcomes]
    return {"title": f"{arm.arm} (share {arm.expected:.6g})", "cells": cells}


def _arm_cell(found: Spread, off: float) -> dict[str, str]:
    return {
        "main": f"{found.mean:.1f}",
        "more": f"{found.low:.0f} to {found.high:.0f}; {off:.1%}",
    }


def _cell(measure: Measure, outcome: Outcome) -> dict[str, str]:
    found = outcome.measures[measure.name]
    if measure.scale == "percent":
        main, *ends = (f"{each:.1%}" for each in (found.mean, found.low, found.high))
    else:
        main, *ends = (f"{each:z.2f}" for each in (found.mean, found.low, found.high))
    return {"main": main, "more": f"{ends[0]} to {ends[1]}"}


def _balances(
    outcomes: Sequence[Outcome], found: Sequence[Sequence[Balance]]
) -> list[dict[str, Any]]:
    """One row for each name, the worst under any method first."""
    if not outcomes:
        return []
    rows = list(zip(*found, strict=True))
    rows.sort(key=lambda row: -max(each.mean for each in row))
    return [
        {
            "title": row[0].name,
            "subjects": f"{row[0].subjects:.1f}" if row[0].subjects else "",
            "cells": [
                {"main": f"{each.mean:.2f}", "more": f"{each.high:.2f}, {each.most:.2f}"}
                for each in row
            ],
        }
        for row in rows
    ]
