"""Uniform numbers, one stream for each subject.

Subject ``i`` in phase ``p`` reads numpy's PCG64 seeded by ``SeedSequence(seed, spawn_key=(p, i))``.
Only ``random_raw`` is used: numpy promises the bits of a bit generator across versions, but not
the methods of ``Generator``. A subject's numbers therefore depend on seed, phase and arrival
index alone, never on the arm.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

TRIAL_PHASE, ARRIVAL_PHASE, COURSE_PHASE, SCREEN_FAILURE_PHASE = 0, 1, 1000, 2


def uniforms(seed: int, phase: int, index: int, count: int) -> Floats:
    """``count`` numbers strictly between 0 and 1 for one subject in one phase."""
    bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(phase, index)))
    raw = np.asarray(bits.random_raw(count), dtype=np.uint64) >> np.uint64(11)
    return (raw.astype(np.float64) + 0.5) / 2.0**53


def table(seed: int, phase: int, subjects: int, columns: Mapping[str, int]) -> dict[str, Floats]:
    """Named uniforms for all subjects: shape (subjects,) for width 1, else (subjects, width)."""
    width = sum(columns.values())
    rows = np.array([uniforms(seed, phase, i, width) for i in range(subjects)])
    named, start = {}, 0
    for name, size in columns.items():
        block = rows[:, start : start + size]
        named[name] = block[:, 0] if size == 1 else block
        start += size
    return named
