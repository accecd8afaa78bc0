"""What a correction changes, what follows from it, and what it must keep to."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction

from assessments.corrections.facts import FACTS
from assessments.corrections.services import correct
from assessments.models import Contact, Correction, SubjectEvent, TumourRead
from assessments.services import record_contact, record_event, record_read, record_visit
from assessments.sweep import sweep
from dispensing.doses import reduce_dose
from dispensing.models import DrugStop, FirstDose
from dispensing.services import first_dose_of, hand_over, record_first_dose, stop_drug
from dsmb.courses import read_courses
from dsmb.services import count_events
from enrolment.models import Subject
from iwrs import clock
from iwrs.problems import Invalid, Problem
from tests import factories as make

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-035")]
START = date(2010, 3, 2)
DUE = date(2010, 4, 13)  # visit 1
BY = make.TESTER


@pytest.fixture
def subject() -> Iterator[Subject]:
    """Randomized on 2 March 2010; the test runs on 1 December 2010."""
    with clock.at(make.at(2010, 3, 1)):
        centre = make.a_centre(make.a_study())
    with clock.at(make.at(2010, 3, 2)):
        made = make.a_randomized_subject(centre)
        hand_over(made.dispensations.get(number=0), by=BY, on=START)
    with clock.at(make.at(2010, 12, 1)):
        yield made


def fixed(subject: Subject, kind: str, row: Any, why: str = "Typed wrong", **values: Any) -> Any:
    """Correct one fact; returns the row as it is then."""
    in_error = values.pop("in_error", False)
    correct(subject, FACTS[kind], row.pk, values, by=BY, why=why, in_error=in_error)
    subject.refresh_from_db()
    return type(row)._base_manager.get(pk=row.pk)


def wrong(subject: Subject, kind: str, row: Any, **values: Any) -> dict[str, str]:
    """The texts of a correction that is refused; nothing changed."""
    before = FACTS[kind].values(type(row)._base_manager.get(pk=row.pk))
    with pytest.raises(Invalid) as refused:
        fixed(subject, kind, row, **values)
    assert FACTS[kind].values(type(row)._base_manager.get(pk=row.pk)) == before
    assert not Correction.objects.exists()
    return refused.value.errors


def open_visits(subject: Subject) -> list[int]:
    found = subject.visits.exclude(status__in=["done", "missed", "cancelled"])
    return [*found.values_list("number", flat=True)]


def planned(subject: Subject) -> list[int]:
    return [*subject.dispensations.filter(status="planned").values_list("number", flat=True)]


def test_a_visit_gets_another_day_and_its_own_read_goes_with_it(subject: Subject) -> None:
    visit = record_visit(subject.visits.get(number=1), by=BY, on=DUE, local_response="SD", ecog=1)
    later = DUE + timedelta(days=3)
    visit = fixed(subject, "visit", visit, done_on=later, ecog=0)
    assert (visit.done_on, visit.ecog) == (later, 0)
    assert subject.reads.get().assessed_on == later
    made = Correction.objects.get()
    assert made.was == {"done_on": DUE.isoformat(), "ecog": 1}
    assert made.now == {"done_on": later.isoformat(), "ecog": 0}


def test_a_wrong_progression_gives_the_subject_visits_and_kits_back(subject: Subject) -> None:
    before = open_visits(subject)
    record_visit(subject.visits.get(number=1), by=BY, on=DUE, local_response="PD")
    assert open_visits(subject) == planned(subject) == []
    fixed(subject, "local-read", subject.reads.get(), response="SD")
    assert open_visits(subject) == [*before[1:], before[-1] + 1]
    assert planned(subject) == [1, *open_visits(subject)], "the kit of visit 1 is owed still"
    sweep(subject.study)
    assert subject.visits.get(number=2).status == "overdue"
    fixed(subject, "local-read", subject.reads.get(), response="PD")
    assert open_visits(subject) == planned(subject) == []


def test_the_kit_that_was_given_up_at_the_last_visit_is_owed_again(subject: Subject) -> None:
    before = planned(subject)
    stop = stop_drug(subject, "study_drug", by=BY, on=START, reason="adverse_event")
    visit = record_visit(subject.visits.get(number=1), by=BY, on=DUE, local_response="PD")
    assert planned(subject) == []
    fixed(subject, "local-read", subject.reads.get(), response="SD")
    assert planned(subject) == [], "the drug is stopped"
    fixed(subject, "stop", stop, in_error=True)
    assert planned(subject) == [*before, 5]
    visit.refresh_from_db()
    assert visit.dispensation.status == "planned"


def test_a_read_keeps_the_day_of_its_decision_when_its_visit_moves(subject: Subject) -> None:
    visit = record_visit(subject.visits.get(number=1), by=BY, on=DUE, local_response="SD")
    subject.reads.update(read_on=DUE + timedelta(days=5))
    fixed(subject, "visit", visit, done_on=DUE + timedelta(days=1))
    read = subject.reads.get()
    assert (read.assessed_on, read.read_on) == (
        DUE + timedelta(days=1),
        DUE + timedelta(days=5),
    )
    fixed(subject, "visit", visit, done_on=DUE + timedelta(days=6))
    assert subject.reads.get().read_on == DUE + timedelta(days=6)


def test_a_dose_reduction_is_corrected_from_the_lowest_level_up(subject: Subject) -> None:
    first, second = (
        reduce_dose(subject, level, by=BY, on=on, reason="Rash")
        for level, on in [("5mg", date(2010, 4, 1)), ("5mg_alternate", date(2010, 5, 1))]
    )
    assert "in_error" in wrong(subject, "reduction", first, in_error=True)
    assert "reduced_on" in wrong(subject, "reduction", first, reduced_on=date(2010, 5, 2))
    assert "reduced_on" in wrong(subject, "reduction", second, reduced_on=date(2010, 3, 31))
    assert fixed(subject, "reduction", first, reduced_on=date(2010, 4, 2)).reduced_on.day == 2
    fixed(subject, "reduction", second, in_error=True)
    again = reduce_dose(subject, "5mg_alternate", by=BY, on=date(2010, 6, 1), reason="Rash")
    assert [each.pk for each in subject.dose_reductions.all()] == [first.pk, again.pk]


def test_a_death_of_somebody_else_is_taken_back_and_counted_nowhere(subject: Subject) -> None:
    before = open_visits(subject)
    death = record_event(subject, "death", by=BY, on=date(2010, 6, 1))
    subject.refresh_from_db()
    assert subject.ended_on == date(2010, 6, 1)
    assert count_events(subject.study, on=date(2010, 12, 1)).deaths == 1
    death = fixed(subject, "event", death, in_error=True, why="Of another subject")
    assert death.in_error
    assert subject.ended_on is None
    assert open_visits(subject) == before
    assert count_events(subject.study, on=date(2010, 12, 1)).deaths == 0
    assert read_courses(subject.study, date(2010, 12, 1))[subject.pk].died_on is None
    assert not subject.events.exists()
    assert SubjectEvent.everything.get().occurred_on == date(2010, 6, 1)
    record_event(subject, "death", by=BY, on=date(2010, 9, 1))  # the right one
    with pytest.raises(Problem) as gone:
        fixed(subject, "event", death, occurred_on=date(2010, 6, 2))
    assert gone.value.code == "fact_gone"


def test_the_first_end_that_stands_is_the_end(subject: Subject) -> None:
    lost = record_event(subject, "lost", by=BY, on=date(2010, 6, 1))
    record_event(subject, "withdrawal", by=BY, on=date(2010, 7, 1))
    fixed(subject, "event", lost, occurred_on=date(2010, 8, 1))
    assert subject.ended_on == date(2010, 7, 1)
    fixed(subject, "event", lost, in_error=True)
    assert subject.ended_on == date(2010, 7, 1)
    assert open_visits(subject) == []


def test_a_stop_that_was_none_is_taken_back_and_kits_are_planned_again(subject: Subject) -> None:
    before = planned(subject)
    on = date(2010, 3, 20)
    stop = stop_drug(subject, "study_drug", by=BY, on=on, reason="adverse_event")
    record_visit(subject.visits.get(number=1), by=BY, on=DUE, local_response="SD")
    assert planned(subject) == []
    assert subject.visits.get(number=5).dispensation is None
    fixed(subject, "stop", stop, in_error=True)
    assert planned(subject) == [*before, 5]
    assert not DrugStop.objects.filter(subject=subject).exists()
    stop_drug(subject, "study_drug", by=BY, on=on, reason="adverse_event")
    assert planned(subject) == []


def test_a_visit_recorded_by_mistake_is_open_again(subject: Subject) -> None:
    visit = record_visit(subject.visits.get(number=1), by=BY, on=DUE, local_response="PD")
    visit = fixed(subject, "visit", visit, in_error=True)
    assert (visit.status, visit.done_on) == ("planned", None)
    assert not subject.reads.exists()
    assert TumourRead.everything.get().in_error
    told = dict(Correction.objects.get().told)
    assert told["Overall response, by the local investigator"] == "Progressive disease"
    assert told["Day of the visit"] == "13 April 2010"
    again = record_visit(visit, by=BY, on=DUE, local_response="SD")
    assert again.status == "done"
    assert subject.reads.get().response == "SD"


def test_consent_and_baseline_and_the_days_of_the_drug(subject: Subject) -> None:
    dose = record_first_dose(subject, by=BY, on=date(2010, 3, 4))
    was = subject.consent_on
    fixed(
        subject, "screening", subject, **{"consent_on": was - timedelta(days=1), "baseline.age": 71}
    )
    assert subject.consent_on == was - timedelta(days=1)
    assert subject.baseline["age"] == 71
    first = subject.dispensations.get(number=0)
    fixed(subject, "hand-over", first, handed_over_on=date(2010, 3, 3))
    dose = fixed(subject, "first-dose", dose, taken_on=date(2010, 3, 3))
    assert dose.taken_on == date(2010, 3, 3)
    contact = record_contact(subject, by=BY, on=date(2010, 5, 5))
    assert fixed(subject, "contact", contact, contact_on=date(2010, 5, 6)).contact_on.day == 6
    assert fixed(subject, "contact", contact, in_error=True).in_error
    assert not Contact.objects.exists()


def test_a_hand_over_and_a_dose_of_somebody_else_are_taken_back_from_the_last_on(
    subject: Subject,
) -> None:
    dose = record_first_dose(subject, by=BY, on=date(2010, 3, 4))
    given = subject.dispensations.get(number=0)
    kit = given.kit
    assert "in_error" in wrong(subject, "hand-over", given, in_error=True)
    assert fixed(subject, "first-dose", dose, in_error=True, why="Of another subject").in_error
    assert first_dose_of(subject) is None
    assert read_courses(subject.study, date(2010, 12, 1))[subject.pk].first_dose_on is None
    given = fixed(subject, "hand-over", given, in_error=True, why="Of another subject")
    assert (given.status, given.handed_over_on, given.kit) == ("assigned", None, kit)
    assert given.kit.status == "assigned", "still this subject's, and of nobody else"
    told = [dict(each.told) for each in Correction.objects.all()]
    assert told == [
        {"Day of the first dose": "4 March 2010"},
        {"Day of the hand-over": "2 March 2010"},
    ]
    with pytest.raises(Problem) as early:
        record_first_dose(subject, by=BY, on=date(2010, 3, 5))
    assert early.value.code == "no_kit_handed_over"
    hand_over(given, by=BY, on=date(2010, 3, 5))  # the right days
    again = record_first_dose(subject, by=BY, on=date(2010, 3, 6))
    assert first_dose_of(subject) == again
    assert FirstDose.everything.count() == 2
    with pytest.raises(IntegrityError, match="one_first_dose"), transaction.atomic():
        FirstDose.objects.create(subject=subject, taken_on=date(2010, 3, 7), recorded_by="x")


def test_what_a_recorded_fact_cannot_be_a_corrected_one_cannot(subject: Subject) -> None:
    dose = record_first_dose(subject, by=BY, on=date(2010, 3, 4))
    first = subject.dispensations.get(number=0)
    one = record_visit(subject.visits.get(number=1), by=BY, on=DUE, local_response="SD")
    two = record_visit(
        subject.visits.get(number=2), by=BY, on=DUE + timedelta(days=42), local_response="SD"
    )
    central = [
        record_read(subject, "central", by=BY, assessed_on=on, response="SD", read_on=on)
        for on in (DUE, two.done_on)
    ]
    contact = record_contact(subject, by=BY, on=date(2010, 7, 1))
    record_contact(subject, by=BY, on=date(2010, 7, 2))
    stop = stop_drug(subject, "exemestane", by=BY, on=DUE, reason="adverse_event")
    death = record_event(subject, "death", by=BY, on=date(2010, 8, 1))
    late, early = date(2010, 12, 2), START - timedelta(days=1)
    for kind, row, values, field in [
        ("screening", subject, {"consent_on": late}, "consent_on"),
        ("screening", subject, {"baseline.age": 300}, "baseline.age"),
        ("hand-over", first, {"handed_over_on": early}, "handed_over_on"),
        ("hand-over", first, {"handed_over_on": date(2010, 3, 5)}, "handed_over_on"),
        ("hand-over", first, {"handed_over_on": date(2040, 1, 1)}, "handed_over_on"),
        ("first-dose", dose, {"taken_on": early}, "taken_on"),
        ("first-dose", dose, {"taken_on": date(2010, 8, 2)}, "taken_on"),
        ("visit", one, {"done_on": late}, "done_on"),
        ("visit", one, {"done_on": two.done_on}, "done_on"),
        ("visit", one, {"ecog": 6}, "ecog"),
        ("visit", one, {"quality_of_life": 101}, "quality_of_life"),
        ("central-read", central[0], {"assessed_on": two.done_on}, "assessed_on"),
        ("central-read", central[1], {"read_on": early}, "read_on"),
        ("contact", contact, {"contact_on": date(2010, 7, 2)}, "contact_on"),
        ("contact", contact, {"contact_on": date(2010, 8, 2)}, "contact_on"),
        ("stop", stop, {"stopped_on": early}, "stopped_on"),
        ("event", death, {"occurred_on": date(2010, 7, 1)}, "occurred_on"),
        ("screening", subject, {"in_error": True}, "in_error"),
        ("hand-over", first, {"in_error": True}, "in_error"),
        ("visit", one, {"ecog": 1, "why": "  "}, "why"),
    ]:
        assert field in wrong(subject, kind, row, **values), f"{kind} {values}"
    assert wrong(subject, "visit", one, done_on=DUE) == {}, "nothing was changed"


def test_the_stratum_and_the_answers_are_not_corrected(subject: Subject) -> None:
    stratum = subject.stratum_key
    assert wrong(subject, "screening", subject, stratum_key="x", strata={}) == {}
    assert subject.stratum_key == stratum


def test_only_after_randomization_and_no_correction_is_changed(subject: Subject) -> None:
    waiting = make.a_subject(subject.centre)
    with pytest.raises(Problem) as early:
        fixed(waiting, "screening", waiting, consent_on=START)
    assert early.value.code == "not_randomized"
    fixed(subject, "screening", subject, **{"baseline.age": 50})
    with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE assessments_correction SET reason = 'nothing'")
