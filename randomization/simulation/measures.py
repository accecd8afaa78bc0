"""What a statistician asks of a method, measured on simulated trials.

Distances from the ratio are whole numbers: `imbalance` counts in parts of a subject, of which
`parts(ratio)` make one, so that results of chunks add up exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from randomization.simulation.entry import Entry
from randomization.simulation.rules import Floats, Integers, shares


def parts(ratio: tuple[int, ...]) -> int:
    """Into how many parts a subject is divided when distances from this ratio are counted."""
    return sum(shares(ratio))


def imbalance(counts: Integers, ratio: tuple[int, ...]) -> Integers:
    """The largest distance of an arm's count from its share, over the arms (last axis), in parts.

    For 1:1 it is the difference of the two arms, since half a subject is one part.
    """
    share = np.asarray(shares(ratio))
    away = counts * share.sum() - counts.sum(axis=-1, keepdims=True) * share
    return np.abs(away).max(axis=-1)


def before(groups: Integers, arms: Integers, number: int) -> Integers:
    """How many of each arm (last axis) entered the subject's own group before the subject."""
    order = np.argsort(groups, axis=0, kind="stable")
    sorted_groups = np.take_along_axis(groups, order, axis=0)
    own = np.take_along_axis(arms, order, axis=0)[..., None] == np.arange(number)
    earlier = own.cumsum(axis=0, dtype=np.int32) - own  # half the memory, and as much faster
    first = np.ones(groups.shape, bool)
    first[1:] = sorted_groups[1:] != sorted_groups[:-1]
    start = np.maximum.accumulate(np.where(first[..., None], earlier, 0), axis=0)
    counts = np.empty_like(earlier)
    np.put_along_axis(counts, order[..., None], earlier - start, axis=0)
    return counts


def with_own(counts: Integers, arms: Integers) -> Integers:
    """The counts once the subject itself is counted."""
    return counts + (arms[..., None] == np.arange(counts.shape[-1]))


def guesses(counts: Integers, ratio: tuple[int, ...]) -> Floats:
    """The share of the guess on each arm, by the convergence strategy.

    One guesses the arm that is furthest below its share among the subjects seen so far; among arms
    equally far below, the one with the largest ratio; among those, each with the same probability.
    Source: Blackwell D, Hodges JL, Ann Math Stat 1957;28:449, who treat 1:1.
    """
    share = np.asarray(shares(ratio))
    below = counts.sum(axis=-1, keepdims=True) * share - counts * share.sum()
    rank = below * (share.max() + 1) + share
    top = rank == rank.max(axis=-1, keepdims=True)
    return top / top.sum(axis=-1, keepdims=True)


@dataclass(frozen=True)
class Predicted:
    """By trial: share of correct guesses, and the bias that the guesses can bring in.

    `bias` is in units of what the guesser adds to the outcome by choosing whom to enrol: +1 for a
    subject expected on the first arm, -1 on the last. It is the total of that on the first arm less
    the total on the last, each divided by the number of subjects that the ratio gives the arm; for
    1:1 it is 4 (correct - 1/2), Blackwell's and Hodges's factor.
    """

    correct: Floats
    bias: Floats


def predicted(seen: Integers, arms: Integers, ratio: tuple[int, ...]) -> Predicted:
    """What somebody guesses who has seen these counts of arms before each subject: those of the
    own group (a stratum, a centre), by `before`.
    """
    guess = guesses(seen, ratio)
    correct = np.take_along_axis(guess, arms[..., None], axis=-1)[..., 0]
    shift = guess[..., 0] - guess[..., -1]
    share = np.asarray(ratio) / sum(ratio)
    sided = (arms == 0) / share[0] - (arms == len(ratio) - 1) / share[-1]
    return Predicted(correct.mean(axis=0), (shift * sided).mean(axis=0))


def counts_by(groups: Integers, arms: Integers, size: int, number: int) -> Integers:
    """Subjects by trial, group and arm."""
    _, trials = groups.shape
    cell = (np.arange(trials) * size + groups) * number + arms
    found = np.bincount(cell.ravel(), minlength=trials * size * number)
    return found.reshape(trials, size, number)


def lost(entry: Entry, arms: Integers, ratio: tuple[int, ...]) -> Floats:
    """Loss of efficiency: subjects whose information is lost to imbalance, by trial.

    Of a linear model with the arms and the levels of the stratification factors as main effects,
    against perfect balance at the ratio; for more than two arms by the determinant of the arms'
    information (D-efficiency). With complete randomization of two arms its expectation is the
    number of the model's parameters without the arm.
    Source: Atkinson AC, Stat Med 1999;18:1741 and Stat Sci 2002;17:303.
    """
    subjects, _ = entry.shape
    share = np.asarray(shares(ratio)) / sum(shares(ratio))
    cells = counts_by(entry.stratum, arms, entry.strata, len(ratio))
    size = cells.sum(axis=-1)
    # Arms as deviations from their share, the last arm left out: it follows from the others.
    away = (cells - size[..., None] * share)[..., :-1]
    design = main_effects(entry.sizes)
    normal = np.einsum("sp,ts,sq->tpq", design, size, design, optimize=True)
    cross = np.einsum("sp,tsa->tpa", design, away, optimize=True)
    # A level that nobody has leaves the matrix without an inverse; the generalized one ignores it.
    explained = np.swapaxes(cross, 1, 2) @ np.linalg.pinv(normal, hermitian=True) @ cross
    arm_total = cells.sum(axis=1)[..., :-1]
    information = _squares(arm_total, share[:-1], subjects) - explained
    balanced = subjects * (np.diag(share[:-1]) - np.outer(share[:-1], share[:-1]))
    efficiency = np.maximum(np.linalg.det(information) / np.linalg.det(balanced), 0.0)
    result: Floats = subjects * (1 - efficiency ** (1 / (len(ratio) - 1)))
    return result


def _squares(totals: Integers, share: Floats, subjects: int) -> Floats:
    """Sum over the subjects of the products of their deviations from the shares."""
    diagonal = totals[..., None] * np.eye(len(share))
    mixed = totals[..., :, None] * share[None, None, :]
    products: Floats = (
        diagonal - mixed - np.swapaxes(mixed, 1, 2) + subjects * np.outer(share, share)
    )
    return products


def main_effects(sizes: tuple[int, ...]) -> Floats:
    """The design of a constant and the factors' levels but the first: one row for each stratum."""
    if not sizes:
        return np.ones((1, 1))
    levels = np.indices(sizes).reshape(len(sizes), -1)
    columns = [np.ones(levels.shape[1])]
    for level, size in zip(levels, sizes, strict=True):
        columns += [(level == each).astype(float) for each in range(1, size)]
    return np.stack(columns, axis=1)
