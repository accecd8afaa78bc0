"""What a list is made from: the study's definition and, where these are strata, its centres."""

import json
from typing import Any

from enrolment.models import Centre
from iwrs.definition import UNSTRATIFIED, StudyDefinition
from iwrs.models import Study
from iwrs.problems import Problem
from randomization.listing import ListDesign
from randomization.methods import method_of


def definition_of_next_list(study: Study) -> StudyDefinition:
    """The definition that a new list is made from: one announced for it, or the one in force."""
    announced = study.announced()
    return announced.parsed if announced else study.definition


def list_design(study: Study, definition: StudyDefinition | None = None) -> ListDesign:
    """The generator's input, by the definition in force or the one given. A dynamic method has one
    list of draws for the whole study.
    """
    definition = definition or study.definition
    keys = definition.randomization
    if keys.dynamic:
        strata: tuple[str, ...] = (UNSTRATIFIED,)
    else:
        strata = tuple(stratum.key for stratum in definition.strata(sites(study, definition)))
    return ListDesign(
        study=definition.study.code,
        arms=tuple((arm.code, arm.ratio) for arm in definition.open_arms),
        strata=strata,
        length=keys.list_length,
        method=method_of(keys),
    )


def design_record(study: Study, definition: StudyDefinition | None = None) -> dict[str, Any]:
    """The design as the list's row keeps it. A dynamic one comes with the levels that there are:
    `gate.allocate` takes no other, whatever a subject's row says.
    """
    definition = definition or study.definition
    made = list_design(study, definition).as_json()
    keys = definition.randomization
    if keys.dynamic:
        answers: list[list[Any]] = [
            [factor.key, [level.key for level in factor.levels]] for factor in definition.factors
        ]
        made["levels"] = answers + [[name, None] for name in keys.stratify_by]
        made["regions"] = {name: list(codes) for name, codes in keys.regions.items()}
    return made


def sites(study: Study, definition: StudyDefinition) -> list[dict[str, str]]:
    """The different levels that the study's centres give, in order; one empty one if none do.

    Raises `Problem` when centres are strata and there is none yet.
    """
    keys = definition.randomization
    if not keys.stratify_by:
        return [{}]
    centres = Centre.objects.filter(study=study).order_by("number")
    levels = [
        keys.site_levels(country, number)
        for country, number in centres.values_list("country_code", "number")
    ]
    if not levels:
        raise Problem(
            code="no_centres",
            title="The study is stratified by its centres, and it has none yet.",
            action="Add the centres first; strata of later centres are added to the list.",
        )
    return [levels[i] for i in range(len(levels)) if levels[i] not in levels[:i]]


def same_design(now: dict[str, Any], made: dict[str, Any]) -> bool:
    """Whether they are one design, as JSON keeps it. Centres may have been added meanwhile."""
    left, right = json.loads(json.dumps(now)), json.loads(json.dumps(made))
    later = set(left.pop("strata")) >= set(right.pop("strata"))
    return later and left == right
