"""Codes, labels and controls of the arms are those of the versions that the lists were made for."""

from collections.abc import Callable

import pytest
from django.db import connection

from iwrs import clock, studies
from iwrs.definition import parse_definition
from iwrs.models import Study, StudyVersion
from iwrs.problems import Problem
from iwrs.signatures import Signature
from randomization.unblinded import services as lists
from randomization.unblinded.arms import definition_of_list
from tests import factories as make
from tests.dsmb.rows import as_owner
from tests.forged import exchanged, load_forged, load_relabelled, turned_round
from tests.randomization.test_next_list import announce, fresh, next_list, one_to_one
from tests.roles import as_unblinded

pytestmark = pytest.mark.usefixtures("db")


def refusal(study: Study) -> str:
    with as_unblinded(), pytest.raises(Problem) as refused:
        definition_of_list(fresh(study))
    return refused.value.code


def owner_runs(statement: str) -> None:
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(statement)


def one_letter_more(arms: list[dict]) -> None:
    arms[1]["label"] += "s"


def all_controls_marked(arms: list[dict]) -> None:
    """PBO is the control before and after, but the study file did not say so."""
    arms[1]["control"] = True


CHANGES = [turned_round, exchanged, one_letter_more, all_controls_marked]


@pytest.mark.requirement("REQ-043")
@pytest.mark.parametrize("change", CHANGES)
def test_another_control_or_label_under_the_true_codes_is_refused(
    change: Callable[[list[dict]], None],
) -> None:
    study = make.a_study(length=12)
    with as_unblinded():
        assert definition_of_list(study) == study.definition
    load_relabelled(study, change)
    assert refusal(study) == "arms_changed"


def test_a_version_that_says_the_hash_of_the_true_one_is_refused_too() -> None:
    """Also by a process that read the forged one first, and keeps it under that hash."""
    study = make.a_study(length=12)
    true = study.version
    forged = StudyVersion(
        study=study,
        number=true.number + 1,
        definition=study.definition.model_dump(mode="json"),
        source="",
        sha256=true.sha256,
        loaded_by="Eve",
        loaded_at=clock.now(),
    )
    turned_round(forged.definition["arms"])
    forged.save()
    StudyVersion._parsed.pop(true.sha256)
    try:
        assert fresh(study).definition.arms[0].control
        assert refusal(study) == "arms_changed"
    finally:
        StudyVersion._parsed.pop(true.sha256)


def test_a_version_announced_for_a_next_list_cannot_bring_another_control() -> None:
    """In force, it would leave the study without a definition that any list agrees with."""
    study = make.a_study(length=12)
    text = one_to_one(study).text.replace('code = "EVE"', 'code = "EVE"\ncontrol = true', 1)
    forged = parse_definition(text, source="forged")
    StudyVersion.objects.create(
        study=study,
        number=2,
        definition=forged.definition.model_dump(mode="json"),
        source=text,
        sha256=forged.sha256,
        awaits_list=True,
        loaded_by="Eve",
        loaded_at=clock.now(),
    )
    with pytest.raises(Problem) as refused:
        next_list(study)
    assert refused.value.code == "arms_changed"
    with as_unblinded():
        assert definition_of_list(fresh(study)) == study.definition
    Study.objects.filter(pk=study.pk).update(definition_sha256=forged.sha256)
    assert refusal(study) == "arms_changed"


def test_what_an_amendment_may_change_stays_possible() -> None:
    study = make.a_study(length=12)
    text = study.version.source.replace("# Four strata", "# Four strata, as before", 1)
    later = parse_definition(text, source="comment")
    studies.load(later, by=make.TESTER, list_exists=lambda study: True)
    with as_unblinded():
        assert definition_of_list(fresh(study)) == later.definition
    announce(fresh(study), one_to_one(study))
    next_list(study)
    with as_unblinded():
        assert definition_of_list(fresh(study)).ratio == (1, 1)


def test_of_a_list_older_than_the_record_only_the_codes_are_known() -> None:
    study = make.a_study(length=12)
    owner_runs("DELETE FROM unblinded.list_origin")
    relabelled = load_relabelled(study, exchanged)
    with as_unblinded():
        assert definition_of_list(fresh(study)) == relabelled.definition
    load_forged(relabelled, exchanged)
    assert refusal(study) == "arms_changed"


@pytest.mark.parametrize("change", ["definition_version = 99", "definition_sha256 = 'x'"])
def test_a_list_whose_version_is_not_there_is_refused(change: str) -> None:
    study = make.a_study(length=12)
    owner_runs(f"UPDATE unblinded.list_origin SET {change}")
    assert refusal(study) == "arms_changed"


@pytest.mark.parametrize(
    "change",
    [
        ('label = "Placebo + exemestane"', 'label = "Placebo"'),
        ('code = "EVE"', 'code = "EVE"\ncontrol = true'),
    ],
)
def test_a_list_is_approved_only_with_the_labels_and_controls_it_was_made_for(
    change: tuple[str, str],
) -> None:
    """Until there is a list they may change; the approvers were shown the version before."""
    study = make.a_study(with_list=False, length=12)
    with as_unblinded():
        made = lists.generate_list(study, by=make.STATISTICIANS[0])
    text = study.version.source.replace(*change, 1)
    assert text != study.version.source
    later = parse_definition(text, source="later")
    studies.load(later, by=make.TESTER, list_exists=lambda study: False)
    by = make.STATISTICIANS[1]
    with as_unblinded():
        signature = Signature(by.label, clock.now(), "I approve this list")
        with pytest.raises(Problem) as refused:
            lists.approve_list(made, by=by, signature=signature)
        assert refused.value.code == "definition_changed"
    make.an_active_list(fresh(study))
    with as_unblinded():
        assert definition_of_list(fresh(study)) == later.definition
