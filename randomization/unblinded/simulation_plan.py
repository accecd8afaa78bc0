"""From a study and what a person asks to the plan of a run."""

from dataclasses import dataclass
from math import prod

from enrolment.models import Centre
from iwrs.definition import StudyDefinition
from iwrs.models import Study
from iwrs.problems import Invalid
from randomization.simulation.accrual import Accrual
from randomization.simulation.asked import (
    MOST_METHODS,
    MOST_SUBJECTS,
    OF_THE_LIST,
    AccrualText,
    AskedError,
    SiteRow,
    SupplyText,
    read_accrual,
    read_method,
)
from randomization.simulation.plan import Contender, Factor, Plan
from randomization.simulation.rules import shares
from randomization.simulation.supply import Supply

CENTRES = 20  # when neither the study nor the person names any
MOST_COUNTS = 50_000  # strata times tracks: what a chunk can hold in memory


@dataclass(frozen=True)
class Asked:
    """What a person typed. methods: one a line; empty for the study's own. accrual: TOML."""

    methods: str = ""
    accrual: str = ""
    subjects: int | None = None
    centres: int | None = None


def plan_of(study: Study, asked: Asked) -> Plan:
    """The plan of a run. Raises `Invalid` with one text a field: methods, accrual, subjects."""
    definition = study.definition
    try:
        text = read_accrual(asked.accrual)
    except AskedError as error:
        raise Invalid({"accrual": str(error)}) from None
    rows = _centres(study, text, asked.centres)
    factors, sites = _factors(definition, rows)
    accrual = Accrual(
        subjects=_subjects(definition, text, asked.subjects),
        centre_weights=tuple(row.weight for row in rows),
        levels=_chances(definition, text),
        sites=sites,
        spread=text.spread,
    )
    contenders = _contenders(definition, asked.methods, factors)
    plan = Plan(
        arms=_arms(definition),
        factors=factors,
        accrual=accrual,
        contenders=contenders,
        supply=_supply(definition, text),
        closed=tuple(arm.code for arm in definition.arms if arm.closed),
    )
    counts = prod(len(factor.levels) for factor in factors) * sum(shares(plan.ratio))
    if counts > MOST_COUNTS:
        raise Invalid(
            {"accrual": f"There are {counts:,} strata times tracks; at most {MOST_COUNTS:,} work."}
        )
    return plan


def own_method(definition: StudyDefinition) -> str:
    """The study's own method as a line that `read_method` reads."""
    keys = definition.randomization.model_dump(mode="json", exclude=OF_THE_LIST)
    words = [keys.pop("method")]
    words += [f"weights.{name}={weight}" for name, weight in keys.pop("weights", {}).items()]
    for key, value in keys.items():
        told = ",".join(map(str, value)) if isinstance(value, list) else value
        words.append(f"{key}={told}")
    return " ".join(words)


def _arms(definition: StudyDefinition) -> tuple[tuple[str, int], ...]:
    """Those that new subjects get, as a list is made of them."""
    return tuple((arm.code, arm.ratio) for arm in definition.open_arms)


def _supply(definition: StudyDefinition, text: AccrualText) -> Supply | None:
    """As the text says, and the study's own size of cohorts; None when it says no speed."""
    if text.per_week is None:
        return None
    keys = (text.supply or SupplyText()).model_dump()
    keys["cohort_size"] = keys["cohort_size"] or definition.kits.cohort_size
    return Supply(per_week=text.per_week, **keys)


def _subjects(definition: StudyDefinition, text: AccrualText, asked: int | None) -> int:
    subjects = asked or text.subjects or definition.study.planned_subjects
    if not 2 <= subjects <= MOST_SUBJECTS:
        raise Invalid({"subjects": f"Give a whole number from 2 to {MOST_SUBJECTS:,}."})
    return subjects


def _centres(study: Study, text: AccrualText, asked: int | None) -> list[SiteRow]:
    """Those that the person names, or a number of them, or the study's own, or twenty."""
    number = asked or text.centres
    if text.centre and not asked:
        return list(text.centre)
    if number is None:
        known = Centre.objects.filter(study=study).order_by("number")
        rows = [
            SiteRow(number=number, country=country)
            for number, country in known.values_list("number", "country_code")
        ]
        if rows:
            return rows
    return [SiteRow(number=f"{each:04d}") for each in range(1, (number or CENTRES) + 1)]


def _factors(
    definition: StudyDefinition, rows: list[SiteRow]
) -> tuple[tuple[Factor, ...], tuple[tuple[int, ...], ...]]:
    """All factors, and the level of each centre for those that the centre decides."""
    own = [
        Factor(name=factor.key, levels=tuple(level.key for level in factor.levels))
        for factor in definition.factors
    ]
    keys = definition.randomization
    given = [keys.site_levels(row.country, row.number) for row in rows]
    decided, sites = [], []
    for name in keys.stratify_by:
        levels = sorted({each[name] for each in given})
        decided.append(Factor(name=name, levels=tuple(levels)))
        sites.append(tuple(levels.index(each[name]) for each in given))
    return (*own, *decided), tuple(sites)


def _chances(definition: StudyDefinition, text: AccrualText) -> tuple[tuple[float, ...], ...]:
    """The probabilities of each factor's levels; even where nothing is said."""
    known = {factor.key: [level.key for level in factor.levels] for factor in definition.factors}
    for name, chances in text.levels.items():
        if name not in known:
            raise Invalid({"accrual": f"levels.{name}: the factors are {', '.join(known)}."})
        if set(chances) != set(known[name]) or sum(chances.values()) <= 0:
            wanted = ", ".join(known[name])
            raise Invalid({"accrual": f"levels.{name}: give each of {wanted}, not all zero."})
    return tuple(
        tuple(text.levels[name][level] if name in text.levels else 1.0 for level in levels)
        for name, levels in known.items()
    )


def _contenders(
    definition: StudyDefinition, lines: str, factors: tuple[Factor, ...]
) -> tuple[Contender, ...]:
    arms = _arms(definition)
    names = tuple(factor.name for factor in factors)
    wanted = [line.strip() for line in lines.splitlines() if line.strip()]
    if len(wanted) > MOST_METHODS:
        raise Invalid({"methods": f"Compare at most {MOST_METHODS} methods in one run."})
    try:
        return tuple(read_method(line, arms, names) for line in wanted or [own_method(definition)])
    except AskedError as error:
        raise Invalid({"methods": str(error)}) from None
