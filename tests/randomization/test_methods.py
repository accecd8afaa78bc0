"""Each method against theory: exact distributions, worked out from its weights, not from a run."""

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise, product
from math import comb, factorial

import pytest

from randomization.listing import ListDesign, ListDesignError, generate
from randomization.methods import (
    METHODS,
    Arms,
    Coin,
    Method,
    MethodError,
    Minimization,
    PermutedBlocks,
    as_json,
    from_json,
    track_at,
    tracks,
)
from randomization.methods.big_stick import BigStick
from randomization.methods.complete import Complete
from randomization.methods.efron import Efron
from randomization.methods.urn import Urn

EQUAL = (("A", 1), ("B", 1))
TWO_TO_ONE = (("A", 2), ("B", 1))
SEQUENTIAL = [Complete(), Efron("2/3"), Efron("0.9"), BigStick(2), Urn(1, 1), Urn(0, 3)]
Spread = dict[tuple[int, ...], Fraction]


def after(method, count: int, lanes: int) -> Iterator[Spread]:
    """The exact distribution of the tracks' counts after each of `count` places."""
    spread: Spread = {(0,) * lanes: Fraction(1)}
    for _ in range(count):
        following: Spread = {}
        for counts, chance in spread.items():
            weights = method.weights(counts)
            for track, weight in enumerate(weights):
                if weight:
                    there = tuple(n + (place == track) for place, n in enumerate(counts))
                    step = chance * Fraction(weight, sum(weights))
                    following[there] = following.get(there, Fraction(0)) + step
        spread = following
        yield spread


def of_difference(spread: Spread) -> dict[int, Fraction]:
    found: dict[int, Fraction] = {}
    for (a, b), chance in spread.items():
        found[a - b] = found.get(a - b, Fraction(0)) + chance
    return found


def in_the_long_run(method, steps: int = 120) -> dict[int, float]:
    """The distribution of the difference, averaged over two steps, since it goes up and down."""
    *_, before, last = (of_difference(spread) for spread in after(method, steps, 2))
    both = before.keys() | last.keys()
    return {d: float(before.get(d, 0) + last.get(d, 0)) / 2 for d in both}


def test_complete_randomization_is_binomial():
    *_, last = after(Complete(), 10, 2)
    assert last == {(k, 10 - k): Fraction(comb(10, k), 2**10) for k in range(11)}


@pytest.mark.parametrize("p", ["2/3", "0.75", "0.9"])
def test_efrons_coin_has_his_stationary_distribution(p):
    """Efron 1971, section 3: with r = p / (1 - p), the difference is 0 half as often as (r-1)/r."""
    found = in_the_long_run(Efron(p), 150)
    r = float(Fraction(p) / (1 - Fraction(p)))
    expected = {0: (r - 1) / (2 * r)}
    expected |= {j: (r * r - 1) / (2 * r ** (j + 1)) for j in range(1, 12)}
    for j, chance in expected.items():
        assert found[j] + (found[-j] if j else 0) == pytest.approx(chance, abs=1e-6)


@pytest.mark.parametrize("bound", [1, 2, 3, 5])
def test_big_stick_never_passes_its_bound_and_reaches_it_as_a_reflected_walk_does(bound):
    for spread in after(BigStick(bound), 60, 2):
        assert max(map(abs, of_difference(spread))) <= bound
    found = in_the_long_run(BigStick(bound), 300)
    for difference in range(-bound, bound + 1):
        share = 1 / (4 * bound) if abs(difference) == bound else 1 / (2 * bound)
        assert found[difference] == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize(("start", "added"), [(1, 1), (0, 1), (3, 2)])
def test_the_urns_variance_follows_weis_recursion(start, added):
    """P(A) is 1/2 - b D / (2 (2a + b n)), so E D^2 grows by 1 - 2 b E D^2 / (2a + b n)."""
    expected = Fraction(0)
    for n, spread in enumerate(after(Urn(start, added), 40, 2)):
        balls = 2 * start + added * n
        expected += 1 - (2 * added * expected / balls if balls else 0)
        assert sum(d * d * chance for d, chance in of_difference(spread).items()) == expected


def test_the_urn_without_balls_has_a_third_of_the_variance_in_the_long_run():
    """Wei 1978: D / sqrt(n) tends to N(0, 1/3) for UD(0, 1)."""
    *_, last = after(Urn(0, 1), 250, 2)
    variance = sum(d * d * chance for d, chance in of_difference(last).items())
    assert float(variance) / 250 == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize("method", SEQUENTIAL, ids=repr)
@pytest.mark.parametrize("arms", [TWO_TO_ONE, (("A", 1), ("B", 2), ("C", 1))], ids=str)
def test_every_place_has_the_ratio_whatever_came_before_is_averaged(method, arms: Arms):
    lanes = tracks(arms)
    before: dict[str, Fraction] = dict.fromkeys(lanes, Fraction(0))
    for spread in after(method, 9, len(lanes)):
        used = dict.fromkeys(lanes, Fraction(0))
        for counts, chance in spread.items():
            for track, count in enumerate(counts):
                used[lanes[track]] += chance * count
        for arm in used:
            assert used[arm] - before[arm] == Fraction(lanes.count(arm), len(lanes))
        before = used


def test_twin_a_coin_between_arms_of_unequal_ratio_does_not_keep_it():
    """Efron's coin on counts divided by the ratio: the second place is not 2 to 1."""

    class Naive(Efron):
        def weights(self, counts: Sequence[int]) -> list[int]:
            a, b = Fraction(counts[0], 2), Fraction(counts[1])
            return [2, 1] if a == b else ([3, 1] if a < b else [1, 3])

    first, second = after(Naive("3/4"), 2, 2)
    mean = sum(counts[0] * chance for counts, chance in second.items())
    assert first[1, 0] == Fraction(2, 3)
    assert mean - first[1, 0] != Fraction(2, 3)


LEVELS = [("yes", "no"), ("no", "no"), ("yes", "yes"), ("yes", "no"), ("no", "yes")]


def expected_first_arm(decide) -> list[Fraction]:
    """The chance of the first arm at each of five subjects: all sequences of tracks weighed."""
    found = [Fraction(0)] * len(LEVELS)
    for course in product(range(3), repeat=len(LEVELS)):
        margins: dict[tuple[int, str], list[int]] = {}
        chance = Fraction(1)
        for place, (levels, track) in enumerate(zip(LEVELS, course, strict=True)):
            mine = {f: margins.setdefault((f, level), [0] * 3) for f, level in enumerate(levels)}
            weights = decide({str(f): counts for f, counts in mine.items()})
            chance *= Fraction(weights[track], sum(weights))
            if not chance:
                break
            for counts in mine.values():
                counts[track] += 1
            if place < 4:
                continue
            for k, each in enumerate(course):
                found[k] += chance * (each < 2)
    return found


@pytest.mark.parametrize("imbalance", ["range", "variance", "total"])
@pytest.mark.parametrize("coin", ["4/5", "1"])
def test_minimization_keeps_two_to_one_at_every_subject(imbalance, coin):
    method = Minimization(imbalance, coin, (("0", 2),))
    chances = expected_first_arm(lambda m: method.decide(TWO_TO_ONE, m, 0).weights)
    assert chances == [Fraction(2, 3)] * 5


def test_twin_naive_minimization_of_unequal_arms_does_not():
    """The known failure: marginal counts divided by the ratio, the better arm at 4 to 1."""

    def naive(margins):
        scores = []
        for arm in (0, 1):
            spread = Fraction(0)
            for counts in margins.values():
                a, b = counts[0] + counts[1] + (arm == 0), counts[2] + (arm == 1)
                spread += abs(Fraction(a, 2) - b)
            scores.append(spread)
        if scores[0] == scores[1]:
            return [1, 1, 1]
        return [2, 2, 1] if scores[0] < scores[1] else [1, 1, 8]

    chances = expected_first_arm(naive)
    assert any(chance != Fraction(2, 3) for chance in chances)


def test_scores_of_three_arms_and_four_factors_are_those_worked_by_hand():
    margins = {"1": (9, 10, 9), "2": (8, 7, 9), "3": (8, 9, 9), "4": (12, 11, 12)}
    method = Minimization("range", "4/5", ())
    arms = (("A", 1), ("B", 1), ("C", 1))
    assert method.decide(arms, margins, 0).scores == (
        sum(
            max(c) - min(c)
            for c in [(10, 10, 9), (9, 7, 9), (9, 9, 9), (13, 11, 12)]
        ),
        sum(
            max(c) - min(c)
            for c in [(9, 11, 9), (8, 8, 9), (8, 10, 9), (12, 12, 12)]
        ),
        sum(
            max(c) - min(c)
            for c in [(9, 10, 10), (8, 7, 10), (8, 9, 10), (12, 11, 13)]
        ),
    )  # fmt: skip


@pytest.mark.parametrize("weight", [1, 3])
def test_a_factor_weighs_what_it_was_given(weight):
    margins = {"f": (3, 0), "g": (0, 1)}
    scores = Minimization("range", "1", (("f", weight),)).decide(EQUAL, margins, 0).scores
    assert scores == (4 * weight + 0, 2 * weight + 2)


def test_a_draw_takes_the_track_whose_share_it_falls_into():
    method = Minimization("total", "4/5", ())
    margins = {"f": (1, 0)}  # weights 1 and 4
    taken = [method.decide(EQUAL, margins, point).track for point in (0, 2**53 // 5, 2**53 - 1)]
    assert taken == [0, 0, 1]
    assert method.decide(EQUAL, margins, 2**53 // 5 + 1).track == 1


def test_lists_are_drawn_with_the_weights():
    """A list of each method, step by step: the frequencies of its weights, by exact chances."""
    for method in SEQUENTIAL:
        design = ListDesign("S", TWO_TO_ONE, ("all",), 3_000, method)
        arms = Counter(entry.arm for entry in generate(design, bytes(range(32))))
        assert arms["A"] + arms["B"] == 3_000
        assert abs(arms["A"] - 2_000) < 130  # 5 standard deviations of complete randomization


def multinomial_p(counts: Sequence[int]) -> float:
    """The exact multinomial test of equal chances: all tables that are no likelier."""
    n, k = sum(counts), len(counts)

    def chance(table: Sequence[int]) -> Fraction:
        ways = factorial(n)
        for count in table:
            ways //= factorial(count)
        return Fraction(ways, k**n)

    observed = chance(counts)
    tables = (
        (a, b, n - a - b) for a in range(n + 1) for b in range(n + 1 - a)
    )  # fmt: skip
    return float(sum(c for c in map(chance, tables) if c <= observed))


@pytest.mark.parametrize("seed", range(4))
def test_orders_of_a_block_of_three_are_uniform_by_the_exact_multinomial_test(seed):
    design = ListDesign("EXACT", TWO_TO_ONE, ("all",), 180, PermutedBlocks((3,)))
    arms = "".join(entry.arm for entry in generate(design, bytes([seed]) * 32))
    orders = Counter(arms[n : n + 3] for n in range(0, 180, 3))
    assert multinomial_p([orders[each] for each in ("AAB", "ABA", "BAA")]) > 0.0005


@pytest.mark.parametrize("seed", range(4))
def test_runs_of_complete_randomization_are_as_many_as_chance_gives(seed):
    """Wald and Wolfowitz 1940, given the numbers of both arms; normal to 4 standard deviations."""
    design = ListDesign("RUNS", EQUAL, ("all",), 2_000, Complete())
    arms = [entry.arm for entry in generate(design, bytes([seed + 9]) * 32)]
    a, b = arms.count("A"), arms.count("B")
    runs = 1 + sum(one != other for one, other in pairwise(arms))
    mean = 1 + 2 * a * b / (a + b)
    variance = (mean - 1) * (mean - 2) / (a + b - 1)
    assert abs(runs - mean) < 4 * variance**0.5
    alternating = 2_000  # the twin: a coin that never repeats itself
    assert abs(alternating - mean) > 4 * variance**0.5


# Parameters


@pytest.mark.parametrize(
    ("text", "odds"), [("2/3", (2, 1)), ("0.8", (4, 1)), ("1", (1, 0)), ("0.55", (11, 9))]
)
def test_a_coin_is_two_whole_numbers(text, odds):
    assert (Coin.of(text).favour, Coin.of(text).against) == odds


@pytest.mark.parametrize("text", ["0.5", "1.2", "x", "2/0", "", "0.66666", "-1"])
def test_a_coin_that_is_none_is_refused(text):
    with pytest.raises(MethodError, match="coin"):
        Coin.of(text)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (Efron("1"), "below 1"),
        (BigStick(0), "bound"),
        (Urn(-1, 1), "start"),
        (Urn(1, 0), "added"),
        (Minimization("sum", "2/3"), "imbalance"),
        (Minimization("range", "2/3", (("f", 0),)), "weights.f"),
    ],
    ids=repr,
)
def test_parameters_that_cannot_be_used_are_refused(method: Method, message):
    with pytest.raises(ListDesignError, match=message):
        ListDesign("S", TWO_TO_ONE, ("all",), 3, method)


def test_an_urn_may_not_hold_more_balls_than_a_word_counts():
    arms = (("A", 100), ("B", 99))
    with pytest.raises(ListDesignError, match=r"added: after 22000 places .* 4356000"):
        ListDesign("S", arms, ("all",), 22_000, Urn(0, 1000))
    ListDesign("S", arms, ("all",), 21_000, Urn(0, 1000))


@pytest.mark.parametrize(
    "method",
    [*SEQUENTIAL, PermutedBlocks((3, 6)), Minimization("range", "1", (("f", 2),))],
    ids=repr,
)
def test_a_method_is_kept_as_json_and_read_again(method):
    assert from_json(as_json(method)) == method


def test_every_method_is_registered_under_its_own_name():
    assert all(name == method.name for name, method in METHODS.items())


def test_tracks_are_the_ratio_in_lowest_terms():
    assert tracks((("A", 4), ("B", 2))) == ("A", "A", "B")


def test_a_point_beyond_the_weights_is_refused():
    with pytest.raises(ValueError, match="beyond"):
        track_at([1, 2], 3)
