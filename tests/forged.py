"""A false definition, put into force with what the blinded login may write."""

import json
from collections.abc import Callable

from iwrs import clock
from iwrs.models import Study, StudyVersion


def load_forged(study: Study, change: Callable[[list[dict]], None]) -> Study:
    """The study with PBO's code renamed and `change` made to its arms; `loaded_by` Eve."""
    text = json.dumps(study.definition.model_dump(mode="json"))
    definition = json.loads(text.replace('"PBO"', '"XXX"'))
    change(definition["arms"])
    return _put_in_force(study, definition)


def load_relabelled(study: Study, change: Callable[[list[dict]], None]) -> Study:
    """The same with the true codes."""
    definition = study.definition.model_dump(mode="json")
    change(definition["arms"])
    return _put_in_force(study, definition)


def one_letter(arms: list[dict]) -> None:
    """As short labels as there can be, all of one length."""
    for arm in arms:
        arm["label"] = arm["code"][0]


def turned_round(arms: list[dict]) -> None:
    """EVE the control: with no arm marked it is PBO, the last one."""
    arms[0]["control"] = True


def exchanged(arms: list[dict]) -> None:
    """Each of two arms under the other's name."""
    arms[0]["label"], arms[1]["label"] = arms[1]["label"], arms[0]["label"]


def _put_in_force(study: Study, definition: dict) -> Study:
    number = study.version.number + 1
    digest = f"eve {study.code} {number}"
    StudyVersion._parsed.pop(digest, None)
    StudyVersion.objects.create(
        study=study,
        number=number,
        definition=definition,
        source="",
        sha256=digest,
        loaded_by="Eve",
        loaded_at=clock.now(),
    )
    Study.objects.filter(pk=study.pk).update(definition_sha256=digest)
    return Study.objects.get(pk=study.pk)
