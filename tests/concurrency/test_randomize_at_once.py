"""Eight processes randomize at several centres and strata at the same moment."""

import random
from collections import Counter
from fractions import Fraction
from typing import Any

import pytest

from enrolment.models import Centre, Subject
from iwrs.models import Study
from tests import factories as make
from tests.concurrency import racer
from tests.concurrency.methods import METHODS
from tests.randomization.recomputed import decided_again
from tests.roles import Logins

pytestmark = pytest.mark.usefixtures("committed_db")
PER_CENTRE = 16


@pytest.fixture
def centres(request: pytest.FixtureRequest) -> list[Centre]:
    study = make.a_study(method=getattr(request, "param", "permuted-blocks"))
    return [make.a_centre(study, cover=3) for _ in range(4)]


def subjects_of(centres: list[Centre]) -> list[Subject]:
    """As many subjects of every stratum at every centre, in an order of no meaning."""
    strata = _strata(centres[0].study)
    made = [
        make.a_subject(centre, strata=strata[n % len(strata)])
        for centre in centres
        for n in range(PER_CENTRE)
    ]
    random.Random(20090601).shuffle(made)
    return made


def _strata(study: Study) -> list[dict[str, str]]:
    combined: list[dict[str, str]] = [{}]
    for factor in study.definition.factors:
        combined = [each | {factor.key: level.key} for each in combined for level in factor.levels]
    assert len(combined) == 4
    return combined


def places(logins: Logins) -> list[tuple[Any, ...]]:
    """Stratum, position, block, arm and subject of each allocation, in order of time."""
    return (
        logins.owner()
        .execute(
            "SELECT e.stratum_key, e.position, e.block, a.arm, a.subject_id, e.arm"
            " FROM unblinded.allocation a JOIN unblinded.list_entry e ON e.id = a.entry_id"
            " ORDER BY a.allocated_at"
        )
        .fetchall()
    )


@pytest.mark.requirement("REQ-002")
@pytest.mark.parametrize("centres", METHODS, indirect=True)
def test_lists_are_used_in_order_without_gap(centres, logins: Logins):
    subjects = subjects_of(centres)
    race = racer.start(
        logins.url("blinded"), "randomize", racer.shared_out([each.pk for each in subjects])
    )
    answers = race.answers()
    assert [each for each in answers if "problem" in each] == []
    assert all(each["first_time"] for each in answers)
    assert len({each["number"] for each in answers}) == len(subjects)
    assert len({each["kit"] for each in answers}) == len(subjects)

    taken = places(logins)
    assert {row[4] for row in taken} == {each.pk for each in subjects}
    keys = centres[0].study.definition.randomization
    by_stratum: dict[str, list[tuple[Any, ...]]] = {}
    for row in taken:
        by_stratum.setdefault(row[0], []).append(row)
    assert len(by_stratum) == (1 if keys.dynamic else 4)
    for rows in by_stratum.values():
        assert [row[1] for row in rows] == list(range(1, len(subjects) // len(by_stratum) + 1))
    if keys.dynamic:
        assert decided_again(centres[0].study) == len(subjects)
    else:
        assert all(row[3] == row[5] for row in taken)
    if keys.method == "permuted-blocks":
        for rows in by_stratum.values():
            _assert_balanced(centres[0].study, rows)
    _assert_supplied(centres, logins)


def _assert_balanced(study: Study, rows: list[tuple[Any, ...]]) -> None:
    """After every subject no arm is further from its share than a block allows."""
    ratios = {arm.code: arm.ratio for arm in study.definition.arms}
    total = sum(ratios.values())
    largest = max(study.definition.randomization.block_sizes)
    given: Counter[str] = Counter()
    for count, row in enumerate(rows, start=1):
        given[row[3]] += 1
        for arm, ratio in ratios.items():
            away = abs(given[arm] - Fraction(count * ratio, total))
            assert away <= Fraction(largest * ratio * (total - ratio), total**2)


def _assert_supplied(centres: list[Centre], logins: Logins) -> None:
    """Each cohort served exactly its size before the next, with kits of the right content."""
    for centre in centres:
        served = list(centre.cohorts.order_by("pk").values_list("served", flat=True))
        assert served == [6, 6, 4]
    owner = logins.owner()
    wrong = owner.execute(
        "SELECT count(*) FROM unblinded.kit_assignment k"
        " JOIN unblinded.allocation a ON a.subject_id = k.subject_id"
        " JOIN unblinded.kit_content c ON c.kit_id = k.kit_id WHERE c.arm <> a.arm"
    ).fetchone()
    assert wrong == (0,)
    positions = owner.execute(
        "SELECT c.cohort_id, array_agg(c.position ORDER BY c.position)"
        " FROM unblinded.kit_assignment k JOIN unblinded.cover_kit c USING (kit_id)"
        " GROUP BY c.cohort_id"
    ).fetchall()
    assert all(taken == list(range(1, len(taken) + 1)) for _, taken in positions)


@pytest.mark.requirement("REQ-003")
def test_the_same_subject_from_all_processes_is_randomized_once(centres, logins: Logins):
    subject = make.a_subject(centres[0])
    race = racer.start(logins.url("blinded"), "randomize", [[subject.pk]] * racer.PROCESSES)
    answers = race.answers()
    assert sorted(each["first_time"] for each in answers) == [False] * 7 + [True]
    assert len({(each["number"], each["kit"]) for each in answers}) == 1
    assert len(places(logins)) == 1
