"""How each subject was randomized, for the re-randomization test.

It reads no arm but those that a person named beforehand: these are no outcome of a method.
"""

from itertools import groupby

from dsmb.analysis import Procedure
from iwrs.definition import levels_in
from iwrs.models import Study
from randomization.unblinded.forced import not_of_own_place
from randomization.unblinded.models import Allocation, RandomizationList
from randomization.unblinded.parts import design_of

STRATUM = "stratum"  # the only factor of a method that has a list for each stratum


def procedures(study: Study, control: str) -> list[Procedure]:
    """One procedure for each list that subjects were randomized by, in a fixed number of queries.

    control: of two arms, the control's code; of more, which are compared in pairs, it is not used.

    Places of a list are taken in order (but for one that was told on paper, whose own subject has
    it), so they tell the order of entry: within the stratum where
    each has a list of its own (no other order matters to the method), and in the whole study where
    the method decides when the subject comes.
    """
    lists = RandomizationList.objects.filter(study=study).in_bulk()
    placed = (
        Allocation.objects.filter(subject__study=study)
        .order_by("entry__list", "entry__position", "entry__stratum_key")
        .values_list(
            "entry__list",
            "subject__number",
            "entry__stratum_key",
            "entry__position",
            "entry__decision__stratum_key",
        )
    )
    named = dict(not_of_own_place(study).values_list("subject__number", "arm"))
    found = []
    for key, rows in groupby(placed, key=lambda row: row[0]):
        places: dict[tuple[int, str], tuple[str, str | None]] = {
            (at, stratum): (number, decided) for _, number, stratum, at, decided in rows
        }
        _fill_gaps(places)
        taken = [
            (number, decided or stratum)
            for (_, stratum), (number, decided) in sorted(places.items())
        ]
        found.append(_procedure(lists[key], taken, control, named))
    return found


def _fill_gaps(places: dict[tuple[int, str], tuple[str, str | None]]) -> None:
    """A place that nobody has, because it was told on paper to somebody who did not come, is drawn
    again for nobody: else all places after it would move up, into other blocks.
    """
    last: dict[str, int] = {}
    for at, stratum in places:
        last[stratum] = max(at, last.get(stratum, 0))
    for stratum, end in last.items():
        for at in range(1, end):
            places.setdefault((at, stratum), (f"place {at} of {stratum}, nobody's", None))


def _procedure(
    made: RandomizationList, taken: list[tuple[str, str]], control: str, named: dict[str, str]
) -> Procedure:
    design = design_of(made).as_json()
    mine = {number: named[number] for number, _ in taken if number in named}
    if made.dynamic:
        levels = [levels_in(stratum) for _, stratum in taken]
        factors = tuple(levels[0])
        used = tuple(tuple(each[factor] for factor in factors) for each in levels)
    else:
        factors, used = (STRATUM,), tuple((stratum,) for _, stratum in taken)
    return Procedure(
        method=design,
        arms=tuple((code, ratio) for code, ratio in design["arms"]),
        control=control,
        factors=factors,
        subjects=tuple(number for number, _ in taken),
        levels=used,
        named=mine,
    )
