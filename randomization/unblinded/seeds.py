"""A seed made by two people: each commits to a share, then each opens it, then a list uses it."""

from django.db.models import QuerySet

from iwrs import clock
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from iwrs.signatures.services import keep, require_shown
from iwrs.studies import lock_design
from randomization.listing.split import (
    ShareError,
    commitment_of,
    commitment_text,
    share_text,
    split_seed,
)
from randomization.unblinded.models_life import SeedShare, SplitSeed
from randomization.unblinded.records import share_record


def current_split(study: Study) -> SplitSeed | None:
    """The study's split seed that is neither used nor ended. There is at most one."""
    return _running(study).first()


def commit_share(study: Study, commitment: str, *, by: Actor) -> SeedShare:
    """Give the commitment to one's share; the first of two also begins the split seed.

    `commitment` is SHA-256 of the share's 64 characters, in hexadecimal. Raises `Invalid` for a
    text that is none, or was used before, and `Problem` when both commitments stand already or
    this person gave one.
    """
    try:
        text = commitment_text(commitment)
    except ShareError as wrong:
        raise Invalid({"commitment": str(wrong)}) from None
    with act("commit to a share of the seed", by=by):
        lock_design(study)
        if SeedShare.objects.filter(commitment=text).exists():
            raise Invalid({"commitment": "This commitment was given before. Draw a new share."})
        split = _running(study).first() or SplitSeed.objects.create(
            study=study,
            number=SplitSeed.objects.filter(study=study).count() + 1,
            begun_by=by.label,
            begun_at=clock.now(),
        )
        given = list(split.shares.all())
        if any(each.by == by.label for each in given):
            raise Problem(
                code="same_person",
                title="You have given a commitment to this seed.",
                action="Another person gives the second one.",
            )
        if len(given) == 2:
            raise Problem(
                code="seed_has_two_shares",
                title="Two people have given their commitments to this seed.",
                action="They open their shares now, or give this seed up.",
            )
        return SeedShare.objects.create(
            split=split,
            place=len(given) + 1,
            by=by.label,
            commitment=text,
            committed_at=clock.now(),
        )


def open_share(split: SplitSeed, share: str, *, by: Actor, signature: Signature) -> SeedShare:
    """Give one's own share, once both commitments stand. Nobody is shown it.

    Raises `Invalid` when it is not the share committed to, and `Problem` when it is not time.
    """
    try:
        text = share_text(share)
    except ShareError as wrong:
        raise Invalid({"share": str(wrong)}) from None
    with act("open a share of the seed", by=by, why=signature.meaning):
        lock_design(split.study)
        split = _still_running(split)
        require_shown(signature, share_record(split))
        shares = list(split.shares.order_by("place"))
        own = next((each for each in shares if each.by == by.label), None)
        if own is None or len(shares) < 2:
            raise Problem(
                code="share_too_early",
                title="A share is opened by whoever committed to it, once both commitments stand.",
                action="Give a commitment first, or wait for the second person's."
                if own is None
                else "Wait for the second person's commitment.",
            )
        if own.share:
            raise Problem(code="share_opened", title="You have opened your share already.")
        if commitment_of(text) != own.commitment:
            raise Invalid({"share": "This is not the share that you committed to."})
        own.share, own.opened_at = text, signature.signed_at
        own.save(update_fields=["share", "opened_at"])
        keep(signature, share_record(split), study=split.study)
        return own


def end_split(split: SplitSeed, *, by: Actor, why: str) -> SplitSeed:
    """Give a split seed up, for example when a share is lost. It stays in the record."""
    if not why.strip():
        raise Invalid({"why": "Say why this seed is given up."})
    with act("give up a split seed", by=by, why=why.strip()):
        lock_design(split.study)
        split = _still_running(split)
        split.ended_by, split.ended_at, split.ended_why = by.label, clock.now(), why.strip()
        split.save(update_fields=["ended_by", "ended_at", "ended_why"])
        return split


def is_complete(split: SplitSeed | None) -> bool:
    """True when both shares are open: a list can be generated from the seed."""
    return split is not None and split.shares.exclude(share="").count() == 2


def seed_of(split: SplitSeed) -> bytes:
    """The seed. Raises `Problem` while a share is missing."""
    first_and_second = [each.share for each in split.shares.order_by("place")]
    if len(first_and_second) < 2 or not all(first_and_second):
        raise Problem(
            code="seed_incomplete",
            title="The seed needs the shares of two people.",
            action="Both open their shares first.",
        )
    first, second = first_and_second
    return split_seed(split.study.code, split.number, (first, second))


def use_split(split: SplitSeed) -> None:
    """Mark a split seed as used, within the act that makes the list from it."""
    split = _still_running(split)
    split.used_at = clock.now()
    split.save(update_fields=["used_at"])


def _running(study: Study) -> QuerySet[SplitSeed]:
    return SplitSeed.objects.filter(study=study, used_at=None, ended_at=None)


def _still_running(split: SplitSeed) -> SplitSeed:
    found = _running(split.study).select_for_update().filter(pk=split.pk).first()
    if found is None:
        raise Problem(
            code="seed_used",
            title="This seed was used or given up.",
            action="Begin a new one: a seed serves one list.",
        )
    return found
