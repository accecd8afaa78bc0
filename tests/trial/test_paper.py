"""From the sealed pack to the late entry: the paper's places are those that the list gives."""

from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse

from dispensing.kit_number import with_check_digit
from dsmb.unblinded.paper import make_paper, renew_paper
from enrolment.models import Centre, Subject
from iwrs import clock
from iwrs.models import Study
from iwrs.paper_number import fault, normalised
from iwrs.problems import Invalid, Problem
from iwrs.signatures.models import SignedRecord
from randomization.models import LateEntry, Randomization
from tests import factories as make
from tests.api.client import Edc
from tests.code_break.desk import Desk, Given, a_desk, a_keyed_holder
from tests.hostile.walk import state_of_the_database, undone
from tests.portal.conftest import signed_in, site
from tests.roles import as_unblinded
from tests.signing import sign_page
from trial.late import Late, late_record
from trial.services import randomize

__all__ = ["signed_in", "site"]
pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-071")]
BEFORE, THEN, NOW = make.at(2010, 3, 1), make.at(2010, 3, 2), make.at(2010, 3, 4)
OUTAGE = "The system was down from 2 to 3 March"
NO = {"visceral": "no", "sensitive": "no"}


@pytest.fixture
def paper() -> SimpleNamespace:
    """A study with two centres, and a desk whose pack was made the day before the outage."""
    with clock.at(BEFORE):
        study = make.a_study()
        here, there = make.a_centre(study, cover=2), make.a_centre(study)
        identity = a_keyed_holder(study)
        made = SimpleNamespace(study=study, here=here, there=there, identity=identity)
        made.desk = a_desk(study, identity)
    return made


def a_subject(centre: Centre, **more: Any) -> Subject:
    """Screened after the outage, consent given before it."""
    with clock.at(NOW):
        return make.a_subject(centre, consent_on=date(2010, 3, 1), **more)


def enter(subject: Subject, number: str, kit: str = "") -> Any:
    with clock.at(NOW):
        return randomize(subject, by=make.TESTER, late=Late(THEN, OUTAGE, kit, number))


def refused(subject: Subject, number: str, code: str = "paper_not_next") -> Problem:
    """The refusal of a number that is not the next one; nothing was written."""
    with as_unblinded():
        before = state_of_the_database()
    with pytest.raises(Problem) as problem:
        enter(subject, number)
    with as_unblinded():
        assert state_of_the_database() == before
    assert (problem.value.code, problem.value.status) == (code, 409)
    return problem.value


def calls_made() -> list[tuple[str, int]]:
    """Every counter of the gates that ROLLBACK does not turn back."""
    with as_unblinded(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, pg_sequence_last_value(oid) FROM pg_class WHERE relkind = 'S'"
            r" AND relname LIKE 'calls\_%' ORDER BY 1"
        )
        return cursor.fetchall()


def label_of(subject: Subject) -> str:
    labels = {arm.code: arm.label for arm in subject.study.definition.arms}
    return labels[make.arm_of(subject)]


def test_two_centres_and_two_strata_on_paper_then_entered_in_order(
    paper: SimpleNamespace,
) -> None:
    subjects = [
        a_subject(paper.here),
        a_subject(paper.there),
        a_subject(paper.here, strata=NO),
        a_subject(paper.here),
        a_subject(paper.there, strata=NO),
        a_subject(paper.here),
        a_subject(paper.here),
        a_subject(paper.here),
        a_subject(paper.here, strata=NO),  # the second cohort of the centre
    ]
    told = [paper.desk.randomize(each) for each in subjects]
    assert len({each.paper_number for each in told}) == len(told)
    assert len({each.treatment for each in told}) == 2
    for subject, given in zip(subjects, told, strict=True):
        answer = enter(subject, given.paper_number)
        assert answer.kit.grouped == given.kit
        assert label_of(subject) == given.treatment
        entry = LateEntry.objects.get(randomization__subject=subject)
        assert (entry.paper_number, entry.kit_differs) == (given.paper_number, False)
    assert Randomization.objects.filter(occurred_at=THEN).count() == len(subjects)


def test_in_another_order_it_is_refused_and_in_the_right_order_accepted(
    paper: SimpleNamespace,
) -> None:
    first, second, third = (a_subject(each) for each in (paper.here, paper.there, paper.here))
    one, two, three = (paper.desk.randomize(each) for each in (first, second, third))
    before = calls_made()
    assert "the stratum" in refused(second, two.paper_number).title
    assert "the stratum" in refused(third, three.paper_number).title
    assert calls_made() == before, "an ordinary refusal is no abandoned call"
    for subject, given in ((first, one), (second, two), (third, three)):
        assert enter(subject, given.paper_number).kit.grouped == given.kit


def test_of_another_stratum_the_order_of_the_centres_kits_counts(paper: SimpleNamespace) -> None:
    first, second = a_subject(paper.here), a_subject(paper.here, strata=NO)
    one, two = (paper.desk.randomize(each) for each in (first, second))
    assert "the centre's kits" in refused(second, two.paper_number).title
    for subject, given in ((first, one), (second, two)):
        assert enter(subject, given.paper_number).kit.grouped == given.kit


def test_a_number_of_another_centre_is_refused(paper: SimpleNamespace) -> None:
    here, there = a_subject(paper.here), a_subject(paper.there)
    given = paper.desk.randomize(here)
    refused(there, given.paper_number, "paper_unknown")
    enter(here, given.paper_number)


def test_a_place_that_was_used_in_the_system_meanwhile_is_refused(paper: SimpleNamespace) -> None:
    late, live = a_subject(paper.here), a_subject(paper.there)
    given = paper.desk.randomize(late)
    with clock.at(NOW):
        randomize(live, by=make.TESTER)
    refused(late, given.paper_number)
    with pytest.raises(Invalid) as left_out:
        enter(late, "")
    assert list(left_out.value.errors) == ["paper_number"]
    enter(late, "None")  # said in so many words: never refused
    assert LateEntry.objects.get().paper_number == ""


def test_another_kit_than_the_papers_is_recorded_with_its_number(paper: SimpleNamespace) -> None:
    subject = a_subject(paper.here)
    given = paper.desk.randomize(subject)
    enter(subject, given.paper_number, with_check_digit("987654"))
    entry = LateEntry.objects.get()
    assert (entry.kit_differs, entry.paper_number) == (True, given.paper_number)


def test_a_rolled_back_call_uses_up_a_line_and_a_new_pack_leaves_it_out(
    paper: SimpleNamespace,
) -> None:
    tried = a_subject(paper.here)
    with undone(), clock.at(NOW):
        seen = randomize(tried, by=make.TESTER).kit.grouped
    with clock.at(NOW):
        new = a_desk(paper.study, paper.identity)
    assert seen not in new.files[f"centre-{paper.here.number}.csv"]
    late = a_subject(paper.here)
    given = new.randomize(late)
    assert enter(late, given.paper_number).kit.grouped == given.kit


def test_a_line_that_an_abandoned_call_used_up_serves_nobody(paper: SimpleNamespace) -> None:
    """Whoever saw that call's kit would compare two subjects, as often as the line is asked for."""
    late = a_subject(paper.here)
    given = paper.desk.randomize(late)
    with undone(), clock.at(NOW):
        randomize(a_subject(paper.here), by=make.TESTER)
    for _ in range(2):
        assert "the centre's kits" in refused(late, given.paper_number).title


def test_no_pause_and_no_limit_bars_the_way_of_what_has_happened() -> None:
    """One who is refused would leave all after it, at every centre, outside."""
    with clock.at(BEFORE):
        cap = '\n[[caps]]\nkey = "each"\nlabel = "Each centre"\nlimit = 1\neach = "centre"\n'
        study = make.a_study(more=cap)
        here, there = make.a_centre(study), make.a_centre(study)
        desk = a_desk(study, a_keyed_holder(study))
    subjects = [a_subject(each) for each in (here, here, there, there)]
    told = [desk.randomize(each) for each in subjects]
    Study.objects.filter(pk=study.pk).update(status="closed")
    Centre.objects.filter(pk=there.pk).update(status="suspended")
    for subject, given in zip(subjects, told, strict=True):
        with clock.at(THEN + timedelta(days=20)):
            late = Late(THEN, OUTAGE, "", given.paper_number)
            assert randomize(subject, by=make.TESTER, late=late).kit.grouped == given.kit
    another = a_subject(here)
    with pytest.raises(Problem) as closed:
        enter(another, "none")
    assert closed.value.code == "accrual_not_open"
    refused(another, "0000-0000", "paper_unknown")


def test_while_papers_wait_no_pack_offers_their_places_again(paper: SimpleNamespace) -> None:
    Study.objects.filter(pk=paper.study.pk).update(status="paused")
    study = Study.objects.get(pk=paper.study.pk)
    with as_unblinded(), clock.at(NOW):
        assert renew_paper(study) is None
        assert make_paper(study, by=make.TESTER) is None


def test_the_last_day_of_a_lot_is_the_centres_own() -> None:
    """It is 2 March in London and still 1 March in New York, where a lot may be used that day."""
    made_at = make.at(2010, 3, 2, 2)
    then = made_at + timedelta(minutes=30)
    with clock.at(BEFORE):
        study = make.a_study()
        centre = make.a_centre(study, cover=0, time_zone="America/New_York")
        rules = study.definition
        used_for = timedelta(days=rules.kits.days + rules.schedule.window_after_days)
        make.a_cohort(centre, size=2, expires_on=date(2010, 3, 1) + used_for)
        identity = a_keyed_holder(study)
    with clock.at(made_at):
        desk = a_desk(study, identity)
    subject = a_subject(centre)
    given = desk.randomize(subject)
    with clock.at(NOW):
        answer = randomize(subject, by=make.TESTER, late=Late(then, OUTAGE, "", given.paper_number))
    assert answer.kit.grouped == given.kit


def test_a_cohort_that_is_too_old_is_skipped_by_the_desk_and_by_the_gate() -> None:
    with clock.at(BEFORE):
        study = make.a_study()
        centre, identity = make.a_centre(study, cover=0), a_keyed_holder(study)
        rules = study.definition
        used_for = timedelta(days=rules.kits.days + rules.schedule.window_after_days)
        for last in (BEFORE, THEN + timedelta(days=300)):
            make.a_cohort(centre, size=2, expires_on=last.date() + used_for)
        desk = a_desk(study, identity)
    subject = a_subject(centre)
    assert desk.next_line(centre, THEN.date())["line"] == "3"
    desk.lines.clear()
    old = desk.randomize(subject)  # a desk that did not look at the day
    refused(subject, old.paper_number)
    desk.opened.clear()
    desk.lines[centre.number] = 2
    given = desk.randomize(subject)
    assert enter(subject, given.paper_number).kit.grouped == given.kit


@pytest.mark.parametrize("more", [{"method": "minimization"}, {}])
def test_a_made_up_number_is_refused_where_no_pack_was_made(more: dict[str, Any]) -> None:
    with clock.at(BEFORE):
        centre = make.a_centre(make.a_study(**more))
    with pytest.raises(Invalid) as invalid:
        enter(a_subject(centre), "0000-0000")
    assert invalid.value.errors == {"paper_number": "There was no randomization pack then."}


@pytest.mark.parametrize("typed", ["7K3M-Q9T", "7K3M-Q9TXX", "7K3M-Q9TU", "паперпап", "7K3M_Q9TX"])
def test_what_is_no_paper_number_is_said(paper: SimpleNamespace, typed: str) -> None:
    with pytest.raises(Invalid) as invalid:
        enter(a_subject(paper.here), typed)
    assert list(invalid.value.errors) == ["paper_number"]


@pytest.mark.parametrize("typed", ["7k3m q9tx", "7K3MQ9TX", " 7K3M - Q9TX "])
def test_however_people_type_it(typed: str) -> None:
    assert normalised(typed) == "7K3M-Q9TX"
    assert normalised("oil0-ooii") == "0110-0011"
    assert fault(normalised(typed)) == ""


def test_a_site_types_it_and_signs_it(site: SimpleNamespace, signed_in: Any) -> None:
    desk, given, subject = _told_at(site.study, site.here)
    Centre.objects.filter(pk=site.here.pk).update(activated_at=make.at(2010, 3, 1))
    browser, address = (
        signed_in(site.site_coordinator),
        reverse("randomize-late", args=[subject.pk]),
    )
    local = clock.now().astimezone(clock.ZoneInfo("Europe/Paris")) - timedelta(minutes=90)
    typed = {"occurred_at": local.strftime("%Y-%m-%dT%H:%M"), "late_reason": OUTAGE}
    wrong = desk.randomize(subject).paper_number  # the place after
    sent = sign_page(browser, site.site_coordinator, address, typed | {"paper_number": wrong})
    assert sent.status_code == 409
    shown = sent.content.decode()
    for text in (f"Paper number {wrong} is not the next one", OUTAGE, f'value="{wrong}"'):
        assert text in shown
    assert not Randomization.objects.exists()
    spoken = given.paper_number.lower().replace("-", " ")
    sent = sign_page(browser, site.site_coordinator, address, typed | {"paper_number": spoken})
    assert sent.url == reverse("randomized", args=[subject.pk])
    entry = LateEntry.objects.get()
    assert SignedRecord.objects.get().sha256 == late_record(entry).sha256
    assert f'"paper number":"{given.paper_number}"' in SignedRecord.objects.get().canonical
    page = signed_in(site.monitor).get(reverse("subject", args=[subject.pk])).content.decode()
    assert f"Paper number {given.paper_number}" in page
    assert "Signed version differs" not in page


def test_an_edc_system_sends_it() -> None:
    study = make.a_study()
    centre = make.a_centre(study)
    Centre.objects.filter(pk=centre.pk).update(activated_at=make.at(2010, 3, 1))
    edc = Edc(study)
    desk, given, subject = _told_at(study, centre)
    address = f"subjects/{subject.number}/randomization"
    then = (clock.now() - timedelta(hours=3)).replace(microsecond=0)
    body = {"occurred_at": then.isoformat(), "late_reason": OUTAGE}
    after = desk.randomize(subject).paper_number
    for number, status, code in ((after, 409, "paper_not_next"), ("7", 422, "invalid")):
        answer = edc.post(address, body | {"paper_number": number}, key=f"k{status}")
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert list(answer.json()["errors"]) == ["paper_number"]
    alone = edc.post(address, {"paper_number": given.paper_number}, key="alone")
    assert list(alone.json()["errors"]) == ["occurred_at"]
    made = edc.post(address, body | {"paper_number": given.paper_number}, key="one")
    assert made.status_code == 201
    assert made.json()["kit"]["number"] == given.kit.replace(" ", "")
    assert made.json()["paper_number"] == given.paper_number
    assert edc.get(address).json() == made.json()


def _told_at(study: Study, centre: Centre) -> tuple[Desk, Given, Subject]:
    """A desk with a pack of this morning, and what it tells a subject of the centre."""
    with clock.at(clock.now() - timedelta(hours=6)):
        desk = a_desk(study, a_keyed_holder(study))
    subject = make.a_subject(centre)
    return desk, desk.randomize(subject), subject
