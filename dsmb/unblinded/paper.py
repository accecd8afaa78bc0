"""The sealed randomization pack of a study: its next places on paper, for when the system is down.

Encrypted to the emergency holders, like the code-break packs. When it is made hangs on blinded
facts only (`dsmb.paper.facts`), the hour, and who holds a key; its size on the number of strata
and centres and on the longest label, as if every stratum and centre had all its places.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from dispensing.services import use_until
from dsmb.analysis import pack, pad, seal
from dsmb.analysis.seal import PADDING_COST
from dsmb.models import PaperPack
from dsmb.packs import covered_now
from dsmb.paper import Facts, facts, paper_name, why_none
from dsmb.unblinded.holders import current_holders
from dsmb.unblinded.models import EmergencyHolder
from dsmb.unblinded.pack_files import About
from dsmb.unblinded.packs import (
    STUDY_BYTES,
    keys_sha256,
    list_in_use_now,
    name_of,
    one_size,
    require_holders,
    with_holders,
)
from dsmb.unblinded.paper_files import (
    CoverLine,
    Paper,
    PaperCentre,
    PaperStratum,
    paper_files,
)
from dsmb.unblinded.paper_places import (
    PLACES,
    calls_for_cover,
    next_kits,
    next_places,
    numbers_accepted,
)
from iwrs import clock
from iwrs.actors import SYSTEM, Actor
from iwrs.acts import act
from iwrs.definition import StudyDefinition
from iwrs.models import Study
from randomization.unblinded.arms import definition_of_list
from randomization.unblinded.design import sites
from randomization.unblinded.models import RandomizationList

RENEWED_AFTER = timedelta(hours=1)
FILES_KEPT = 24  # sealed files of one study, each of 128 KiB or more
_WIDEST_KIT, _LONGEST_CODE = "000 000 0", "X" * 8


def make_paper(study: Study, *, by: Actor) -> PaperPack | None:
    """A new randomization pack, as of now; None when the study can have none (`paper.why_none`).

    Raises `Problem` without an emergency holder, and when the definition has other arm codes than
    the list.
    """
    return _make(study, require_holders(study), by=by)


def work_papers() -> int:
    """Make the randomization packs that are due in every study with a holder; how many."""
    made = with_holders(renew_paper, "randomization pack failed")
    return sum(each is not None for each in made)


def renew_paper(study: Study) -> PaperPack | None:
    """Make the study's randomization pack if it is due.

    Due at once: there is none of the list in use, or the holders changed. Due once an hour: the
    facts changed, of which randomizations use its places up.
    """
    holders = list(current_holders(study))
    return _make(study, holders, by=SYSTEM) if holders and _due(study, holders) else None


def write_paper(paper: PaperPack, out: Path) -> Path:
    """Write the sealed file to a directory, and return the file."""
    path = out / paper_name(paper)
    path.write_bytes(bytes(paper.sealed))
    return path


def _rests_on(study: Study) -> Facts:
    """The blinded facts, how many calls used cover up, and how many paper numbers were accepted,
    which only this side can count.
    """
    known = facts(study)
    told = f"{known.sha256} {calls_for_cover(study)} {numbers_accepted(study)}"
    return replace(known, sha256=hashlib.sha256(told.encode()).hexdigest())


def _due(study: Study, holders: Sequence[EmergencyHolder]) -> bool:
    now = _rests_on(study)
    if why_none(study, now.list_number):
        return False
    newest = PaperPack.objects.filter(study=study).defer("sealed").order_by("-pk").first()
    if newest is None or newest.list_number != now.list_number:
        return True
    if newest.keys_sha256 != keys_sha256(holders):
        return True
    old = clock.study_now(study.replay_now) - newest.made_at >= RENEWED_AFTER
    return old and newest.facts_sha256 != now.sha256


def _make(study: Study, holders: Sequence[EmergencyHolder], *, by: Actor) -> PaperPack | None:
    with act("make randomization pack", by=by):
        definition = definition_of_list(study)
        active = RandomizationList.objects.filter(study=study, status="active").first()
        if active is None or why_none(study, active.number):
            return None
        rests_on = _rests_on(study)  # before the places: what changes in between makes it due again
        paper = _paper(study, definition, active, rests_on.subjects)
        size = one_size(len(pack(paper_files(_fullest(paper)))) + PADDING_COST)
        payload = pad(pack(paper_files(paper)), size=size)
        sealed = seal(payload, [holder.public_key for holder in holders])
        _drop_old_files(study)
        return PaperPack.objects.create(
            study=study,
            made_at=paper.about.made_at,
            list_number=active.number,
            subjects=rests_on.subjects,
            size=len(sealed),
            sha256=hashlib.sha256(sealed).hexdigest(),
            keys_sha256=keys_sha256(holders),
            facts_sha256=rests_on.sha256,
            sealed=sealed,
        )


def _drop_old_files(study: Study) -> None:
    """Who needs a pack takes the newest. That an older one was made, and its hash, stay."""
    newest = PaperPack.objects.filter(study=study).order_by("-pk").values_list("pk", flat=True)
    kept = list(newest[: FILES_KEPT - 1])
    old = PaperPack.objects.filter(study=study).exclude(pk__in=kept).exclude(sealed=b"")
    old.update(sealed=b"")


def _paper(
    study: Study, definition: StudyDefinition, active: RandomizationList, subjects: int
) -> Paper:
    at = clock.study_now(study.replay_now)
    labels = {arm.code: arm.label for arm in definition.arms}
    names = {each.key: each.label for each in definition.strata(sites(study, definition))}
    about = About(name_of(study), "", at, list_in_use_now(study), study.simulated)
    strata = tuple(
        PaperStratum(
            names.get(key, key),
            # `get`: the text of a KeyError would carry the arm into the log.
            tuple((place.code, labels.get(place.arm, place.arm)) for place in places),
        )
        for key, places in next_places(active).items()
    )
    centres = _centres(study, definition, at.date())
    return Paper(about, tuple(labels.values()), strata, centres, subjects)


def _centres(study: Study, definition: StudyDefinition, today: date) -> tuple[PaperCentre, ...]:
    """The active centres with their next places of cover, those left out that are too old now."""
    # By the day of the westernmost centre, which the gate goes by; each line says its last day.
    today -= timedelta(days=1)
    until = use_until(definition, today)
    kits, randomized = next_kits(study, until), covered_now(study)
    used_for = until - today
    return tuple(
        PaperCentre(
            centre.number,
            str(centre),
            randomized[centre.pk][0],
            tuple(
                CoverLine(
                    each.code,
                    each.expires_on - used_for,
                    tuple(each.kits.get(arm.code, "") for arm in definition.arms),
                )
                for each in kits.get(centre.pk, [])
            ),
        )
        for centre in study.centres.filter(status="active").order_by("number")
    )


def _fullest(paper: Paper) -> Paper:
    """The same with every place there could be, the longest treatment at each, the longest title.

    How many places are left, and of whom, then moves no size.
    """
    longest = max([*paper.treatments, _LONGEST_CODE], key=lambda text: len(text.encode()))
    line = CoverLine("0000", date.max, (_WIDEST_KIT,) * len(paper.treatments))
    return replace(
        paper,
        about=replace(paper.about, study="x" * STUDY_BYTES),
        strata=tuple(replace(each, places=(("0000", longest),) * PLACES) for each in paper.strata),
        centres=tuple(replace(each, lines=(line,) * PLACES) for each in paper.centres),
    )
