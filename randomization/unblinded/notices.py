"""Letters to the unblinded statisticians when a list in use needs them: each need once.

The letter names the study and nothing else: how full a stratum is stays inside. Whom it is for and
what was told are rows of the unblinded side, so nothing of it rests in the blinded outbox.
"""

from datetime import timedelta

import structlog
from django.core.mail import EmailMessage
from django.db.models import Q

from iwrs import clock
from iwrs.accounts.models import Role
from iwrs.outbox import addresses, opening
from iwrs.tasks import without_values
from randomization.unblinded.extension import low_strata, missing_strata
from randomization.unblinded.models import RandomizationList
from randomization.unblinded.models_life import ListNotice

AGAIN_AFTER = timedelta(minutes=5)  # of a letter that could not be sent
log = structlog.get_logger(__name__)


def work_notices() -> int:
    """Write to the statisticians of every list in use that needs them; how many letters went out.

    One letter that cannot be sent does not stop the others, and is tried again.
    """
    active = RandomizationList.objects.filter(status=RandomizationList.Status.ACTIVE)
    sent = 0
    for made in active.select_related("study").defer("seed").order_by("pk"):
        try:
            _note(made)
            sent += _tell(made)
        except Exception as error:  # whatever it is: the next study has a list too
            log.error("list notice not sent", study=made.study_id, **without_values(error))
    return sent


def _note(made: RandomizationList) -> None:
    """Keep what the list needs now. A stratum that was extended may run low once more."""
    needs = {(each.stratum_key, each.length) for each in low_strata(made)}
    needs |= {(key, 0) for key in missing_strata(made)}
    known = set(ListNotice.objects.filter(list=made).values_list("stratum_key", "length"))
    ListNotice.objects.bulk_create(
        [
            ListNotice(list=made, stratum_key=key, length=length, noticed_at=clock.now())
            for key, length in sorted(needs - known)
        ],
        ignore_conflicts=True,  # another worker noticed it at the same moment
    )


def _tell(made: RandomizationList) -> bool:
    now = clock.now()
    due = Q(tried_at=None) | Q(tried_at__lt=now - AGAIN_AFTER)
    waiting = ListNotice.objects.filter(due, list=made, told_at=None)
    to = addresses(made.study, Role.UNBLINDED_STATISTICIAN)
    if not to:
        return False
    taken = list(waiting.values_list("pk", flat=True))
    # Said before it is tried: a second worker leaves it alone, a killed one is followed by another.
    if not taken or not waiting.filter(pk__in=taken).update(tried_at=now):
        return False
    code = made.study.code
    EmailMessage(
        subject=f"{code}: the randomization list needs you",
        body=opening(made.study) + _body(code),
        to=list(to),
        headers={"Message-ID": f"<list-notice-{taken[0]}@{code}.iwrs>"},
    ).send()
    ListNotice.objects.filter(pk__in=taken).update(told_at=clock.now())
    return True


def _body(code: str) -> str:
    return (
        f"The randomization list of study {code} runs low, or has no places for a centre that came "
        "later.\n\n"
        "Where no place is left, no subject can be randomized. Please sign in to the site for "
        "unblinded staff: the page of the study says what is needed, and lets you extend the list. "
        "Two people sign an extension, so it takes a while.\n\n"
        "This letter goes to the unblinded statisticians of the study alone. Please do not forward "
        "it: how the list fills is not for blinded staff."
    )
