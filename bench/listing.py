"""`python -m bench.listing`: a list of a million entries beside numpy's permutations.

The plain loop shuffles as many blocks with numpy's own generator, which promises no bytes: what
Python and a fast shuffle cost without a specification. Beside it the commitment, and the same list
by the stand-alone program, which has its own cipher in plain Python.
"""

import argparse
import runpy
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from randomization.listing import Entry, ListDesign, commit, generate
from randomization.methods import METHODS, from_json

ARMS = (("EVE", 2), ("PBO", 1))
STRATA = tuple(f"stratum={n}" for n in range(4))
KEYS: dict[str, dict[str, object]] = {
    "permuted-blocks": {"block_sizes": [3, 6]},
    "efron": {"coin": "2/3"},
    "big-stick": {"bound": 2},
    "urn": {"start": 1, "added": 1},
    "minimization": {"imbalance": "range", "coin": "4/5"},
}
SEED = bytes(range(32))
PROGRAM = Path(__file__).parent.parent / "randomization" / "outside" / "verify_list.py"


def by_numpy(entries: int) -> int:
    """Blocks of 3 and 6 until there are so many entries, kept as the same kind of rows."""
    source = np.random.default_rng(1)
    contents = {3: ["EVE", "EVE", "PBO"], 6: ["EVE"] * 4 + ["PBO"] * 2}
    rows: list[Entry] = []
    block = 0
    while len(rows) < entries:
        block += 1
        for arm in source.permutation(contents[int(source.choice((3, 6)))]):
            rows.append(Entry("all", len(rows) + 1, block, str(arm)))
    return len(rows)


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.listing", description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    options = parser.parse_args()
    plain = seconds(lambda: by_numpy(options.entries))
    print(f"{options.entries} entries")
    print(f"  {'numpy permutations':<22} {plain:6.2f} s")

    def show(name: str, work: Callable[[], object]) -> None:
        taken = seconds(work)
        print(f"  {name:<22} {taken:6.2f} s   ratio {taken / plain:5.2f}")

    for name in METHODS:
        method = from_json({"method": name} | KEYS.get(name, {}))
        strata = ("all",) if name == "minimization" else STRATA
        design = ListDesign("BENCH", ARMS, strata, options.entries // len(strata), method)
        show(name, partial(generate, design, SEED))
        if name == "permuted-blocks":
            show("and its commitment", partial(commit, generate(design, SEED), SEED))
            outside = runpy.run_path(str(PROGRAM))["generate"]
            again = partial(outside, method.algorithm, design.as_json(), SEED)
            show("by the program alone", lambda again=again: list(again()))  # type: ignore[misc]
    return 0


if __name__ == "__main__":
    sys.exit(main())
