"""The supply run: what it sends, when, and what it retires."""

import time
from datetime import date, datetime, timedelta

import pytest
from django.db import ProgrammingError, connection
from django.test.utils import CaptureQueriesContext

from assessments.services import record_event
from dispensing.models import Cohort, Dispensation, Kit
from dispensing.services import dispense
from dispensing.unblinded.models import VisitKit
from dispensing.unblinded.services import SupplyOutcome, run_supply
from enrolment.models import Centre, Subject
from iwrs import clock, studies
from iwrs.models import Study
from iwrs.problems import Problem
from tests.dispensing.depots import contents, fill_depot
from tests.factories import (
    TESTER,
    a_centre,
    a_drill,
    a_randomized_subject,
    a_study,
    a_subject,
    arm_of,
    at,
)
from tests.forged import load_forged, one_letter
from tests.roles import as_unblinded
from trial.services import randomize

START = at(2010, 1, 4)


@pytest.fixture
def study(db: None) -> Study:
    with clock.at(START):
        made = a_study()
        fill_depot(made, kits=400, expiries=[date(2010, 12, 31), date(2011, 12, 31)])
        return made


def supply(study: Study, moment) -> SupplyOutcome:
    with as_unblinded():
        return run_supply(study, moment, by=TESTER)


def centres(study: Study, count: int) -> list[Centre]:
    with clock.at(START):
        return [a_centre(study, cover=0, number=f"{1000 + n}") for n in range(count)]


def randomized(centre: Centre, moment=START) -> Subject:
    with clock.at(moment):
        return a_randomized_subject(centre)


def test_active_centres_get_one_cohort_each(study: Study):
    first, second = centres(study, 2)
    with clock.at(START):
        planned = a_centre(study, cover=0, active=False)
    assert supply(study, START).cohorts == 2
    assert set(Cohort.objects.values_list("centre", flat=True)) == {first.pk, second.pk}
    assert not planned.cohorts.exists()
    assert supply(study, START) == SupplyOutcome(0, 0, 0, 0, 0)


def test_the_next_cohort_is_sent_when_two_places_are_left(study: Study):
    (centre,) = centres(study, 1)
    supply(study, START)
    for _ in range(3):
        randomized(centre)
    assert supply(study, START).cohorts == 0
    randomized(centre)
    assert supply(study, START).cohorts == 1
    assert list(centre.cohorts.order_by("pk").values_list("served", flat=True)) == [4, 0]


def test_no_cover_for_a_study_closed_to_accrual(study: Study):
    centres(study, 1)
    studies.set_status(study, "closed", by=TESTER)
    study.refresh_from_db()
    assert supply(study, START).cohorts == 0


def test_visit_kits_are_sent_for_the_horizon(study: Study):
    """Visits are due on days 42 and 84 of a horizon of 84 days; later ones are not sent yet."""
    (centre,) = centres(study, 1)
    supply(study, START)
    subject = randomized(centre)
    assert supply(study, START).visit_kits == 2
    known = contents(study)
    with as_unblinded():
        sent = list(
            VisitKit.objects.order_by("dispensation__number").values_list(
                "dispensation__number", "kit__number", "kit__status", "kit__centre", "sent_at"
            )
        )
    assert [row[0] for row in sent] == [1, 2]
    assert all(row[2:] == ("at_centre", centre.pk, START) for row in sent)
    assert {known[row[1]][0] for row in sent} == {arm_of(subject)}
    assert supply(study, START).visit_kits == 0
    assert supply(study, START + timedelta(days=42)).visit_kits == 1


@pytest.fixture
def committed_study(committed_db: None) -> Study:
    """For tests in which one subject gets two kits: the gate gives one for each transaction."""
    with clock.at(START):
        made = a_study()
        fill_depot(made, kits=400, expiries=[date(2010, 12, 31), date(2011, 12, 31)])
        return made


@pytest.mark.requirement("REQ-004")
def test_a_sent_kit_is_assigned_at_the_visit(committed_study: Study):
    study = committed_study
    (centre,) = centres(study, 1)
    supply(study, START)
    subject = randomized(centre)
    supply(study, START)
    with clock.at(START + timedelta(days=42)):
        kit = dispense(subject.dispensations.get(number=1), by=TESTER)
    assert contents(study)[kit.number][0] == arm_of(subject)


def test_leftovers_of_a_cohort_that_served_are_retired(study: Study):
    (centre,) = centres(study, 1)
    supply(study, START)
    for _ in range(6):
        randomized(centre)
    with clock.at(START):
        outcome = supply(study, START)
    assert outcome.retired == 6
    cover = Kit.objects.filter(study=study, status="retired")
    assert cover.count() == 6
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT number FROM public.dispensing_kitevent WHERE status = 'retired' ORDER BY pgh_id"
        )
        numbers = [number for (number,) in cursor.fetchall()]
    assert numbers == sorted(numbers)
    assert Kit.objects.filter(dispensation__isnull=False).count() == 6
    assert not Kit.objects.filter(dispensation__isnull=False, status="retired").exists()


def test_a_visit_kit_of_a_cancelled_dispensation_is_retired(study: Study):
    (centre,) = centres(study, 1)
    supply(study, START)
    subject = randomized(centre)
    supply(study, START)
    later = START + timedelta(days=20)
    with clock.at(later):
        record_event(subject, "withdrawal", by=TESTER, on=later.date())
    assert supply(study, later).retired == 2
    assert supply(study, later).retired == 0


def test_an_expired_cohort_is_replaced_and_retired(study: Study):
    (centre,) = centres(study, 1)
    supply(study, START)
    late = at(2010, 11, 13)  # a kit would be used until 1 January 2011, one day too late
    outcome = supply(study, late)
    assert (outcome.cohorts, outcome.retired) == (1, 12)
    assert list(centre.cohorts.order_by("pk").values_list("lot__number", flat=True)) == [
        "L01",
        "L02",
    ]
    with clock.at(late):
        subject = a_randomized_subject(centre)
    assert subject.dispensations.get(number=0).kit.lot.number == "L02"


def test_cover_is_replaced_before_it_expires(study: Study):
    """A fortnight ahead, so that between two runs no centre is without cover."""
    (centre,) = centres(study, 1)
    supply(study, START)
    assert supply(study, at(2010, 10, 29)).cohorts == 0
    assert supply(study, at(2010, 10, 30)) == SupplyOutcome(1, 0, 0, 0, 0)
    assert centre.cohorts.count() == 2


@pytest.mark.requirement("REQ-065")
def test_a_visit_kit_is_good_until_the_subject_would_have_used_it(study: Study):
    """Visit 1 is due on 10 November: window and kit last until 5 January 2011."""
    (centre,) = centres(study, 1)
    supply(study, START)
    subject = randomized(centre, at(2010, 9, 29))
    supply(study, at(2010, 9, 29))
    with as_unblinded():
        lots = dict(
            VisitKit.objects.filter(dispensation__subject=subject).values_list(
                "dispensation__number", "kit__lot__number"
            )
        )
    assert lots == {1: "L02", 2: "L02"}


def test_a_visit_kit_that_went_out_of_date_is_replaced(committed_study: Study):
    """The subject comes months late: the kit of the next lot is sent, the old one retired."""
    study = committed_study
    (centre,) = centres(study, 1)
    supply(study, START)
    subject = randomized(centre)
    supply(study, START)
    late = at(2010, 11, 20)
    outcome = supply(study, late)
    assert outcome.visit_kits == 4  # two replaced, two now within the horizon
    with clock.at(late):
        kit = dispense(subject.dispensations.get(number=1), by=TESTER)
    assert kit.lot.number == "L02"
    assert contents(study)[kit.number][0] == arm_of(subject)
    old = Kit.objects.filter(study=study, status="retired", lot__number="L01")
    assert old.count() == 2 + 11


def test_subjects_in_treatment_are_supplied_at_a_suspended_centre(study: Study):
    (centre,) = centres(study, 1)
    supply(study, START)
    for _ in range(5):
        randomized(centre)
    Centre.objects.filter(pk=centre.pk).update(status="suspended")
    outcome = supply(study, START)
    assert (outcome.cohorts, outcome.visit_kits) == (0, 10)


def test_what_the_depot_cannot_serve_stays_unmet(db: None):
    with clock.at(START):
        study = a_study()
        fill_depot(study, kits=26, expiries=[date(2011, 12, 31)])
    first, second = centres(study, 2)
    assert supply(study, START).cohorts == 2
    randomized(first)
    randomized(second)
    outcome = supply(study, START)  # four visits, and 13 - 12 places
    assert (outcome.visit_kits, outcome.unmet_visits) == (1, 3)
    assert outcome.unmet_cohorts == 0
    with clock.at(START):
        fill_depot(study, kits=26, expiries=[date(2012, 12, 31)], prefix="M")
    assert supply(study, START).visit_kits == 3


@pytest.mark.requirement("REQ-055")
def test_places_taken_are_counts_of_blinded_acts(study: Study):
    """Free places of each lot = places at import - cover places - visit kits."""
    from dispensing.unblinded.depot import depot_lots

    made = centres(study, 3)
    supply(study, START)
    for centre in made:
        randomized(centre)
    supply(study, START)
    with as_unblinded():
        free = sum(lot.places for lot in depot_lots(study))
        visits = VisitKit.objects.count()
    assert visits == 6
    assert free == 200 - 3 * 6 - visits


def test_a_run_needs_few_queries_whatever_the_size(study: Study):
    counts = []
    for number in (2, 6):
        for centre in centres_numbered(study, 2000 + 100 * number, number):
            with clock.at(START):
                a_subject(centre)
        with (
            as_unblinded(),
            CaptureQueriesContext(
                connection,
            ) as queries,
        ):
            run_supply(study, START, by=TESTER)
        for subject in Subject.objects.filter(study=study, status="eligible"):
            with clock.at(START):
                randomize(subject, by=TESTER)
        with as_unblinded(), CaptureQueriesContext(connection) as visits:
            run_supply(study, START, by=TESTER)
        counts.append((len(queries), len(visits)))
    assert counts[0] == counts[1]
    assert max(counts[0]) <= 25


def centres_numbered(study: Study, first: int, count: int) -> list[Centre]:
    with clock.at(START):
        return [a_centre(study, cover=0, number=f"{first + n}") for n in range(count)]


def test_the_blinded_role_cannot_run_the_supply(study: Study):
    centres(study, 1)
    with pytest.raises(ProgrammingError, match="permission denied"):
        run_supply(study, START, by=TESTER)
    assert not Cohort.objects.filter(centre__study=study).exists()


def test_a_week_of_the_whole_trial_takes_under_a_second(db: None):
    """189 centres with cover; 724 subjects whose visits come due."""
    with clock.at(START):
        study = a_study(length=200)
        fill_depot(study, kits=12_000, expiries=[date(2011, 12, 31)])
        many = whole_trial(study)
    started = time.monotonic()
    first = supply(study, START)
    first_took = time.monotonic() - started
    assert first.cohorts == 189
    whole_accrual(many)
    started = time.monotonic()
    outcome = supply(study, START + timedelta(days=1))
    took = time.monotonic() - started
    assert outcome.visit_kits == 724 * 2
    # The quickest of three such weeks: what else the machine does only adds to them.
    weeks = [seconds_of(study, START + timedelta(days=1, weeks=week)) for week in (1, 2, 3)]
    assert min(weeks) < 1
    assert max(first_took, took) < 5


def seconds_of(study: Study, moment: datetime) -> float:
    """How long a run takes that has nothing to send."""
    started = time.monotonic()
    assert supply(study, moment).visit_kits == 0
    return time.monotonic() - started


def whole_trial(study: Study) -> list[Centre]:
    fields = {"country_code": "FR", "country_name": "France", "time_zone": "Europe/Paris"}
    centres = Centre.objects.bulk_create(
        Centre(study=study, number=f"{1000 + n}", name=f"Hospital {n}", **fields)
        for n in range(189)
    )
    for centre in centres:
        a_drill(centre)
    study.centres.update(status="active", ethics_approved_on=date(2010, 1, 1), activated_at=START)
    return list(study.centres.all())


def whole_accrual(many: list[Centre]) -> None:
    """724 randomized subjects with their planned dispensations, written in bulk.

    The gate's speed is not what is measured here, so the owner writes the allocations.
    """
    study = many[0].study
    subjects = Subject.objects.bulk_create(
        Subject(
            study=study,
            centre=many[n % 189],
            number=f"{many[n % 189].number}-{n:03d}",
            status="randomized",
            consent_on=date(2010, 1, 1),
            screened_at=START,
            randomized_at=START,
            strata={},
            stratum_key="visceral=yes|sensitive=yes",
        )
        for n in range(724)
    )
    Dispensation.objects.bulk_create(
        Dispensation(
            subject=subject,
            number=number,
            due_on=START.date() + timedelta(days=42 * number),
            earliest_on=START.date() + timedelta(days=42 * number - 7),
        )
        for subject in subjects
        for number in range(1, 5)
    )
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE iwrs_owner")
        cursor.execute(
            "INSERT INTO unblinded.allocation (subject_id, entry_id, arm, allocated_at)"
            " SELECT s.id, e.id, e.arm, now() FROM"
            " (SELECT id, row_number() OVER (ORDER BY id) n FROM public.enrolment_subject"
            "   WHERE study_id = %s) s"
            " JOIN (SELECT e.id, e.arm, row_number() OVER (ORDER BY e.id) n"
            "   FROM unblinded.list_entry e JOIN unblinded.list l ON l.id = e.list_id"
            "   WHERE l.study_id = %s) e USING (n)",
            [study.pk, study.pk],
        )
        cursor.execute("SET ROLE iwrs_blinded")


def test_a_renamed_arm_is_refused_before_any_kit_is_chosen(study: Study):
    """With other arms in the definition, whether a run fails could hang on a subject's arm."""
    centres(study, 1)
    forged = load_forged(study, one_letter)
    with pytest.raises(Problem) as refused:
        supply(forged, START)
    assert refused.value.code == "arms_changed"
    assert not Cohort.objects.exists()
