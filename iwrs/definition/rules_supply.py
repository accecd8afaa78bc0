"""Rules of treatment and supply: drugs, dose levels, kits, visit schedule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from iwrs.definition.problem import ABSENT, Finding, Words, show
from iwrs.definition.reading import Document, at, number, rows
from iwrs.definition.wording import comparable


def _one_blinded_drug(document: Document) -> Iterator[Finding]:
    drugs = rows(document, "drugs")
    if not drugs or any(type(row.get("blinded")) is not bool for _, row in drugs):
        return
    blinded = [row.get("key") for _, row in drugs if row["blinded"]]
    if len(blinded) != 1:
        message = "exactly one drug must have blinded = true, all others blinded = false"
        yield Finding(("drugs",), Words(f"{len(blinded)} blinded drugs"), message)


def _dose_levels(document: Document) -> Iterator[Finding]:
    drugs = [row["key"] for _, row in rows(document, "drugs") if isinstance(row.get("key"), str)]
    for loc, row in rows(document, "dose_levels"):
        if isinstance(row.get("drug"), str) and row["drug"] not in drugs:
            message = f"must be the key of a drug: {', '.join(drugs) or 'none is defined'}"
            yield Finding((*loc, "drug"), row["drug"], message)
    for drug in drugs:
        yield from _dose_order(document, drug)


def _dose_order(document: Document, drug: str) -> Iterator[Finding]:
    doses = [(loc, row) for loc, row in rows(document, "dose_levels") if row.get("drug") == drug]
    counted = ("order", "tablets_per_28_days")
    if any(type(row.get(key)) is not int for _, row in doses for key in counted):
        return
    doses.sort(key=lambda dose: dose[1]["order"])
    for expected, (loc, row) in enumerate(doses, start=1):
        if row["order"] != expected:
            message = f"the dose levels of {drug} must be numbered 1, 2, 3 without gap or repeat"
            yield Finding((*loc, "order"), row["order"], message)
    for (_, higher), (loc, lower) in pairwise(doses):
        limit = higher["tablets_per_28_days"]
        if lower["tablets_per_28_days"] >= limit:
            message = f"a reduction must be less than the dose level before it, which is {limit}"
            yield Finding((*loc, "tablets_per_28_days"), lower["tablets_per_28_days"], message)


def _blinded_drug_has_dose(document: Document) -> Iterator[Finding]:
    doses = rows(document, "dose_levels")
    blinded = [row.get("key") for _, row in rows(document, "drugs") if row.get("blinded") is True]
    if len(blinded) == 1 and doses and not any(row.get("drug") == blinded[0] for _, row in doses):
        message = f"the blinded drug {blinded[0]} needs at least one dose level"
        yield Finding(("dose_levels",), Words(f"none of {blinded[0]}"), message)


def _contents_match_arms(document: Document) -> Iterator[Finding]:
    contents = at(document, "kits", "contents")
    arms = [row.get("code") for _, row in rows(document, "arms")]
    codes = [code for code in arms if isinstance(code, str)]
    if not isinstance(contents, Mapping) or not codes:
        return
    allowed = f"contents must name every arm once: {', '.join(codes)}"
    for code in dict.fromkeys(codes):
        if code not in contents:
            yield Finding(("kits", "contents", code), ABSENT, allowed)
    seen: dict[str, str] = {}
    for code, content in contents.items():
        if code not in codes:
            yield Finding(("kits", "contents", code), content, f"{show(code)} is no arm; {allowed}")
        if isinstance(content, str) and seen.setdefault(comparable(content), code) != code:
            message = f"arm {seen[comparable(content)]} has the same text; each must differ"
            yield Finding(("kits", "contents", code), content, message)


def _kit_lasts(document: Document) -> Iterator[Finding]:
    days, units = number(document, "kits", "days"), number(document, "kits", "units")
    every = number(document, "schedule", "every_days")
    late = number(document, "schedule", "window_after_days")
    if at(document, "schedule", "dispenses_at_visits") is True and days and every and days < every:
        message = f"a kit must last until the next visit: {every} days (schedule.every_days)"
        yield Finding(("kits", "days"), days, message + " or more")
    full = [
        row["tablets_per_28_days"]
        for _, row in rows(document, "dose_levels")
        if row.get("order") == 1 and type(row.get("tablets_per_28_days")) is int
        if _is_blinded(document, row.get("drug"))
    ]
    if len(full) == 1 and days and units and late is not None:
        need = -(-full[0] * (days + late) // 28)
        if units < need:
            message = (
                f"must be {need} or more: {full[0]} tablets in 28 days at the full dose, for "
                f"{days} days (kits.days) and {late} days of window (schedule.window_after_days)"
            )
            yield Finding(("kits", "units"), units, message)


def _is_blinded(document: Document, drug: Any) -> bool:
    return any(
        row.get("key") == drug and row.get("blinded") is True for _, row in rows(document, "drugs")
    )


def _schedule(document: Document) -> Iterator[Finding]:
    every = number(document, "schedule", "every_days")
    before = number(document, "schedule", "window_before_days")
    after = number(document, "schedule", "window_after_days")
    reminder = number(document, "schedule", "reminder_days_before")
    if every is None or every < 1:
        return
    if before is not None and after is not None and before + after >= every:
        message = (
            f"the windows of two visits must not meet: window_before_days ({before}) and "
            f"window_after_days must add up to less than every_days ({every})"
        )
        yield Finding(("schedule", "window_after_days"), after, message)
    if reminder is not None and reminder >= every:
        message = f"must be less than every_days, which is {every}"
        yield Finding(("schedule", "reminder_days_before"), reminder, message)
    ahead = number(document, "schedule", "plan_ahead")
    horizon = number(document, "kits", "visit_horizon_days")
    if ahead and horizon and horizon > ahead * every:
        message = (
            f"kits can be sent only for visits that are planned: at most {ahead * every} days "
            f"(schedule.plan_ahead {ahead} times schedule.every_days {every})"
        )
        yield Finding(("kits", "visit_horizon_days"), horizon, message)


SUPPLY_RULES = (
    _one_blinded_drug,
    _dose_levels,
    _blinded_drug_has_dose,
    _contents_match_arms,
    _kit_lasts,
    _schedule,
)
