"""Cover cohorts: every arm at every position, one lot, or a refusal that changes nothing."""

from datetime import timedelta

import pytest
from django.db import ProgrammingError, connection

from dispensing.models import Cohort, Kit
from dispensing.unblinded.models import CentreCalls, CoverKit, KitContent
from dispensing.unblinded.services import stock_centre
from enrolment.models import Centre
from iwrs import clock
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from tests.dispensing.depots import contents, fill_depot, public_rows, years_ahead
from tests.factories import TESTER, a_centre, a_randomized_subject, a_study, arm_of
from tests.roles import as_unblinded


@pytest.fixture
def study(db: None) -> Study:
    return a_study()


@pytest.fixture
def centre(study: Study) -> Centre:
    return a_centre(study, cover=0)


def stocked(centre: Centre, **options: object) -> Cohort:
    with as_unblinded():
        return stock_centre(centre, by=TESTER, **options)


@pytest.mark.requirement("REQ-053")
def test_every_position_has_every_arm(study: Study, centre: Centre):
    fill_depot(study, kits=40, expiries=[years_ahead(2)])
    cohort = stocked(centre)
    assert (cohort.size, cohort.served) == (6, 0)
    known = contents(study)
    with as_unblinded():
        cover = list(CoverKit.objects.filter(cohort=cohort).values_list("position", "arm"))
        assert sorted(cover) == [(p, arm) for p in range(1, 7) for arm in ("EVE", "PBO")]
        right = CoverKit.objects.filter(cohort=cohort).values_list("arm", "kit__number")
        assert all(known[number][0] == arm for arm, number in right)
        assert KitContent.objects.filter(sent=True).count() == 12
        assert CentreCalls.objects.filter(centre=centre).exists()


def test_kits_go_to_the_centre_from_one_lot(study: Study, centre: Centre):
    fill_depot(study, kits=40, expiries=[years_ahead(2), years_ahead(3)])
    cohort = stocked(centre)
    sent = Kit.objects.filter(study=study, status="at_centre")
    assert sent.count() == 12
    assert set(sent.values_list("centre", "lot__number")) == {(centre.pk, "L01")}
    assert cohort.lot.number == "L01"
    assert Kit.objects.filter(study=study, status="in_depot", centre=None).count() == 28


def test_positions_follow_the_frozen_ranks(study: Study, centre: Centre):
    fill_depot(study, kits=40, expiries=[years_ahead(2)])
    first, second = stocked(centre, size=2), stocked(centre, size=3)
    known = contents(study)
    with as_unblinded():
        rows = CoverKit.objects.order_by("cohort", "position").values_list(
            "cohort", "position", "arm", "kit__number"
        )
        found = [(cohort, place, *known[number]) for cohort, place, _, number in rows]
    assert len(found) == 10
    ranks = {(cohort, place): {r for c, p, _, r in found if (c, p) == (cohort, place)}
             for cohort, place, _, _ in found}  # fmt: skip
    assert [ranks[first.pk, p] for p in (1, 2)] == [{1}, {2}]
    assert [ranks[second.pk, p] for p in (1, 2, 3)] == [{3}, {4}, {5}]


def test_history_of_the_shipment_follows_kit_numbers(study: Study, centre: Centre):
    fill_depot(study, kits=40, expiries=[years_ahead(2)])
    stocked(centre)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT number FROM public.dispensing_kitevent WHERE pgh_label = 'update'"
            " ORDER BY pgh_id"
        )
        numbers = [number for (number,) in cursor.fetchall()]
    assert len(numbers) == 12
    assert numbers == sorted(numbers)


def test_a_short_depot_is_refused_and_nothing_changes(study: Study, centre: Centre):
    fill_depot(study, kits=20, expiries=[years_ahead(2), years_ahead(3)])
    before = public_rows(study)
    with pytest.raises(Problem) as refused:
        stocked(centre)
    assert refused.value.code == "depot_short"
    assert "6 kits of every arm" in refused.value.title
    assert not any(arm in str(refused.value) for arm in ("EVE", "PBO", "verolimus", "lacebo"))
    assert public_rows(study) == before
    assert stocked(centre, size=5).size == 5


def test_surplus_kits_of_one_arm_are_no_places(study: Study, centre: Centre):
    """A lot serves as many places as it has kits of its rarest arm, whichever arm that is."""
    fill_depot(study, kits=40, expiries=[years_ahead(2)])
    numbers = [n for n, (arm, _) in contents(study).items() if arm == "PBO"][:15]
    with as_unblinded():
        KitContent.objects.filter(kit__number__in=numbers).update(arm="EVE", rank=99)
    with pytest.raises(Problem, match="No lot in the depot"):
        stocked(centre)


@pytest.mark.requirement("REQ-065")
def test_expired_and_short_dated_lots_are_never_sent(study: Study, centre: Centre):
    """A kit lasts 42 days and 7 of window, and cover may wait on the shelf for 84 days."""
    today = clock.today()
    enough = today + timedelta(days=42 + 7 + 84)
    fill_depot(study, kits=60, expiries=[today, enough - timedelta(days=1), enough])
    assert stocked(centre).lot.expires_on == enough


def test_the_lot_that_expires_first_goes_first(study: Study, centre: Centre):
    fill_depot(study, kits=120, expiries=[years_ahead(4), years_ahead(2), years_ahead(3)])
    lots = [stocked(centre).lot.number for _ in range(6)]
    assert lots == ["L02"] * 3 + ["L03"] * 3


@pytest.mark.parametrize("size", [0, -1, 1001])
def test_a_size_that_makes_no_sense_is_refused(centre: Centre, size: int):
    with pytest.raises(Invalid):
        stocked(centre, size=size)


def test_a_closed_centre_gets_nothing(study: Study, centre: Centre):
    fill_depot(study, kits=40, expiries=[years_ahead(2)])
    Centre.objects.filter(pk=centre.pk).update(status="closed")
    with pytest.raises(Problem, match="is closed"):
        stocked(centre)


def test_the_stock_serves_randomizations(study: Study, centre: Centre):
    fill_depot(study, kits=40, expiries=[years_ahead(2)])
    cohort = stocked(centre)
    known = contents(study)
    for _ in range(6):
        subject = a_randomized_subject(centre)
        kit = subject.dispensations.get(number=0).kit
        assert kit is not None
        assert known[kit.number][0] == arm_of(subject)
    cohort.refresh_from_db()
    assert cohort.served == 6
    with pytest.raises(Problem, match="No kit can be assigned"):
        a_randomized_subject(centre)


def test_received_at_is_business_time(study: Study, centre: Centre):
    fill_depot(study, kits=40, expiries=[years_ahead(2)])
    moment = clock.now() - timedelta(days=3)
    assert stocked(centre, at=moment).received_at == moment


def test_the_blinded_role_cannot_stock(study: Study, centre: Centre):
    fill_depot(study, kits=40, expiries=[years_ahead(2)])
    with pytest.raises(ProgrammingError, match="permission denied"):
        stock_centre(centre, by=TESTER)
    assert not Cohort.objects.filter(centre=centre).exists()
