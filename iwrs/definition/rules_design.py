"""Rules of the trial design: size, strata, blocks, baseline items, interim analysis."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

from iwrs.definition.methods import SITE_FACTORS
from iwrs.definition.problem import ABSENT, Finding, Loc, Words, show
from iwrs.definition.reading import Document, at, inner, number, rows

MAX_STRATA = 256
# Characters of "|country=DE" and so on; a region's name has at most 32.
_SITE_KEY = {"country": 11, "region": 40, "centre": 12}
MAX_STRATUM_KEY = 200  # characters; what a form, an audit row and a dataset can show


def _blocks_fit_ratio(document: Document) -> Iterator[Finding]:
    if at(document, "randomization", "method") != "permuted-blocks":
        return
    arms = [loc for loc, row in rows(document, "arms") if row.get("closed") is not True]
    ratios = [number(document, *loc, "ratio") for loc in arms]
    shares = [ratio for ratio in ratios if ratio is not None and ratio >= 1]
    sizes = at(document, "randomization", "block_sizes")
    if len(shares) != len(ratios) or not shares or not isinstance(sizes, list | tuple):
        return
    total = sum(shares)
    words = ", ".join(str(total * n) for n in (1, 2, 3))
    for i, size in enumerate(sizes):
        if type(size) is int and size % total:
            ratio = ":".join(str(share) for share in shares)
            message = f"must be a multiple of {total} (the ratio is {ratio}): {words} and so on"
            yield Finding(("randomization", "block_sizes", i), size, message)


def _two_arms_open(document: Document) -> Iterator[Finding]:
    """A list needs two arms that take new subjects."""
    arms = [row.get("closed") is True for _, row in rows(document, "arms")]
    if any(arms) and len(arms) - sum(arms) < 2:
        message = "at least two arms must not be closed"
        yield Finding(("arms",), Words(f"{len(arms) - sum(arms)} open"), message)


def _one_arm_no_control(document: Document) -> Iterator[Finding]:
    """Controls are what another arm is compared with."""
    arms = [row.get("control") is True for _, row in rows(document, "arms")]
    if arms and all(arms):
        message = "at least one arm must not be a control"
        yield Finding(("arms",), Words(f"{len(arms)} controls"), message)


def _arm_codes_equally_long(document: Document) -> Iterator[Finding]:
    """PostgreSQL tells every caller how many bytes a statement wrote (EXPLAIN with WAL)."""
    codes = [row.get("code") for _, row in rows(document, "arms")]
    texts = [code for code in codes if isinstance(code, str) and 1 <= len(code) <= 8]
    if len(texts) == len(codes) and len({len(code) for code in texts}) > 1:
        message = "the codes of all arms must have the same number of characters"
        yield Finding(("arms",), Words(", ".join(texts)), message)


def _list_long_enough(document: Document) -> Iterator[Finding]:
    length = number(document, "randomization", "list_length")
    subjects = number(document, "study", "max_subjects")
    strata = math.prod(len(rows(document, *loc)) for loc in inner(document, "factors", "levels"))
    if _is_dynamic(document):  # one list of draws, whatever the levels
        strata = 1
    if strata > MAX_STRATA:
        message = f"the factors together may make at most {MAX_STRATA} strata"
        yield Finding(("factors",), Words(f"{strata} strata"), message)
    elif length is not None and subjects is not None and 0 < length * strata < subjects:
        need = -(-subjects // strata)
        message = (
            f"{strata} strata of this length hold {length * strata} subjects, but "
            f"study.max_subjects is {subjects}; must be {need} or more"
        )
        yield Finding(("randomization", "list_length"), length, message)


def _is_dynamic(document: Document) -> bool:
    return at(document, "randomization", "method") == "minimization"


def _minimization(document: Document) -> Iterator[Finding]:
    """What is minimized must be there, and weights must name it."""
    if not _is_dynamic(document):
        return
    factors = [row.get("key") for _, row in rows(document, "factors")]
    sites = at(document, "randomization", "stratify_by")
    factors += list(sites) if isinstance(sites, list | tuple) else []
    if not factors:
        message = "minimization needs at least one factor, or randomization.stratify_by"
        yield Finding(("randomization", "method"), "minimization", message)
    if at(document, "randomization", "forced_allocation") is True:
        message = "must be false: minimization cannot work out again what a person decided"
        yield Finding(("randomization", "forced_allocation"), True, message)
    weights = at(document, "randomization", "weights")
    for name in weights if isinstance(weights, Mapping) else ():
        if name not in factors:
            allowed = ", ".join(str(each) for each in factors)
            message = f"is no factor of the study; allowed: {allowed}"
            yield Finding(("randomization", "weights", name), weights[name], message)


def _coin_below_one(document: Document) -> Iterator[Finding]:
    """Efron's coin at 1 would alternate; minimization may take the best arm always."""
    coin = at(document, "randomization", "coin")
    if at(document, "randomization", "method") == "efron" and isinstance(coin, str):
        try:
            certain = Fraction(coin) == 1
        except (ValueError, ZeroDivisionError):
            return
        if certain:
            message = "must be below 1, or every second allocation is known beforehand"
            yield Finding(("randomization", "coin"), coin, message)


def _site_factors(document: Document) -> Iterator[Finding]:
    """Names that the centre gives are not also names of questions; regions do not overlap."""
    sites = at(document, "randomization", "stratify_by")
    given = [name for name in SITE_FACTORS if isinstance(sites, list | tuple) and name in sites]
    for loc, factor in rows(document, "factors"):
        if factor.get("key") in given:
            message = "is a level that randomization.stratify_by takes from the centre"
            yield Finding((*loc, "key"), factor["key"], message)
    regions = at(document, "randomization", "regions")
    if regions is ABSENT:
        regions = {}
    elif not isinstance(regions, Mapping):
        return
    if "region" in given and not regions:
        message = 'name at least one region, since stratify_by has "region"'
        yield Finding(("randomization", "regions"), ABSENT, message)
    seen: dict[str, str] = {}
    for name, codes in regions.items():
        for i, code in enumerate(codes if isinstance(codes, list | tuple) else ()):
            if isinstance(code, str) and seen.setdefault(code, str(name)) != str(name):
                message = f"is in region {seen[code]} already; a country has one region"
                yield Finding(("randomization", "regions", str(name), i), code, message)


def _stratum_keys_short(document: Document) -> Iterator[Finding]:
    sites = at(document, "randomization", "stratify_by")
    longest = (
        sum(_SITE_KEY.get(each, 0) for each in sites) if isinstance(sites, list | tuple) else 0
    )
    for loc, factor in rows(document, "factors"):
        levels = [row.get("key") for _, row in rows(document, *loc, "levels")]
        widths = [len(level) for level in levels if isinstance(level, str)]
        key = factor.get("key")
        longest += len(key) + max(widths, default=0) + 2 if isinstance(key, str) else 0
    if longest - 1 > MAX_STRATUM_KEY:
        message = (
            f"the factor and level keys together make the key of a stratum, which may have at "
            f"most {MAX_STRATUM_KEY} characters: use shorter keys"
        )
        yield Finding(("factors",), Words(f"{longest - 1} characters"), message)


def _subjects(document: Document) -> Iterator[Finding]:
    planned = number(document, "study", "planned_subjects")
    largest = number(document, "study", "max_subjects")
    if planned is not None and largest is not None and largest < planned:
        message = f"must be {planned} or more, since study.planned_subjects is {planned}"
        yield Finding(("study", "max_subjects"), largest, message)


def _baseline_items(document: Document) -> Iterator[Finding]:
    for loc, item in rows(document, "baseline"):
        if item.get("type") == "integer":
            yield from _integer_item(loc, item)
        elif item.get("type") == "choice":
            yield from _choice_item(loc, item)


def _integer_item(loc: Loc, item: Mapping[str, Any]) -> Iterator[Finding]:
    for key in ("minimum", "maximum"):
        if item.get(key) is None:
            message = 'a whole number is needed here, since type is "integer"'
            yield Finding((*loc, key), ABSENT, message)
    low, high = item.get("minimum"), item.get("maximum")
    if type(low) is int and type(high) is int and low >= high:
        yield Finding((*loc, "maximum"), high, f"must be more than minimum, which is {low}")
    if item.get("choices"):
        message = 'choices belong to type "choice"; remove them, or change the type'
        yield Finding((*loc, "choices"), item["choices"], message)


def _choice_item(loc: Loc, item: Mapping[str, Any]) -> Iterator[Finding]:
    choices = item.get("choices", ())
    if isinstance(choices, list | tuple) and len(choices) < 2:
        message = 'at least 2 choices are needed, since type is "choice"'
        yield Finding((*loc, "choices"), choices or ABSENT, message)
    for key in ("unit", "minimum", "maximum"):
        if item.get(key) is not None:
            message = f'{key} belongs to type "integer"; remove it, or change the type'
            yield Finding((*loc, key), item[key], message)


def _interim(document: Document) -> Iterator[Finding]:
    kinds = {
        row["code"]: row.get("kind")
        for _, row in rows(document, "endpoints")
        if isinstance(row.get("code"), str)
    }
    timed = [code for code, kind in kinds.items() if kind == "time_to_event"]
    for key in ("endpoint", "support"):
        code = at(document, "interim", key)
        if isinstance(code, str) and kinds and code not in timed:
            what = "is not time_to_event" if code in kinds else "is no end point"
            message = f"{show(code)} {what}; allowed: {', '.join(timed) or 'none is defined'}"
            yield Finding(("interim", key), code, message)
    support = at(document, "interim", "support")
    if isinstance(support, str) and support == at(document, "interim", "endpoint"):
        message = "must be another end point than interim.endpoint"
        yield Finding(("interim", "support"), support, message)
    events = number(document, "interim", "planned_events")
    subjects = number(document, "study", "max_subjects")
    if events is not None and subjects is not None and events > subjects:
        message = f"a subject has one event at most: {subjects} (study.max_subjects) or fewer"
        yield Finding(("interim", "planned_events"), events, message)


def _unblinding(document: Document) -> Iterator[Finding]:
    """Its events can be counted and can be reached."""
    code = at(document, "unblinding", "endpoint")
    timed = [
        row["code"]
        for _, row in rows(document, "endpoints")
        if isinstance(row.get("code"), str) and _is_counted(row)
    ]
    if isinstance(code, str) and timed and code not in timed:
        message = f"must be an end point of progression or death: {', '.join(timed)}"
        yield Finding(("unblinding", "endpoint"), code, message)
    events = number(document, "unblinding", "events")
    subjects = number(document, "study", "max_subjects")
    if events is not None and subjects is not None and events > subjects:
        message = f"a subject has one event at most: {subjects} (study.max_subjects) or fewer"
        yield Finding(("unblinding", "events"), events, message)


def _is_counted(endpoint: Mapping[str, Any]) -> bool:
    """Whether its events are counted over all arms: progression by a reader, and death."""
    events = endpoint.get("event")
    if not isinstance(events, list | tuple) or endpoint.get("kind") != "time_to_event":
        return False
    return all(event in ("progression", "death") for event in events)


def _looks(document: Document) -> Iterator[Finding]:
    looks = at(document, "interim", "looks")
    if not isinstance(looks, list | tuple) or not looks:
        return
    if any(type(look) not in (int, float) or not math.isfinite(look) for look in looks):
        return
    for i, (earlier, later) in enumerate(pairwise(looks), start=1):
        if not later > earlier:
            message = f"looks must increase; must be more than the look before it ({earlier})"
            yield Finding(("interim", "looks", i), later, message)
    if looks[-1] != 1:
        last = len(looks) - 1
        message = "the last look must be 1.0 (all planned events)"
        yield Finding(("interim", "looks", last), looks[-1], message)


DESIGN_RULES = (
    _subjects,
    _blocks_fit_ratio,
    _two_arms_open,
    _one_arm_no_control,
    _arm_codes_equally_long,
    _list_long_enough,
    _minimization,
    _coin_below_one,
    _site_factors,
    _stratum_keys_short,
    _baseline_items,
    _interim,
    _unblinding,
    _looks,
)
