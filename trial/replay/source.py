"""The simulated trial that a replay plays. It knows the arms from the demonstration's own seed."""

from iwrs.definition import StudyDefinition
from randomization.listing import ListDesign, generate
from randomization.methods import method_of
from trial.nature import Nature, simulate


def simulated_trial(
    definition: StudyDefinition,
    *,
    list_seed: bytes,
    nature_seed: int,
    subjects: int = 724,
    centres: int = 189,
    arm_matters: bool = True,
) -> Nature:
    """Draw the courses of all subjects, given the list that `list_seed` makes.

    With `arm_matters=False` no course depends on the arm, and the list is not even made.
    """
    arms: dict[str, list[str]] = {}
    if arm_matters:
        design = ListDesign(
            study=definition.study.code,
            arms=tuple((arm.code, arm.ratio) for arm in definition.open_arms),
            strata=tuple(stratum.key for stratum in definition.strata()),
            length=definition.randomization.list_length,
            method=method_of(definition.randomization),
        )
        for entry in generate(design, list_seed):
            arms.setdefault(entry.stratum, []).append(entry.arm)
    return simulate(
        arms, seed=nature_seed, subjects=subjects, centres=centres, arm_matters=arm_matters
    )
