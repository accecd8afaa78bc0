"""What is checked of a list before people approve it: a report over the places as stored."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from iwrs.models import StudyVersion
from randomization.listing import Entry, ListDesign, commit, generate
from randomization.listing.outside_file import IMPORTED
from randomization.methods import PermutedBlocks
from randomization.unblinded.imported import read_again
from randomization.unblinded.models import RandomizationList
from randomization.unblinded.models_life import ListOrigin, SplitSeed
from randomization.unblinded.parts import parts_of


@dataclass(frozen=True)
class Check:
    """One line of the report. `passed` is None where there is nothing to be right or wrong."""

    name: str
    said: str = field(repr=False)
    passed: bool | None = None


def report(made: RandomizationList) -> list[Check]:
    """Every check of a list, in the order in which a reviewer asks."""
    first = parts_of(made)[0]
    entries, design, seed = first.entries, first.design, bytes(made.seed)
    return [
        *_source(made),
        _again(made, design, entries),
        Check(
            "Merkle root",
            "The root of the stored places is the one that will be published.",
            passed=bool(entries) and commit(entries, seed).root.hex() == made.merkle_root,
        ),
        _strata(design, entries),
        _positions(entries),
        *by_method(design, entries, dynamic=made.dynamic),
    ]


def _again(made: RandomizationList, design: ListDesign, entries: tuple[Entry, ...]) -> Check:
    if made.algorithm == IMPORTED:
        kept = made.file
        return Check(
            "Read again from the file",
            f"Every place is that of {kept.name}, SHA-256 {kept.sha256}.",
            passed=entries == read_again(made),
        )
    return Check(
        "Made again from design and seed",
        "Every place is the same, byte for byte.",
        passed=entries == generate(design, bytes(made.seed)),
    )


def by_method(design: ListDesign, entries: tuple[Entry, ...], *, dynamic: bool) -> Iterator[Check]:
    """What there is to see in the arms: nothing where the places are draws."""
    if isinstance(design.method, PermutedBlocks):
        yield from _blocks(design, design.method.block_sizes, entries)
    if dynamic:
        yield Check("Places", f"{len(entries)} draws; each arm is decided when its subject comes.")
    else:
        yield _shares_of_arms(design, entries)
        yield _runs(entries)


def _source(made: RandomizationList) -> Iterator[Check]:
    origin = ListOrigin.objects.filter(list=made).select_related("split").first()
    if origin is None:
        yield Check("Seed", "Where it came from was not recorded.", passed=False)
        return
    given_up = SplitSeed.objects.filter(study=made.study, ended_at__isnull=False).count()
    said = f"{origin.get_source_display()}."
    if origin.split:
        who = " and ".join(each.by for each in origin.split.shares.order_by("place"))
        said += f" Split seed {origin.split.number}, shares of {who}."
    if given_up:
        said += f" Split seeds of this study that were given up: {given_up}."
    yield Check("Seed", said)
    used = RandomizationList.objects.filter(seed=made.seed).exclude(pk=made.pk).exists()
    yield Check("Seed used once", "No other list has this seed.", passed=not used)
    newest = StudyVersion.objects.filter(study=made.study).order_by("-number").first()
    yield Check(
        "Study definition",
        f"Made for version {origin.definition_version}, SHA-256 {origin.definition_sha256}. "
        + (f"Newest version: {newest.number}." if newest else ""),
    )


def _strata(design: ListDesign, entries: tuple[Entry, ...]) -> Check:
    lengths = Counter(entry.stratum for entry in entries)
    right = set(lengths) == set(design.strata) and all(
        length >= design.length for length in lengths.values()
    )
    return Check(
        "Strata and lengths",
        f"{len(lengths)} strata of {len(design.strata)}; places in the shortest: "
        f"{min(lengths.values(), default=0)}, at least {design.length} are needed.",
        passed=right,
    )


def _positions(entries: tuple[Entry, ...]) -> Check:
    right = all(
        [entry.position for entry in group] == list(range(1, len(group) + 1))
        for _, group in _by_stratum(entries)
    )
    return Check("Positions", "From 1 in each stratum, no gap, none twice.", passed=right)


def _blocks(
    design: ListDesign, allowed: tuple[int, ...], entries: tuple[Entry, ...]
) -> Iterator[Check]:
    """Each block is of an allowed size, exactly in the ratio, and follows the one before."""
    whole = sum(ratio for _, ratio in design.arms)
    sizes: Counter[int] = Counter()
    wrong = 0
    for _, group in _by_stratum(entries):
        first = group[0].block if group[0].position > 1 else 1  # of an extension: it goes on
        runs = groupby(group, lambda entry: entry.block)
        for number, (block, members) in enumerate(runs, first):
            arms = Counter(entry.arm for entry in members)
            size = sum(arms.values())
            sizes[size] += 1
            expected = {code: ratio * size // whole for code, ratio in design.arms}
            wrong += block != number or size not in allowed or dict(arms) != expected
    counted = ", ".join(f"{count} of {size}" for size, count in sorted(sizes.items()))
    total = sum(sizes.values())
    said = f"{wrong} of {total} blocks are not." if wrong else f"All {total} blocks are."
    yield Check("Blocks in the ratio", said, passed=wrong == 0)
    yield Check("Block sizes", f"{counted}.")


def _shares_of_arms(design: ListDesign, entries: tuple[Entry, ...]) -> Check:
    counted = Counter(entry.arm for entry in entries)
    known = {code for code, _ in design.arms}
    said = ", ".join(f"{code} {counted[code]}" for code, _ in design.arms)
    return Check("Places by arm", f"{said}.", passed=set(counted) <= known)


def _runs(entries: tuple[Entry, ...]) -> Check:
    """The longest run of one arm within a stratum: a constant or a sorted list shows here."""
    longest = max(
        (
            (len(list(run)), stratum, arm)
            for stratum, group in _by_stratum(entries)
            for arm, run in groupby(group, lambda entry: entry.arm)
        ),
        default=(0, "", ""),
    )
    return Check(
        "Longest run of one arm", f"{longest[0]} places ({longest[2]}, stratum {longest[1]})."
    )


def _by_stratum(entries: tuple[Entry, ...]) -> list[tuple[str, list[Entry]]]:
    return [(key, list(group)) for key, group in groupby(entries, lambda entry: entry.stratum)]
