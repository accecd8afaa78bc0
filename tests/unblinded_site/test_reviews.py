"""The unblinded auditor: who has access to the unblinded side, and the review of its trail."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from html import unescape
from types import SimpleNamespace

import pytest
import time_machine
from django.core.management import call_command
from django.db import ProgrammingError, connection, transaction
from psycopg import errors

from enrolment import people
from enrolment.access_review import HEAD, fingerprint, who_has_access
from enrolment.models import AccessReview, UnblindedAccessReview
from enrolment.people import Person
from enrolment.tasks import unblinded_remind_of_access_reviews
from iwrs.accounts.models import UNBLINDED_ROLES, Role, StudyRole, User
from iwrs.audit_trail.models import Access, Review
from iwrs.models import StaffLetter, Study
from iwrs.permissions import MAY, READING_UNBLINDED, Act, one_person_may_hold
from iwrs.problems import Problem
from tests.dsmb.rows import as_owner
from tests.factories import TESTER, a_study, a_user
from tests.roles import Logins, as_unblinded
from tests.unblinded_site.conftest import Browser
from trial.audit.review import by_risk
from trial.audit.sources import sources
from trial.audit.words import RISKS_UNBLINDED

FORMULA = "=cmd|' /C calc'!A0"
WORDS = "correct horse battery staple"


def at(study: Study, place: str) -> str:
    return f"/studies/{study.code}/{place}/"


def page_of(browser: Browser, path: str) -> str:
    answer = browser.get(path)
    assert answer.status_code == 200, path
    return unescape(answer.content.decode())


def seen_by(browser: Browser, study: Study) -> str:
    return str(browser.get(at(study, "access/review")).context["form"].initial["seen"])


@pytest.fixture
def begun(study: Study) -> Study:
    """A study whose trail began ten days ago."""
    with as_owner():
        Study.objects.filter(pk=study.pk).update(created_at=datetime.now(UTC) - timedelta(days=10))
    study.refresh_from_db()
    return study


def days_ago(days: int) -> date:
    return datetime.now(UTC).date() - timedelta(days=days)


@pytest.mark.requirement("REQ-020")
def test_every_unblinded_role_is_listed_on_the_page_and_in_the_file(
    study: Study, auditor: Browser, statistician: Browser, supplier: Browser
) -> None:
    blinded, elsewhere = a_user(Role.MONITOR, study=study), a_study(with_list=False)
    with as_unblinded():
        a_user(Role.SUPPLY_MANAGER, study=elsewhere)
        held = StudyRole.objects.filter(study_code=study.code).select_related("user")
        expected = {(each.user.email, each.get_role_display()) for each in held}
        User.objects.filter(pk=held[0].user_id).update(name=FORMULA)
    for browser in (auditor, statistician, supplier):
        page = page_of(browser, at(study, "access"))
        assert all(email in page for email, _ in expected)
        assert blinded.email not in page
        assert "by the command <code>manage.py account</code>: no page of this site does" in page
        assert "Add a person" not in page
        assert ("Record a review" in page) is (browser is auditor)
    file = auditor.get(at(study, "access/csv"))
    assert file.headers["Content-Type"].startswith("text/csv")
    head, *rows = csv.reader(io.StringIO(file.content.decode()))
    assert tuple(head) == HEAD
    assert {(each[1], each[2]) for each in rows} == expected
    assert f"'{FORMULA}" in {each[0] for each in rows}, "no cell runs in a spreadsheet"


@pytest.mark.requirement("REQ-029")
def test_looks_at_the_lists_and_copies_are_in_the_trail_of_this_side(
    study: Study, auditor: Browser
) -> None:
    for place in ("access", "access/csv", "audit/review"):
        assert auditor.get(at(study, place)).status_code == 200
    with as_unblinded():
        looks = list(Access.objects.order_by("pk").values_list("page", "copied", "role"))
    assert looks == [
        ("the list of who has access", False, "unblinded_auditor"),
        ("the list of who has access", True, "unblinded_auditor"),
        ("the review of the audit trail", False, "unblinded_auditor"),
    ]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM public.audit_access")
        assert cursor.fetchone() == (0,)


@pytest.mark.requirement("REQ-020")
def test_a_review_is_recorded_on_this_side_alone(study: Study, person: Callable[..., User]) -> None:
    user = person(Role.UNBLINDED_AUDITOR)
    browser, page = Browser(user), at(study, "access/review")
    assert "was not reviewed in the last 90 days" in page_of(browser, "/")
    seen = seen_by(browser, study)
    assert browser.post(page, seen=seen, notes=" ").status_code == 422
    assert browser.post(page, seen=seen, notes="Compared with the list").status_code == 302
    with as_unblinded():
        made = UnblindedAccessReview.objects.get()
        assert (made.rows, made.sha256) == (len(who_has_access(study)), seen)
        assert seen == fingerprint(who_has_access(study))
    assert (made.reviewed_by, made.notes) == (str(user), "Compared with the list")
    assert not AccessReview.objects.exists()
    assert "Compared with the list" in page_of(browser, at(study, "access"))
    told = page_of(browser, at(study, "audit"))
    assert f"{user.name} (Unblinded auditor) recorded review of who has access" in told
    home = page_of(browser, "/")
    assert "was not reviewed in the last 90 days" not in home
    due = made.reviewed_at + timedelta(days=90)
    assert f"due on {due.day} {due:%B %Y}" in home
    with time_machine.travel(due + timedelta(days=1), tick=False):
        assert "was not reviewed in the last 90 days" in page_of(Browser(user), "/")


@pytest.mark.requirement("REQ-020")
def test_a_list_that_changed_meanwhile_is_not_the_one_that_was_reviewed(
    study: Study, auditor: Browser, person: Callable[..., User]
) -> None:
    user = person(Role.SUPPLY_MANAGER)
    seen = seen_by(auditor, study)
    with as_unblinded():
        people.end_study_role(user.study_roles.get(), by=TESTER, why="Left")
    answer = auditor.post(at(study, "access/review"), seen=seen, notes="All right")
    assert answer.status_code == 409
    assert "The list has changed since you opened this page." in answer.content.decode()
    with as_unblinded():
        assert not UnblindedAccessReview.objects.exists()


@pytest.mark.requirement("REQ-020", "REQ-026")
def test_no_login_changes_a_review_and_the_blinded_one_does_not_read_it(logins: Logins) -> None:
    for side in ("blinded", "unblinded"):
        for change in ("UPDATE %s SET notes = 'x'", "DELETE FROM %s", "TRUNCATE %s"):
            with pytest.raises(errors.InsufficientPrivilege):
                getattr(logins, side)().execute(change % "unblinded.access_review")
    for table in ("access_review", "access_review_event", "audit_review"):
        with pytest.raises(errors.InsufficientPrivilege):
            logins.blinded().execute(f"SELECT * FROM unblinded.{table}")


@pytest.mark.requirement("REQ-011", "REQ-020", "REQ-032")
def test_only_the_auditor_reviews(begun: Study, statistician: Browser, supplier: Browser) -> None:
    for browser in (statistician, supplier):
        seen = {"seen": "0" * 64, "notes": "Looked"}
        assert browser.post(at(begun, "access/review"), **seen).status_code == 403
        typed = {"until": str(days_ago(1)), "notes": "Looked"}
        assert browser.post(at(begun, "audit/review"), **typed).status_code == 403
        home = page_of(browser, "/")
        assert "Reviews of" not in home
        assert f"Who has access to {begun.code}" in home
        assert "Review by risk" not in page_of(browser, at(begun, "audit"))
    with as_unblinded():
        assert not Review.objects.exists()
        assert not UnblindedAccessReview.objects.exists()


@pytest.mark.requirement("REQ-032")
def test_the_trail_is_reviewed_by_risk_and_the_next_review_goes_on_from_there(
    begun: Study, person: Callable[..., User], statistician: Browser
) -> None:
    statistician.post(at(begun, "list/generate"))
    user = person(Role.UNBLINDED_AUDITOR)
    browser, page = Browser(user), at(begun, "audit/review")
    assert "Nobody has reviewed the audit trail yet." in page_of(browser, "/")
    with as_unblinded():
        found = {each.risk.key: each for each in by_risk(begun)}
    assert list(found) == [
        "unblinding", "removals", "forced", "lists", "seeds", "calls", "keys", "door", "roles",
        "kits",
    ]  # fmt: skip
    assert found["lists"].lines
    assert found["roles"].lines
    text = page_of(browser, page)
    places = [text.index(each.risk.name) for each in found.values()]
    assert places == sorted(places)
    assert "recorded list 1" in text
    for day, notes in ((5, "The list"), (1, "The rest")):
        answer = browser.post(page, until=str(days_ago(day)), notes=notes)
        assert answer.status_code == 302, notes
    with as_unblinded():
        one, two = Review.objects.order_by("since")
    assert one.until == two.since
    assert (two.by, two.role) == (str(user), "unblinded_auditor")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM public.audit_review")
        assert cursor.fetchone() == (0,)
    last = days_ago(1)
    home = page_of(browser, "/")
    assert f"reviewed to the end of {last.day} {last:%B %Y} (UTC)" in home
    assert "(Unblinded auditor) reviewed the audit trail from" in page_of(
        browser, at(begun, "audit") + "?what=audit.review"
    )


@pytest.mark.requirement("REQ-032")
@pytest.mark.parametrize(
    ("days", "notes", "said"),
    [
        (0, "Looked", "This day has not ended in UTC."),
        (3, "Looked", "This day is reviewed already."),
        (1, " ", "Write a few words here."),
    ],
)
def test_a_wrong_review_of_the_trail_is_refused(
    begun: Study, auditor: Browser, days: int, notes: str, said: str
) -> None:
    page = at(begun, "audit/review")
    assert auditor.post(page, until=str(days_ago(3)), notes="Looked").status_code == 302
    answer = auditor.post(page, until=str(days_ago(days)), notes=notes)
    assert answer.status_code == 422
    assert said in unescape(answer.content.decode())
    with as_unblinded():
        assert Review.objects.count() == 1


def test_every_class_of_risk_is_of_tables_that_this_side_has(unblinded_side: None) -> None:
    known = {each.key for each in sources()}
    for risk in RISKS_UNBLINDED:
        assert not risk.tables or known & set(risk.tables), risk.key
    looked_at = {table for risk in RISKS_UNBLINDED for table in risk.tables}
    assert known - looked_at == {
        *("audit.access", "audit.review", "enrolment.unblindedaccessreview"),
        # what the system did by the list
        *("randomization.allocation", "dispensing.visitkit", "dispensing.kitassignment"),
        "signatures.signedrecord",  # of acts that stand there themselves
    }


@pytest.mark.requirement("REQ-018")
def test_who_reviews_holds_no_other_duty_of_the_unblinded_side(
    study: Study, person: Callable[..., User]
) -> None:
    both = {Act.REVIEW_UNBLINDED_AUDIT, Act.REVIEW_UNBLINDED_ACCESS}
    assert MAY[Role.UNBLINDED_AUDITOR] - READING_UNBLINDED == both
    for role in UNBLINDED_ROLES - {Role.UNBLINDED_AUDITOR}:
        assert not one_person_may_hold([Role.UNBLINDED_AUDITOR, role]), role
        first, second = person(role), person(Role.UNBLINDED_AUDITOR)
        for user, further in ((first, Role.UNBLINDED_AUDITOR), (second, role)):
            with as_unblinded(), pytest.raises(Problem) as refused:
                people.give_study_role(study, Person(user.email, user.name), further, by=TESTER)
            assert refused.value.code == "duties_kept_apart"


@pytest.mark.requirement("REQ-018")
def test_who_reviews_never_did_what_is_in_the_trail(
    study: Study, person: Callable[..., User]
) -> None:
    user = person(Role.UNBLINDED_STATISTICIAN)
    again = Person(user.email, user.name)
    with as_unblinded():
        people.end_study_role(user.study_roles.get(), by=TESTER, why="Now reviews")
        with pytest.raises(Problem, match="was Unblinded statistician in this study"):
            people.give_study_role(study, again, Role.UNBLINDED_AUDITOR, by=TESTER)
        assert people.give_study_role(study, again, Role.SUPPLY_MANAGER, by=TESTER).pk


@pytest.mark.requirement("REQ-020", "REQ-032")
def test_the_blinded_login_can_neither_move_nor_silence_a_review(
    study: Study, person: Callable[..., User]
) -> None:
    """When the trail began, and reminders, are not for the other side to say."""
    with pytest.raises(ProgrammingError, match="never changed"), transaction.atomic():
        Study.objects.filter(pk=study.pk).update(created_at=datetime.now(UTC))
    auditor = person(Role.UNBLINDED_AUDITOR)
    Study.objects.filter(pk=study.pk).update(status="draft")
    with as_unblinded():
        unblinded_remind_of_access_reviews()
        assert StaffLetter.objects.get().topic == "access-review-due"
        assert auditor.is_active


@pytest.mark.requirement("REQ-018")
def test_the_auditor_is_made_by_command_and_on_this_side_alone(
    study: Study, settings: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["--email", "una@example.org", "--name", "Una", "--study", study.code]
    asked += ["--role", "unblinded_auditor", "--password-stdin"]
    monkeypatch.setattr("sys.stdin", io.StringIO(WORDS + "\n"))
    with as_unblinded():
        call_command("account", "create", *asked, stdout=io.StringIO())
        assert StudyRole.objects.get().role == Role.UNBLINDED_AUDITOR
        both_sides = Person("una@example.org", "Una", WORDS)
    settings.SIDE = "blinded"
    with pytest.raises(Problem) as refused:
        people.give_study_role(study, both_sides, Role.AUDITOR, by=TESTER)
    assert refused.value.code == "both_sides"
