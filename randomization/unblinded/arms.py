"""The study's definition, once its arms are those of the list in use.

The blinded login may load a definition and write its hash into the study. With one arm's code
renamed in it, work that looks an arm up would fail, or come out longer, for that arm's subjects
only, and a failure is seen from outside. So whoever looks up an arm asks here first, before any
subject: what is refused then hangs on the definition and the list alone.
"""

from iwrs.definition import StudyDefinition
from iwrs.models import Study
from iwrs.problems import Problem
from randomization.unblinded.models import RandomizationList

_IN_USE = (RandomizationList.Status.ACTIVE, RandomizationList.Status.CLOSED)


def definition_of_list(study: Study) -> StudyDefinition:
    """The definition in force. Use the one returned: it is the one that was compared.

    Raises `Problem` when its arm codes are not those of the list that subjects are allocated by.
    Without such a list there is no allocation, and any definition will do.
    """
    definition = study.definition
    lists = RandomizationList.objects.filter(study=study, status__in=_IN_USE)
    designs = lists.order_by("number").values_list("design", flat=True)
    given = [tuple(code for code, _ in design["arms"]) for design in designs]
    if given and not _agree(given, definition):
        raise Problem(
            code="arms_changed",
            title="The arm codes of the study's definition are not those of its list.",
            action="Find out who loaded the definition, and load the true one again.",
        )
    return definition


def _agree(given: list[tuple[str, ...]], definition: StudyDefinition) -> bool:
    """The newest list is made of the arms that are open, all lists together of all arms, in the
    definition's order.
    """
    known = definition.arm_codes
    in_order = all(codes == tuple(code for code in known if code in codes) for codes in given)
    newest_open = given[-1] == tuple(arm.code for arm in definition.open_arms)
    return in_order and newest_open and set(known) == {code for codes in given for code in codes}
