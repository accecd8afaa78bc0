"""A list's places as they are stored, part by part: the list as approved, then each extension."""

from dataclasses import dataclass, field, replace
from typing import Any

from randomization.listing import Entry, ListDesign, entries_of
from randomization.methods import from_json
from randomization.unblinded.models import ListEntry, RandomizationList
from randomization.unblinded.models_life import ListExtension


@dataclass(frozen=True)
class Part:
    """number: 0 for the list as approved. root: as the unblinded side keeps it."""

    number: int
    design: ListDesign
    root: str
    entries: tuple[Entry, ...] = field(repr=False)


def design_from(kept: dict[str, Any]) -> ListDesign:
    """The generator's input as a list or an extension keeps it."""
    return ListDesign(
        study=kept["study"],
        arms=tuple((code, ratio) for code, ratio in kept["arms"]),
        strata=tuple(kept["strata"]),
        length=kept["length"],
        method=from_json({"method": "permuted-blocks"} | kept),  # lists before there were others
    )


def design_of(made: RandomizationList) -> ListDesign:
    """The design that the list was generated from."""
    return design_from(made.design)


def extensions_of(made: RandomizationList) -> list[ListExtension]:
    """The extensions in use, in order."""
    active = made.extensions.filter(status=ListExtension.Status.ACTIVE)
    return list(active.order_by("part"))


def latest_design(made: RandomizationList) -> ListDesign:
    """The design with all extensions in use."""
    design, extensions = design_of(made), extensions_of(made)
    return extended(design, extensions[-1]) if extensions else design


def extended(design: ListDesign, extension: ListExtension) -> ListDesign:
    """The design after an extension: longer, or with more strata. The rest stays."""
    return replace(design, length=extension.length, strata=tuple(extension.strata))


def added_entries(design: ListDesign, seed: bytes, before: dict[str, int]) -> tuple[Entry, ...]:
    """The places of a longer list beyond `before`, the places of each stratum until now."""
    return tuple(
        entry
        for stratum in design.strata
        for entry in entries_of(design, seed, stratum)
        if entry.position > before.get(stratum, 0)
    )


def stored_entries(made: RandomizationList) -> tuple[Entry, ...]:
    """All places as they are stored, in the order of the strata in the latest design."""
    order = {key: place for place, key in enumerate(latest_design(made).strata)}
    rows = ListEntry.objects.filter(list=made)
    entries = (Entry(each.stratum_key, each.position, each.block, each.content) for each in rows)
    return tuple(
        sorted(entries, key=lambda e: (order.get(e.stratum, len(order)), e.stratum, e.position))
    )


def parts_of(made: RandomizationList) -> list[Part]:
    """Every part with the places that belong to it, as they are stored."""
    design, extensions = design_of(made), extensions_of(made)
    places: list[list[Entry]] = [[] for _ in range(len(extensions) + 1)]
    for entry in stored_entries(made):
        beyond = [e for e in extensions if entry.position > e.before.get(entry.stratum, 0)]
        places[len(beyond)].append(entry)
    parts = [Part(0, design, made.merkle_root, tuple(places[0]))]
    for number, each in enumerate(extensions, 1):
        root = each.merkle_root
        parts.append(Part(each.part, extended(design, each), root, tuple(places[number])))
    return parts
