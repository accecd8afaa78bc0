"""Whether a subject may be randomized, from the answers alone. No Django."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from iwrs.definition import Criterion, StudyDefinition

ANSWERS = ("yes", "no", "unknown")


@dataclass(frozen=True)
class Unmet:
    """A question that stands in the way: no answer yet, or an answer that excludes."""

    criterion: Criterion
    answer: str  # "" when there is none

    @property
    def answered(self) -> bool:
        return self.answer != ""


def wanted(criterion: Criterion) -> str:
    """The answer that lets a subject in: yes to an inclusion, no to an exclusion question."""
    return "yes" if criterion.kind == "include" else "no"


def unmet(
    definition: StudyDefinition, answers: Mapping[str, str], set_aside: Collection[str] = ()
) -> list[Unmet]:
    """Questions not met, in the order of the definition, but for those an approved deviation
    sets aside (`set_aside` holds their keys).
    """
    return [
        Unmet(criterion, answers.get(criterion.key, ""))
        for criterion in definition.eligibility
        if answers.get(criterion.key) != wanted(criterion) and criterion.key not in set_aside
    ]


def wrong_answers(definition: StudyDefinition, answers: Mapping[str, str]) -> dict[str, str]:
    """Field name to problem, for unknown questions and answers that are not yes, no or unknown."""
    known = {criterion.key for criterion in definition.eligibility}
    problems = {
        f"eligibility.{key}": "This is not a question of the study."
        for key in answers
        if key not in known
    }
    for key, answer in answers.items():
        if key in known and answer not in ANSWERS:
            problems[f"eligibility.{key}"] = "Answer with yes, no or unknown."
    return problems


def wrong_baseline(definition: StudyDefinition, values: Mapping[str, object]) -> dict[str, str]:
    """Field name to problem, for baseline values that are missing, unknown or out of range."""
    known = {item.key: item for item in definition.baseline}
    problems = {
        f"baseline.{key}": "This is not a baseline item of the study."
        for key in values
        if key not in known
    }
    for key, item in known.items():
        value = values.get(key)
        if value in (None, ""):
            if item.required:
                problems[f"baseline.{key}"] = "This answer is needed."
        elif item.type == "choice":
            allowed = [choice.key for choice in item.choices]
            if value not in allowed:
                problems[f"baseline.{key}"] = f"Choose one of: {', '.join(allowed)}."
        elif not isinstance(value, int) or isinstance(value, bool):
            problems[f"baseline.{key}"] = "Give a whole number."
        elif (item.minimum is not None and value < item.minimum) or (
            item.maximum is not None and value > item.maximum
        ):
            problems[f"baseline.{key}"] = f"Give a number from {item.minimum} to {item.maximum}."
    return problems
