"""Sealed code-break packs: made for each centre, encrypted to the emergency holders.

When a pack is made depends on blinded facts only: how many subjects are randomized and kits
assigned at the centre, the day, and who holds a key. So does whether it can be made: the blinded
login may write the definition and the title, and sees when a pack is missing.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import structlog
from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Q

from dispensing.models import Kit
from dsmb.analysis import ciphertext_size, pack, pad, seal
from dsmb.analysis.seal import PADDING_COST
from dsmb.models import SealedPack
from dsmb.packs import covered_now, file_name, newest_packs
from dsmb.unblinded.holders import current_holders
from dsmb.unblinded.models import EmergencyHolder
from dsmb.unblinded.pack_files import About, Code, pack_files
from enrolment.models import Centre
from iwrs import clock
from iwrs.actors import SYSTEM, Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Problem
from iwrs.tasks import without_values
from iwrs.templatetags.portal import moment
from randomization.unblinded.arms import definition_of_list
from randomization.unblinded.models import Allocation, RandomizationList

SMALLEST = 16 * 1024
TITLE_BYTES = 120  # of the study's title; its code of at most 40 stands before it
STUDY_BYTES = 40 + len(", ") + TITLE_BYTES
Made = TypeVar("Made")
log = structlog.get_logger(__name__)


def make_packs(study: Study, *, by: Actor) -> list[SealedPack]:
    """A new pack for every centre of the study, as of now.

    Raises `Problem` when the study has no emergency holder: nobody could open a pack; and when
    its definition has other arm codes than its list.
    """
    return _make(study, require_holders(study), list(study.centres.all()), by=by)


def require_holders(study: Study) -> list[EmergencyHolder]:
    """The study's emergency holders. Raises `Problem` when there is none."""
    holders = list(current_holders(study))
    if not holders:
        raise Problem(
            code="no_emergency_holder",
            title="The study has no emergency holder.",
            action="Register the public key of an emergency holder first. Nobody could open a "
            "pack without one.",
        )
    return holders


def work_packs() -> int:
    """Make the packs that are due in every study with a holder; how many were made.

    One study that fails does not stop the others. Its error goes to this process's log, without
    values.
    """
    return sum(len(made) for made in with_holders(renew_packs, "sealed packs failed"))


def with_holders(renew: Callable[[Study], Made], failed: str) -> Iterator[Made]:
    """Run `renew` for every study with an emergency holder, one after the other."""
    holders = EmergencyHolder.objects.filter(ended_at=None).values("study_id")
    for study in Study.objects.filter(pk__in=holders).order_by("pk"):
        try:
            made = renew(study)
        except Exception as error:  # whatever it is: the next study has its emergencies too
            log.error(failed, study=study.pk, **without_values(error))
        else:
            yield made


def renew_packs(study: Study) -> list[SealedPack]:
    """Make the packs of one study that are due, and no others.

    Due at once: a centre without a pack, and every centre when the holders changed. Due once a
    day: a centre with randomizations or kits that its newest pack does not cover.
    """
    holders = list(current_holders(study))
    centres = _due(study, holders) if holders else []
    return _make(study, holders, centres, by=SYSTEM) if centres else []


def keys_sha256(holders: Iterable[EmergencyHolder]) -> str:
    """One SHA-256 over the public keys of these holders, in sorted order, one a line."""
    keys = sorted(holder.public_key for holder in holders)
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()


def write_packs(study: Study, out: Path) -> list[Path]:
    """Write the newest sealed file of each centre to a directory, and return the files."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for each in newest_packs(study).defer(None):
        path = out / file_name(each)
        path.write_bytes(bytes(each.sealed))
        written.append(path)
    return written


def _due(study: Study, holders: Sequence[EmergencyHolder]) -> list[Centre]:
    known = {each.centre_id: each for each in newest_packs(study)}
    now, keys = covered_now(study), keys_sha256(holders)
    today = clock.study_now(study.replay_now).date()

    def due(centre: Centre) -> bool:
        newest = known.get(centre.pk)
        if newest is None or newest.keys_sha256 != keys:
            return True
        return newest.made_at.date() < today and now[centre.pk] != (newest.subjects, newest.kits)

    return [centre for centre in study.centres.all() if due(centre)]


def _make(
    study: Study, holders: Sequence[EmergencyHolder], centres: list[Centre], *, by: Actor
) -> list[SealedPack]:
    with act("make sealed packs", by=by):
        labels = {arm.code: arm.label for arm in definition_of_list(study).arms}
        codes = _codes(study, labels)
        at = clock.study_now(study.replay_now)
        every, in_use = list(study.centres.all()), list_in_use_now(study)
        about = {centre.pk: _about(study, centre, at, in_use) for centre in every}
        size = one_size(_needed(about, codes, labels))
        sealed_size = ciphertext_size(size, len(holders))
        if any(each.size != sealed_size for each in newest_packs(study)):
            centres = every  # one size for all, so all grow together
        return [_pack(each, about[each.pk], codes[each.pk], size, holders) for each in centres]


def _pack(
    centre: Centre,
    about: About,
    codes: list[Code],
    size: int,
    holders: Sequence[EmergencyHolder],
) -> SealedPack:
    payload = pad(pack(pack_files(about, codes)), size=size)
    sealed = seal(payload, [holder.public_key for holder in holders])
    return SealedPack.objects.create(
        centre=centre,
        made_at=about.made_at,
        subjects=len(codes),
        kits=sum(len(code.kits) for code in codes),
        size=len(sealed),
        sha256=hashlib.sha256(sealed).hexdigest(),
        keys_sha256=keys_sha256(holders),
        sealed=sealed,
    )


def _codes(study: Study, labels: Mapping[str, str]) -> dict[int, list[Code]]:
    """The randomized subjects of each centre, by its key. One query, so of one moment."""
    kits = ArrayAgg(
        "subject__dispensations__kit__number",
        filter=Q(subject__dispensations__kit__isnull=False),
        order_by="subject__dispensations__number",
        default=[],
    )
    allocated = Allocation.objects.filter(subject__study=study).annotate(kits=kits)
    found: dict[int, list[Code]] = defaultdict(list)
    for centre, subject, number, at, numbers, arm in allocated.values_list(
        "subject__centre",
        "subject__number",
        "subject__randomization__number",
        "subject__randomization__occurred_at",
        "kits",
        "arm",
    ).order_by("subject__number"):
        told = tuple(Kit(number=each).grouped for each in numbers)
        # `get`: the text of a KeyError would carry the arm into the log.
        found[centre].append(Code(subject, number, at, told, labels.get(arm, arm)))
    return found


def _about(study: Study, centre: Centre, at: datetime, list_in_use: str) -> About:
    return About(
        study=name_of(study),
        centre=str(centre),
        made_at=at,
        list_in_use=list_in_use,
        simulated=study.simulated,
    )


def name_of(study: Study) -> str:
    """Code and title on one line of at most `STUDY_BYTES`."""
    return f"{study.code}, {_one_line(study.title)}"


def list_in_use_now(study: Study) -> str:
    active = RandomizationList.objects.filter(study=study, status="active").first()
    if active is None:
        return "none is in use yet"
    return f"number {active.number}, in use since {moment(active.second_approved_at)}"


def _one_line(title: str) -> str:
    """The title on one line of at most `TITLE_BYTES`: it adds no line that looks like ours."""
    plain = "".join(each if each.isprintable() else " " for each in title)
    return plain.encode()[:TITLE_BYTES].decode(errors="ignore")


def one_size(needed: int) -> int:
    """Bytes to which every pack of the study is padded: what the largest could need, rounded up."""
    size = SMALLEST
    while size < needed:
        size *= 2
    return size


def _needed(
    about: Mapping[int, About], codes: Mapping[int, list[Code]], labels: Mapping[str, str]
) -> int:
    """Bytes that the largest pack could need, whoever has which arm and whatever the title.

    Asked of packs in which everybody has the longest text that a treatment could be shown as, a
    label or a bare code, and the study the longest title.
    """
    longest = max([*labels.values(), *labels], key=lambda text: len(text.encode()))
    sizes = [0]
    for centre, each in about.items():
        most = replace(each, study="x" * STUDY_BYTES)
        same = [replace(code, treatment=longest) for code in codes[centre]]
        sizes.append(len(pack(pack_files(most, same))))
    return max(sizes) + PADDING_COST
