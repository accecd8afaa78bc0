"""Two simulated trials: the course of one hangs on the arm, that of the other does not."""

import random

import pytest

from trial.nature import Nature, simulate

KEYS = [f"visceral={v}|sensitive={s}" for v in ("yes", "no") for s in ("yes", "no")]


def blocks_list(generator: random.Random, length: int = 480) -> list[str]:
    """A 2:1 list in random blocks of 3 and 6, cut at ``length``."""
    arms: list[str] = []
    while len(arms) < length:
        unit = generator.choice((1, 2))
        block = ["EVE"] * (2 * unit) + ["PBO"] * unit
        generator.shuffle(block)
        arms += block
    return arms[:length]


def lists(seed: int) -> dict[str, list[str]]:
    generator = random.Random(seed)
    return {key: blocks_list(generator) for key in KEYS}


@pytest.fixture(scope="module")
def trial() -> Nature:
    return simulate(lists(1), seed=1)


@pytest.fixture(scope="module")
def blind_trial() -> Nature:
    return simulate({}, seed=7, arm_matters=False)
