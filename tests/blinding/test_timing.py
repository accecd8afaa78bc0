"""How long a randomization takes does not depend on the arm.

Pairs: the same subject is randomized in two copies of one database in which every arm and every
kit's content are exchanged, in random order, through the real service. Bounds stated beforehand:
the sign test of the differences (one arm minus the other) keeps p above 0.001, and the 99%
interval of their median lies within 5% of the median time. By chance one measure in a thousand
misses the first bound, so one that misses is made once more and then has to keep both.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from django.db import connection
from scipy import stats

from enrolment.models import Subject
from tests import factories as make
from tests.blinding import coupled
from trial.services import randomize

pytestmark = [
    pytest.mark.slow,
    pytest.mark.requirement("REQ-043"),
    pytest.mark.usefixtures("committed_db"),
]
PAIRS = 400
WARM_UP = 20


@pytest.fixture
def subjects() -> list[Subject]:
    study = make.a_study(length=PAIRS + WARM_UP)
    centre = make.a_centre(study, cover=0)
    make.a_cohort(centre, size=PAIRS + WARM_UP)
    return [make.a_subject(centre) for _ in range(PAIRS + WARM_UP)]


@contextmanager
def connected(databases: tuple[str, str]) -> Iterator[list[Any]]:
    """A connection of Django's to each copy, held open, so that none is paid for in a measure."""
    held = []
    for database in databases:
        with coupled.django_on(database):
            connection.ensure_connection()
            held.append(connection.connection)
            connection.connection = None
    yield held
    connection.connection = None
    for each in held:
        each.close()


def seconds(subject: Subject, link: Any) -> float:
    """The time of one randomization over this connection."""
    connection.connection = link
    began = time.perf_counter()
    answer = randomize(subject, by=make.TESTER)
    took = time.perf_counter() - began
    assert answer.first_time
    return took


def differences(subjects: list[Subject], plant: tuple[str, str] | None = None) -> Any:
    """Times of one arm minus the other, pair by pair, and the median time."""
    order = np.random.default_rng(20101) if plant is None else np.random.default_rng(20102)
    with coupled.copies() as databases:
        entries, contents = coupled.arms(databases[1])
        coupled.rewrite_arms(databases[0], entries, contents)
        coupled.rewrite_arms(databases[1], coupled.swapped(entries), coupled.swapped(contents))
        for database in databases if plant else ():
            with coupled.login("owner", database) as owner:
                coupled.change_function(owner, "gate.allocate", plant)
        took = []
        with connected(databases) as links:
            for subject in subjects:
                both = [0.0, 0.0]
                for which in order.permutation(2):
                    both[which] = seconds(subject, links[which])
                took.append(both)
        arms = _arms(databases[0])
    pairs = np.array(took)[WARM_UP:]
    first = np.array([arms[subject.pk] == "EVE" for subject in subjects])[WARM_UP:]
    apart = np.where(first, pairs[:, 0] - pairs[:, 1], pairs[:, 1] - pairs[:, 0])
    return apart, float(np.median(pairs))


def _arms(database: str) -> dict[int, str]:
    with coupled.login("owner", database) as owner:
        return dict(owner.execute("SELECT subject_id, arm FROM unblinded.allocation").fetchall())


def interval_of_median(values: Any) -> tuple[float, float]:
    """The 99% interval by order statistics (Conover 1999, 3.2): no shape is assumed."""
    low = int(stats.binom.ppf(0.005, len(values), 0.5))
    ordered = np.sort(values)
    return float(ordered[low]), float(ordered[len(values) - 1 - low])


def test_the_time_of_a_randomization_does_not_tell_the_arm(subjects: list[Subject]) -> None:
    for _ in range(2):
        apart, median = differences(subjects)
        longer = int((apart > 0).sum())
        p = stats.binomtest(longer, len(apart)).pvalue
        low, high = interval_of_median(apart)
        print(f"\n{longer} of {len(apart)} pairs longer, p {p:.3f}; median {median * 1e3:.2f} ms,")
        print(f"99% interval of its difference {low * 1e6:.0f} to {high * 1e6:.0f} microseconds")
        if p > 0.001:
            break
    assert p > 0.001
    assert -0.05 * median < low <= high < 0.05 * median


def test_five_milliseconds_for_one_arm_would_be_seen(subjects: list[Subject]) -> None:
    slower = (
        "INSERT INTO unblinded.allocation",
        "IF v_entry.arm = 'PBO' THEN PERFORM pg_sleep(0.005); END IF;"
        " INSERT INTO unblinded.allocation",
    )
    apart, _ = differences(subjects, plant=slower)
    assert stats.binomtest(int((apart > 0).sum()), len(apart)).pvalue < 1e-6
