"""The drill: the same pages on a subject who does not exist, before a centre is activated."""

from collections.abc import Callable
from datetime import date, timedelta
from types import SimpleNamespace

import psycopg
import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from enrolment import services as enrolment
from enrolment.models import Centre, CodeBreakDrill
from iwrs import clock
from iwrs.accounts.models import Role, User
from iwrs.actors import Actor
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from randomization import drills
from randomization.models import CodeBreakRefusal, CodeBreakRequest
from tests import factories as make
from tests.code_break.typing_in import ask
from tests.roles import Logins
from tests.signing import sign_page

APPROVED = date(2020, 1, 1)


@pytest.fixture
def planned(db: None) -> Centre:
    return make.a_centre(make.a_study(), active=False, cover=0)


def step_one(drill: CodeBreakDrill, **changes: object) -> CodeBreakDrill:
    given = {
        "by": make.INVESTIGATOR,
        "reason": "emergency",
        "explanation": "A drill",
        "signature": Signature(make.INVESTIGATOR.label, clock.now(), "I practise"),
    }
    return drills.request_drill(drill, **(given | changes))  # type: ignore[arg-type]


@pytest.mark.requirement("REQ-050")
def test_a_centre_without_its_drill_is_not_activated(planned: Centre) -> None:
    def activate() -> Centre:
        return enrolment.activate_centre(planned, by=make.TESTER, ethics_approved_on=APPROVED)

    drill = drills.start_drill(planned, by=make.INVESTIGATOR)
    step_one(drill)
    with pytest.raises(Problem) as refused:  # begun and not finished is not done
        activate()
    assert refused.value.code == "drill_missing"
    assert "An investigator of the centre signs in" in refused.value.action
    planned.refresh_from_db()
    assert planned.status == "planned"
    assert planned.ethics_approved_on is None
    drills.show_drill(drill, by=make.INVESTIGATOR)
    assert activate().status == "active"


@pytest.mark.requirement("REQ-050")
def test_a_drill_of_another_centre_does_not_count(planned: Centre) -> None:
    make.a_centre(planned.study, cover=0)
    with pytest.raises(Problem) as refused:
        enrolment.activate_centre(planned, by=make.TESTER, ethics_approved_on=APPROVED)
    assert refused.value.code == "drill_missing"


@pytest.mark.requirement("REQ-050")
def test_the_database_activates_no_centre_without_a_drill(planned: Centre) -> None:
    fields = {"status": "active", "ethics_approved_on": APPROVED, "activated_at": clock.now()}
    with (
        pytest.raises(IntegrityError, match="only after its code break drill"),
        transaction.atomic(),
    ):
        Centre.objects.filter(pk=planned.pk).update(**fields)
    with (
        pytest.raises(IntegrityError, match="only after its code break drill"),
        transaction.atomic(),
    ):
        Centre.objects.create(
            study=planned.study,
            number="0001",
            name="Made active at once",
            country_code="FR",
            country_name="France",
            time_zone="Europe/Paris",
            **fields,
        )
    make.a_drill(planned)
    assert Centre.objects.filter(pk=planned.pk).update(**fields) == 1


@pytest.mark.parametrize("role", ["", Role.SITE_COORDINATOR, Role.SAFETY_PHYSICIAN])
def test_only_an_investigator_drills(planned: Centre, role: str) -> None:
    with pytest.raises(Problem) as refused:
        drills.start_drill(planned, by=Actor("Somebody", kind="person", role=role))
    assert refused.value.code == "not_an_investigator"
    assert not CodeBreakDrill.objects.exists()


def test_a_closed_centre_has_no_drill(planned: Centre) -> None:
    Centre.objects.filter(pk=planned.pk).update(status="closed")
    with pytest.raises(Problem) as refused:
        drills.start_drill(planned, by=make.INVESTIGATOR)
    assert refused.value.code == "centre_status"


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"reason": "curiosity"}, "reason"), ({"explanation": " "}, "explanation")],
)
def test_a_drill_asks_what_a_code_break_asks(planned: Centre, changes: dict, field: str) -> None:
    drill = drills.start_drill(planned, by=make.INVESTIGATOR)
    with pytest.raises(Invalid) as refused:
        step_one(drill, **changes)
    assert list(refused.value.errors) == [field]


def test_a_drill_is_done_once_in_order_and_by_who_started_it(planned: Centre) -> None:
    drill = drills.start_drill(planned, by=make.INVESTIGATOR)
    other = Actor("Another investigator", kind="person", role=Role.INVESTIGATOR)
    for step, code in [
        (lambda: drills.show_drill(drill, by=make.INVESTIGATOR), "code_break_refused"),
        (lambda: step_one(drill, by=other), "drill_of_another"),
        (lambda: step_one(drill), None),
        (lambda: step_one(drill), "code_break_refused"),
        (lambda: drills.show_drill(drill, by=other), "drill_of_another"),
        (lambda: drills.show_drill(drill, by=make.INVESTIGATOR), None),
        (lambda: drills.show_drill(drill, by=make.INVESTIGATOR), "code_break_refused"),
    ]:
        if code is None:
            step()
        else:
            with pytest.raises(Problem) as refused:
                step()
            assert refused.value.code == code


@pytest.mark.requirement("REQ-050")
def test_the_times_of_a_drill_are_the_databases_and_stay(
    committed_db: None, logins: Logins
) -> None:
    """Nobody shortens a drill, gives it to another person or dates it back."""
    centre = make.a_centre(make.a_study(with_list=False), active=False, cover=0)
    with clock.at(make.at(2010, 1, 4)):
        drill = make.a_drill(centre)
    assert drill.created_at <= drill.requested_at <= drill.finished_at
    assert clock.now() - drill.created_at < timedelta(minutes=1)
    assert 0 <= drill.seconds < 60
    eve = logins.blinded()
    for change in (
        "created_at = now() - interval '1 day'",
        "done_by = 'Eve'",
        "finished_at = NULL",
        "explanation = 'another'",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            eve.execute(f"UPDATE enrolment_codebreakdrill SET {change}")
    forged = eve.execute(
        "INSERT INTO enrolment_codebreakdrill (centre_id, done_by, reason, explanation, created_at,"
        " requested_at, finished_at) VALUES (%s, 'Eve', 'other', 'x', '2001-01-01', '2001-01-01',"
        " '2001-01-01') RETURNING created_at > now() - interval '1 minute', finished_at",
        [centre.pk],
    ).fetchone()
    assert forged == (True, None)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        eve.execute("DELETE FROM enrolment_codebreakdrill")


def test_an_old_request_of_a_drill_shows_nothing(committed_db: None, logins: Logins) -> None:
    centre = make.a_centre(make.a_study(with_list=False), active=False, cover=0)
    drill = step_one(drills.start_drill(centre, by=make.INVESTIGATOR))
    owner = logins.owner()
    owner.execute("ALTER TABLE enrolment_codebreakdrill DISABLE TRIGGER USER")
    owner.execute(
        "UPDATE enrolment_codebreakdrill SET requested_at = requested_at - interval '15 min 1 s'"
    )
    owner.execute("ALTER TABLE enrolment_codebreakdrill ENABLE TRIGGER USER")
    with pytest.raises(Problem) as refused:
        drills.show_drill(drill, by=make.INVESTIGATOR)
    assert refused.value.code == "code_break_expired"


def calls_of_gates() -> list[object]:
    """What a drill must leave as it is: the records of real code breaks."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM randomization_codebreakrequest")
        return [cursor.fetchone(), CodeBreakRefusal.objects.count()]


@pytest.mark.requirement("REQ-050")
def test_an_investigator_drills_on_the_pages_before_activation(
    site: SimpleNamespace, signed_in: Callable[[User], Client]
) -> None:
    planned = make.a_centre(site.study, active=False, cover=0)
    person = make.a_user(Role.INVESTIGATOR, centre=planned)
    browser = signed_in(person)
    before = calls_of_gates()
    centre = reverse("centre", args=[planned.pk])
    start = reverse("drill", args=[planned.pk])
    assert start in browser.get(centre).content.decode()
    assert "Not done yet" in browser.get(centre).content.decode()
    shown = [browser.get(start)]
    first = browser.post(start).url
    shown.append(browser.get(first))
    wrong = ask(browser, person, first, read_back="0000-001")
    assert wrong.status_code == 422
    assert "This is not the number of this subject." in wrong.content.decode()
    sent = ask(browser, person, first, read_back=f"{planned.number}-000")
    second = sent.url
    shown += [browser.get(second), browser.post(second)]
    assert all("DRILL" in page.content.decode() for page in shown)
    assert f'<p class="answer">{drills.TREATMENT}</p>' in shown[-1].content.decode()
    assert "no-store" in shown[-1].headers["Cache-Control"]
    drill = CodeBreakDrill.objects.get(centre=planned)
    assert drill.done_by == str(person)
    assert f"You needed {drill.seconds} second" in shown[-1].content.decode()
    assert (
        browser.get(second).url == browser.get(first, follow=True).redirect_chain[-1][0] == centre
    )
    again = browser.post(second)
    assert again.status_code == 409
    assert drills.TREATMENT not in again.content.decode()
    assert str(person.name) in browser.get(centre).content.decode()
    assert calls_of_gates() == before
    assert not CodeBreakRequest.objects.exists()
    labels = [part for arm in site.study.definition.arms for part in (arm.code, arm.label)]
    text = " ".join(page.content.decode() for page in shown)
    assert not any(f" {label} " in text or f">{label}<" in text for label in labels)


@pytest.mark.requirement("REQ-050")
def test_a_drill_is_for_investigators_of_the_centre(
    site: SimpleNamespace, signed_in: Callable[[User], Client]
) -> None:
    drill = make.a_drill(site.here, by=Actor.person(site.investigator, Role.INVESTIGATOR))
    for role in Role:
        if not hasattr(site, role):
            continue
        browser = signed_in(getattr(site, role))
        allowed = role == Role.INVESTIGATOR
        here = browser.get(reverse("drill", args=[site.here.pk])).status_code
        assert here == (200 if allowed else 403), role
        assert (browser.get(reverse("show-drill", args=[drill.pk])).status_code == 302) is allowed
    stranger = signed_in(site.investigator)
    assert stranger.get(reverse("drill", args=[site.there.pk])).status_code == 404
    colleague = signed_in(make.a_user(Role.INVESTIGATOR, centre=site.here))
    for name in ("request-drill", "show-drill"):
        address = reverse(name, args=[drill.pk])
        assert colleague.get(address).status_code == colleague.post(address).status_code == 404


@pytest.mark.requirement("REQ-050")
def test_the_activation_page_says_what_is_missing(
    site: SimpleNamespace, signed_in: Callable[[User], Client]
) -> None:
    planned = make.a_centre(site.study, active=False, cover=0)
    manager = signed_in(site.study_manager)
    address = reverse("activate-centre", args=[planned.pk])
    answer = activate(manager, site.study_manager, address)
    assert answer.status_code == 409
    text = answer.content.decode()
    assert f"No code break drill was done at centre {planned.number}." in text
    assert "An investigator of the centre signs in" in text
    assert 'value="2020-01-01"' in text  # what was typed stays
    make.a_drill(planned)
    assert activate(manager, site.study_manager, address).status_code == 302


def activate(browser: Client, person: User, address: str) -> HttpResponse:
    return sign_page(browser, person, address, {"ethics_approved_on": "2020-01-01"})


def test_nobody_changes_a_drill_by_the_application(planned: Centre) -> None:
    make.a_drill(planned)
    with pytest.raises(ProgrammingError, match="never changed"):
        CodeBreakDrill.objects.update(done_by="Eve")
