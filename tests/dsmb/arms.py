"""A made-up trial of several arms as records, with the procedure that gave the arms."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

from dsmb.analysis import Arm, Course, Procedure, Read, SubjectRecord, run_arms

START = date(2010, 1, 4)
CUT = date(2011, 2, 11)
BLOCKS = "permuted-blocks"


def arms_of(codes: str, controls: str = "") -> tuple[Arm, ...]:
    """`LOW HIG PBO` as arms."""
    given = controls.split()
    return tuple(Arm(code, f"Dose {code} + exemestane", code in given) for code in codes.split())


def blocks(subjects: Sequence[str], arms: Sequence[Arm], levels: Sequence[str]) -> Procedure:
    """Permuted blocks of one or two rounds, one to one."""
    sizes = [len(arms), 2 * len(arms)]
    return Procedure(
        method={"method": BLOCKS, "block_sizes": sizes},
        arms=tuple((arm.code, 1) for arm in arms),
        control="",
        factors=("stratum",),
        subjects=tuple(subjects),
        levels=tuple((level,) for level in levels),
    )


class Trial:
    """Subjects in two strata; with `dropped_after`, the first arm takes nobody from then on."""

    def __init__(
        self,
        arms: Sequence[Arm],
        size: int = 150,
        *,
        seed: int = 7,
        days: dict[str, float] | None = None,
        dropped_after: int | None = None,
    ) -> None:
        draw = np.random.default_rng(seed)
        self.arms, self.mean = tuple(arms), days or {}
        numbers = [f"0101-{number:03}" for number in range(size)]
        levels = ["yes" if draw.random() < 0.5 else "no" for _ in numbers]
        first = size if dropped_after is None else dropped_after
        parts = [(self.arms, slice(0, first)), (self.arms[1:], slice(first, size))]
        self.procedures = [
            blocks(numbers[some], among, levels[some]) for among, some in parts if numbers[some]
        ]
        codes = [arm.code for arm in arms]
        given = run_arms(self.procedures, numbers, codes, repeats=1, seed=seed).given[:, 0]
        self.records = [
            SubjectRecord(self._course(number, level, self.arms[place], draw), self.arms[place])
            for number, level, place in zip(numbers, levels, given, strict=True)
        ]

    def _course(self, number: str, level: str, arm: Arm, draw: np.random.Generator) -> Course:
        entry = START + timedelta(days=int(draw.integers(0, 200)))
        hidden = draw.exponential(self.mean.get(arm.code, 150))
        reads = []
        for day in range(42, 330, 42):
            response = "PD" if day > hidden else "SD"
            on = entry + timedelta(days=day)
            reads += [Read("local", on, response), Read("central", on, response)]  # type: ignore[arg-type]
            if response == "PD":
                break
        died = entry + timedelta(days=int(draw.integers(1, 400))) if draw.random() < 0.2 else None
        return Course(
            subject=number,
            centre="0101",
            country="FR",
            strata={"visceral": level},
            randomized_on=entry,
            first_dose_on=entry,
            reads=tuple(reads),
            died_on=died,
        )
