"""The study's definition, once its arms are those of the list in use.

The blinded login may load a definition and write its hash into the study. With one arm's code
renamed in it, work that looks an arm up would fail, or come out longer, for that arm's subjects
only, and a failure is seen from outside. With the true codes and another control, every hazard
ratio would turn round, and with labels exchanged, every name. So whoever looks up an arm asks here
first, before any subject: what is refused then hangs on the definition and the lists alone.
"""

from collections.abc import Mapping
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from iwrs.definition import StudyDefinition
from iwrs.models import Study, StudyVersion
from iwrs.problems import Problem
from randomization.unblinded.models import RandomizationList
from randomization.unblinded.models_life import ListOrigin

_IN_USE = (RandomizationList.Status.ACTIVE, RandomizationList.Status.CLOSED)

# Code, label and whether it is a control, of each arm: what no amendment may change after the list.
Named = tuple[tuple[str, str, bool], ...]


def definition_of_list(study: Study) -> StudyDefinition:
    """The definition in force. Use the one returned: it is the one that was compared.

    Raises `Problem` when its arm codes are not those of the list that subjects are allocated by, or
    when codes, labels or controls are not those of the versions that the lists were made for (of
    lists older than that record, only the codes are known). Without such a list there is no
    allocation, and any definition will do.
    """
    definition = study.definition
    designs, named = _lists_in_use(study)
    given = [tuple(code for code, _ in design["arms"]) for design in designs]
    if given and not (_agree(given, definition) and _same(named, definition)):
        raise _changed()
    return definition


def require_arms_of_lists(study: Study, definition: StudyDefinition) -> None:
    """Raise `Problem` when a definition that comes with a next list has other codes, labels or
    controls than those before: once in force, it would leave the study without any.
    """
    if not _same(_lists_in_use(study)[1], definition):
        raise _changed()


def made_for_these_arms(made: RandomizationList, definition: StudyDefinition) -> bool:
    """Whether the list was made for a version with the codes, labels and controls of `definition`;
    true for one older than this record.
    """
    origin = ListOrigin.objects.filter(list=made).first()
    if origin is None:
        return True
    found = _versions(made.study_id, origin.definition_version, origin.definition_sha256)
    return _same([_named(found.values_list("definition", flat=True).first())], definition)


def _changed() -> Problem:
    return Problem(
        code="arms_changed",
        title="The arms of the study's definition (codes, labels or controls) are not those of its"
        " list.",
        action="Find out who loaded the definition, and load the true one again.",
    )


def _lists_in_use(study: Study) -> tuple[list[dict[str, Any]], list[Named]]:
    """The designs in order, and the arms of the versions that the lists were made for."""
    lists = RandomizationList.objects.filter(study=study, status__in=_IN_USE).order_by("number")
    refs = (OuterRef("study"), OuterRef("origin__definition_version"))
    version = _versions(*refs, OuterRef("origin__definition_sha256")).values("definition")
    rows = lists.annotate(made_for=Subquery(version)).values_list("design", "origin", "made_for")
    found = list(rows)
    named = [_named(made_for) for _, origin, made_for in found if origin is not None]
    return [design for design, _, _ in found], named


def _versions(study: Any, number: Any, sha256: Any) -> QuerySet[StudyVersion]:
    """The version that a list was made for. Its number is its own alone; only its row is to be
    read, as another version may say the same hash and be what a process keeps under it.
    """
    return StudyVersion.objects.filter(study=study, number=number, sha256=sha256)


def _same(named: list[Named], definition: StudyDefinition) -> bool:
    now = tuple((arm.code, arm.label, arm.control) for arm in definition.arms)
    return all(then == now for then in named)


def _named(made_for: Mapping[str, Any] | None) -> Named:
    """Nothing when the version is not there: it agrees with no definition."""
    arms = made_for["arms"] if made_for else []
    return tuple((arm["code"], arm["label"], arm.get("control", False)) for arm in arms)


def _agree(given: list[tuple[str, ...]], definition: StudyDefinition) -> bool:
    """The newest list is made of the arms that are open, all lists together of all arms, in the
    definition's order.
    """
    known = definition.arm_codes
    in_order = all(codes == tuple(code for code in known if code in codes) for codes in given)
    newest_open = given[-1] == tuple(arm.code for arm in definition.open_arms)
    return in_order and newest_open and set(known) == {code for codes in given for code in codes}
