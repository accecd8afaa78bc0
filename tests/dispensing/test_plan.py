"""Which lot serves which need: a pure rule on counts and expiries."""

from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from dispensing.unblinded.plan import CoverNeed, DepotLot, VisitNeed, plan_supply

EARLY, LATE = date(2010, 6, 30), date(2010, 12, 31)


def visit(n: int, until: date = EARLY) -> VisitNeed:
    return VisitNeed(dispensation=n, subject=n, centre=1, use_until=until)


def test_the_lot_that_expires_first_serves_first():
    lots = [DepotLot(1, LATE, 9), DepotLot(2, EARLY, 2)]
    plan = plan_supply(lots, [visit(1), visit(2), visit(3)], [])
    assert [lot for _, lot in plan.visits] == [2, 2, 1]
    assert plan.places() == {2: 2, 1: 1}


def test_a_lot_that_expires_before_the_use_ends_does_not_serve():
    lots = [DepotLot(1, EARLY, 9), DepotLot(2, LATE, 9)]
    plan = plan_supply(lots, [visit(1, until=date(2010, 7, 1)), visit(2, until=EARLY)], [])
    assert [lot for _, lot in plan.visits] == [2, 1]


def test_subjects_in_treatment_come_before_cover():
    plan = plan_supply([DepotLot(1, LATE, 6)], [visit(1)], [CoverNeed(7, 6, EARLY)])
    assert len(plan.visits) == 1
    assert (plan.covers, plan.unmet_covers) == ((), 1)


def test_a_cohort_comes_from_one_lot():
    lots = [DepotLot(1, EARLY, 5), DepotLot(2, LATE, 6)]
    plan = plan_supply(lots, [], [CoverNeed(7, 6, EARLY), CoverNeed(8, 5, EARLY)])
    assert [(need.centre, lot) for need, lot in plan.covers] == [(7, 2), (8, 1)]


def test_no_need_and_no_lot():
    plan = plan_supply([], [], [])
    assert (plan.places(), plan.unmet_visits, plan.unmet_covers) == ({}, 0, 0)
    assert plan_supply([], [visit(1)], [CoverNeed(1, 2, EARLY)]).unmet_visits == 1


days = st.dates(date(2010, 1, 1), date(2010, 3, 1))


@settings(deadline=None)  # a machine that does other things meanwhile proves nothing
@given(
    st.lists(st.tuples(days, st.integers(0, 8)), max_size=5),
    st.lists(days, max_size=12),
    st.lists(st.tuples(st.integers(1, 6), days), max_size=5),
)
def test_no_lot_gives_more_than_it_has_and_none_too_old(lot_rows, visit_days, cover_rows):
    lots = [DepotLot(pk, expiry, places) for pk, (expiry, places) in enumerate(lot_rows)]
    visits = [visit(n, day) for n, day in enumerate(visit_days)]
    covers = [CoverNeed(n, size, day) for n, (size, day) in enumerate(cover_rows)]
    plan = plan_supply(lots, visits, covers)
    known = {lot.pk: lot for lot in lots}
    assert all(count <= known[lot].places for lot, count in plan.places().items())
    assert all(known[lot].expires_on >= need.use_until for need, lot in plan.visits + plan.covers)
    assert len(plan.visits) + plan.unmet_visits == len(visits)
    assert len(plan.covers) + plan.unmet_covers == len(covers)
