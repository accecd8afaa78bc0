"""The end of a list's use: nobody gets a place of it any more, and its places stay."""

from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from iwrs.signatures.services import keep, require_shown
from iwrs.studies import lock_design
from randomization.models import ListCommitment
from randomization.unblinded.models import RandomizationList, StratumCursor
from randomization.unblinded.records import list_record


def close_list(
    made: RandomizationList, *, by: Actor, why: str, signature: Signature
) -> RandomizationList:
    """Close the list in use, for good. Accrual must be paused or closed first, so that no centre
    is surprised. Raises `Problem` while it is open, or when the list is not in use.
    """
    if not why.strip():
        raise Invalid({"why": "Say why the list is closed."})
    with act("close list", by=by, why=why.strip()):
        lock_design(made.study)
        # Not the key: places that are just taken refer to it when they commit.
        made = RandomizationList.objects.select_for_update(no_key=True).get(pk=made.pk)
        require_shown(signature, list_record(made))
        if made.status != RandomizationList.Status.ACTIVE:
            raise Problem(code="list_not_active", title="This list is not in use.")
        if Study.objects.get(pk=made.study_id).status == Study.Status.OPEN:
            raise Problem(
                code="accrual_open",
                title="The study is open to accrual.",
                action="Ask the study's managers to pause or close accrual first.",
            )
        shut(made)
        keep(signature, list_record(made), study=made.study)
        return made


def shut(made: RandomizationList) -> None:
    """Close a list within an open act: calls that have a place of it end first, later ones find it
    closed.
    """
    list(StratumCursor.objects.select_for_update().filter(list=made).order_by("pk"))
    made.status = RandomizationList.Status.CLOSED
    made.save(update_fields=["status"])
    ListCommitment.objects.filter(study_id=made.study_id, list_number=made.number).update(
        active=False
    )
