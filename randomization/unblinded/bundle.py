"""A study's lists and allocations as one file that anybody can check without this system.

It holds the seeds and every arm: it belongs to the unblinded side until the study is unblinded.
Its form is in docs/algorithms/bundle.md, and `randomization/outside/verify_list.py` checks it.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db.models import Q

from iwrs import clock
from iwrs.models import Study
from randomization.listing import Entry, commit
from randomization.models import ListCommitment
from randomization.unblinded.forced import forced_arms, told_places
from randomization.unblinded.models import Allocation, ForcedAllocation, RandomizationList
from randomization.unblinded.models_life import ImportedFile, ListOrigin
from randomization.unblinded.parts import parts_of

FORMAT = "iwrs-list-bundle/1"
SCRIPT = Path(__file__).resolve().parents[1] / "outside" / "verify_list.py"

_PUBLISHED = (RandomizationList.Status.ACTIVE, RandomizationList.Status.CLOSED)


def bundle_of(study: Study) -> dict[str, Any]:
    """Every list of the study that was ever in use, with its places and salts, and every allocation
    in the order in which it was made. A list with subjects is in it whatever its row says.
    """
    taken = Allocation.objects.filter(entry__list__study=study).values("entry__list")
    lists = RandomizationList.objects.filter(
        Q(status__in=_PUBLISHED) | Q(pk__in=taken), study=study
    )
    made = {
        "format": FORMAT,
        "study": study.code,
        "written_at": clock.now().isoformat(),
        "lists": [_list(each) for each in lists.order_by("number")],
        "allocations": list(_allocations(study)),
        "accepted": [[*_place(each), each.forced_at.isoformat()] for each in told_places(study)],
    }
    return made | {"sha256": own_sha256(made)}


def own_sha256(bundle: dict[str, Any]) -> str:
    """SHA-256 of a bundle's content without this value, in one canonical form."""
    content = {key: value for key, value in bundle.items() if key != "sha256"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def write_bundle(study: Study, path: Path) -> dict[str, Any]:
    """Write the bundle to a new file that only its owner may read: `.json` alone, or with the
    program that checks it when the name ends in `.zip`. Raises `FileExistsError`.
    """
    made = bundle_of(study)
    text = json.dumps(made, separators=(",", ":"))
    path.touch(mode=0o600, exist_ok=False)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("bundle.json", text)
            file.writestr(SCRIPT.name, SCRIPT.read_text(encoding="utf-8"))
    else:
        path.write_text(text, encoding="ascii")
    return made


def published_root(made: RandomizationList, part: int = 0) -> str:
    """The root that was published of a list, or of an extension; empty when there is none."""
    found = ListCommitment.objects.filter(
        study_id=made.study_id, list_number=made.number, part=part
    ).values_list("merkle_root", flat=True)
    return found.first() or ""


def _list(made: RandomizationList) -> dict[str, Any]:
    seed = bytes(made.seed)
    origin = ListOrigin.objects.filter(list=made).select_related("split").first()
    return {
        "number": made.number,
        "status": made.status,
        "algorithm": made.algorithm,
        "seed": seed.hex(),
        "source": origin.source if origin else "",
        "split": _split(origin),
        "file": _file(made),
        "parts": [
            {
                "root": part.root,
                "published": published_root(made, part.number),
                "design": part.design.as_json(),
                "entries": _with_salts(part.entries, seed),
            }
            for part in parts_of(made)
        ],
    }


def _split(origin: ListOrigin | None) -> dict[str, Any] | None:
    if origin is None or origin.split is None:
        return None
    shares = list(origin.split.shares.order_by("place"))
    return {
        "number": origin.split.number,
        "shares": [each.share for each in shares],
        "commitments": [each.commitment for each in shares],
    }


def _file(made: RandomizationList) -> dict[str, str] | None:
    kept = ImportedFile.objects.filter(list=made).defer("content").first()
    return {"name": kept.name, "sha256": kept.sha256} if kept else None


def _with_salts(entries: tuple[Entry, ...], seed: bytes) -> list[list[Any]]:
    salts = commit(entries, seed).salts if entries else ()
    return [
        [entry.stratum, entry.position, entry.block, entry.arm, salt.hex()]
        for entry, salt in zip(entries, salts, strict=True)
    ]


def _allocations(study: Study) -> Iterator[dict[str, Any]]:
    """In the order of the gate. `asked` is the stratum that was recorded at randomization, `forced`
    the arm that is not of the own place, `told` the place that was told on paper.
    """
    named = forced_arms(study)
    told = {each.subject_id: _place(each) for each in told_places(study)}
    rows = (
        Allocation.objects.filter(entry__list__study=study)
        .select_related("entry__list", "entry__decision", "subject__randomization")
        .order_by("allocated_at", "pk")
    )
    for each in rows.iterator():
        known = getattr(each.subject, "randomization", None)
        yield {
            "subject": each.subject.number,
            "randomization": known.number if known else "",
            "list": each.entry.list.number,
            "asked": known.stratum_key if known else "",
            "stratum": each.entry.stratum_key,
            "position": each.entry.position,
            "arm": each.arm,
            "forced": named.get(each.subject_id),
            "told": told.get(each.subject_id),
            "decision": _decision(each),
            "at": each.allocated_at.isoformat(),
        }


def _place(told: ForcedAllocation) -> list[Any]:
    entry = told.told_entry
    assert entry is not None
    return [entry.list.number, entry.stratum_key, entry.position]


def _decision(allocation: Allocation) -> dict[str, Any] | None:
    """How a dynamic method decided; tracks are counted from 0."""
    kept = getattr(allocation.entry, "decision", None)
    if kept is None:
        return None
    return {"scores": kept.scores, "weights": kept.weights, "track": kept.track}
