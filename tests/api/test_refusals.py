"""Bad input, one row a case: what is sent, and the problem that comes back. Nothing is written."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from assessments.models import SubjectEvent, TumourRead
from dispensing.models import Kit
from enrolment import services as enrolment
from enrolment.models import Centre, Subject
from iwrs import clock, studies
from iwrs.api.catalogue import CATALOGUE
from iwrs.models import IdempotencyRecord, Study
from randomization.models import Randomization
from tests import factories
from tests.api.client import Edc, screening_body
from tests.factories import TESTER

pytestmark = pytest.mark.django_db
TODAY, TOMORROW = "today", "tomorrow"


@pytest.fixture
def study() -> Study:
    return factories.a_study()


@pytest.fixture
def edc(study: Study) -> Edc:
    return Edc(study)


@pytest.fixture
def centre(study: Study) -> Centre:
    return factories.a_centre(study)


def days(value: Any) -> Any:
    """Replace the words today and tomorrow by days."""
    today = clock.today("Europe/Paris")
    words = {TODAY: str(today), TOMORROW: str(today + timedelta(days=1))}
    if isinstance(value, dict):
        return {key: days(inner) for key, inner in value.items()}
    return words.get(value, value) if isinstance(value, str) else value


def assert_problem(answer: Any, code: str, status: int | None = None) -> dict[str, Any]:
    """The answer is a problem document of this code, whole and well described."""
    document: dict[str, Any] = answer.json()
    assert answer["Content-Type"] == "application/problem+json"
    assert document["code"] == code, document
    assert answer.status_code == document["status"] == (status or CATALOGUE[code].status)
    assert document["type"] == f"/api/v1/problems/{code}"
    assert document["title"] == CATALOGUE[code].title
    assert document["detail"]
    return document


# ------------------------------------------------------------------ screening
SCREENING: list[tuple[dict[str, Any], set[str]]] = [
    ({"consent_on": None}, {"consent_on"}),
    ({"consent_on": TOMORROW}, {"consent_on"}),
    ({"consent_on": "1 March 2010"}, {"consent_on"}),
    ({"consent_on": 20100301}, {"consent_on"}),
    ({"centre": "9999"}, {"centre"}),
    ({"centre": "Paris"}, {"centre"}),
    ({"centre": None, "consent_on": ""}, {"centre", "consent_on"}),
    ({"arm": "EVE"}, {"arm"}),
    ({"arm": "EVE", "consent_on": ""}, {"arm", "consent_on"}),
    ({"strata": {"visceral": "maybe"}}, {"strata.visceral"}),
    ({"strata": {"liver": "yes"}}, {"strata.liver"}),
    ({"strata": {"visceral": ["yes"]}}, {"strata.visceral"}),
    ({"strata": "yes"}, {"strata"}),
    ({"eligibility": {"er_positive": "perhaps"}}, {"eligibility.er_positive"}),
    ({"eligibility": {"pregnant": "no"}}, {"eligibility.pregnant"}),
    ({"eligibility": []}, {"eligibility"}),
    ({"baseline": {"age": 17, "ecog": "1"}}, {"baseline.age"}),
    ({"baseline": {"age": "61", "ecog": "1"}}, {"baseline.age"}),
    ({"baseline": {"age": True, "ecog": "1"}}, {"baseline.age"}),
    ({"baseline": {"age": 61.5, "ecog": "1"}}, {"baseline.age"}),
    ({"baseline": {"age": 61}}, {"baseline.ecog"}),
    ({"baseline": {"age": 61, "ecog": "1", "shoe_size": 38}}, {"baseline.shoe_size"}),
    ({"baseline": {"age": 10**30, "ecog": "1"}}, {"baseline.age"}),
    ({"baseline": {"age": 61, "ecog": "1", "race": "\u0000"}}, {"baseline.race"}),
    ({"strata": {"visceral": "\ud800"}}, {"strata.visceral"}),
]


@pytest.mark.requirement("REQ-075")
@pytest.mark.parametrize(("changes", "fields"), SCREENING)
def test_screening_refuses_and_names_each_field(
    edc: Edc, centre: Centre, changes: dict[str, Any], fields: set[str]
) -> None:
    answer = edc.post("subjects", screening_body(centre, **days(changes)), key="one")
    document = assert_problem(answer, "invalid")
    assert set(document["errors"]) == fields
    assert all(document["errors"].values())
    assert not Subject.objects.exists()
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.requirement("REQ-066")
def test_screening_at_a_centre_that_is_not_active(edc: Edc, study: Study) -> None:
    planned = factories.a_centre(study, cover=0, active=False)
    assert_problem(edc.post("subjects", screening_body(planned)), "centre_not_active")


# -------------------------------------------------------------- randomization
def _ineligible(study: Study, centre: Centre) -> Subject:
    answers = {**factories.passing_answers(study.definition), "er_positive": "no"}
    return factories.a_subject(centre, eligibility=answers)


def _unanswered_stratum(study: Study, centre: Centre) -> Subject:
    return factories.a_subject(centre, strata={"visceral": "yes"})


def _suspended_centre(study: Study, centre: Centre) -> Subject:
    subject = factories.a_subject(centre)
    enrolment.suspend_centre(centre, by=TESTER, why="Audit")
    return subject


def _empty_centre(study: Study, centre: Centre) -> Subject:
    return factories.a_subject(factories.a_centre(study, cover=0))


def _expired_cover(study: Study, centre: Centre) -> Subject:
    short = factories.a_centre(study, cover=0)
    factories.a_cohort(short, expires_on=clock.today() + timedelta(days=48))
    return factories.a_subject(short)


def _paused_study(study: Study, centre: Centre) -> Subject:
    subject = factories.a_subject(centre)
    studies.set_status(study, "paused", by=TESTER)
    return subject


def _screen_failure(study: Study, centre: Centre) -> Subject:
    subject = factories.a_subject(centre)
    return enrolment.record_screen_failure(subject, by=TESTER, reason="Moved away")


@dataclass(frozen=True)
class Unready:
    """A subject who cannot be randomized, and what the API says."""

    subject: Callable[[Study, Centre], Subject]
    code: str
    errors: tuple[str, ...] = ()


UNREADY = [
    Unready(_ineligible, "not_eligible", ("eligibility.er_positive",)),
    Unready(_unanswered_stratum, "not_eligible", ("strata.sensitive",)),
    Unready(_suspended_centre, "centre_not_active"),
    Unready(_empty_centre, "no_kit"),
    Unready(_expired_cover, "no_kit"),
    Unready(_paused_study, "accrual_not_open"),
    Unready(_screen_failure, "screen_failed"),
]


@pytest.mark.requirement("REQ-036")
@pytest.mark.parametrize("case", UNREADY, ids=lambda case: case.subject.__name__)
def test_randomization_refuses(edc: Edc, study: Study, centre: Centre, case: Unready) -> None:
    number = case.subject(study, centre).number
    document = assert_problem(edc.randomize(number, key="one"), case.code)
    assert set(document.get("errors", {})) == set(case.errors)
    assert not Randomization.objects.exists()
    assert not IdempotencyRecord.objects.exists()
    assert not Kit.objects.filter(status=Kit.Status.ASSIGNED).exists()
    assert_problem(edc.get(f"subjects/{number}/randomization"), "not_randomized", status=404)


def test_randomization_without_a_list() -> None:
    study = factories.a_study(with_list=False)
    subject = factories.a_subject(factories.a_centre(study))
    assert_problem(Edc(study).randomize(subject.number), "no_list")


def test_randomizing_twice_gives_the_first_answer_inside_the_refusal(
    edc: Edc, centre: Centre
) -> None:
    number = factories.a_subject(centre).number
    first = edc.randomize(number, key="first").json()
    document = assert_problem(edc.randomize(number, key="second"), "already_randomized")
    assert document["randomization"] == first
    assert Randomization.objects.count() == 1


def test_a_refused_key_can_be_tried_again(edc: Edc, study: Study) -> None:
    centre = factories.a_centre(study, cover=0)
    number = factories.a_subject(centre).number
    assert_problem(edc.randomize(number, key="one"), "no_kit")
    factories.a_cohort(centre)
    assert edc.randomize(number, key="one").status_code == 201


# ------------------------------------------------ dispensing and assessments
READ = {"reader": "local", "assessed_on": TODAY, "response": "PD", "read_on": TODAY}
BEFORE_RANDOMIZATION: list[tuple[str, dict[str, Any], str]] = [
    ("reads", READ, "not_randomized"),
    ("events", {"kind": "death", "on": TODAY}, "not_randomized"),
    ("contacts", {"on": TODAY}, "not_randomized"),
    ("first-dose", {"on": TODAY}, "no_kit_handed_over"),
    ("drug-stops", {"drug": "study_drug", "on": TODAY, "reason": "other"}, "not_randomized"),
    ("dose-reductions", {"level": "5mg", "on": TODAY, "reason": "Rash"}, "not_randomized"),
    ("visits/1/report", {"on": TODAY}, "not_found"),
    ("dispensations/0/assignment", {}, "not_found"),
    ("dispensations/0/hand-over", {"on": TODAY}, "not_found"),
]


@pytest.mark.requirement("REQ-036")
@pytest.mark.parametrize(("path", "body", "code"), BEFORE_RANDOMIZATION)
def test_before_randomization(
    edc: Edc, centre: Centre, path: str, body: dict[str, Any], code: str
) -> None:
    number = factories.a_subject(centre).number
    assert_problem(edc.post(f"subjects/{number}/{path}", days(body)), code)
    assert not SubjectEvent.objects.exists()
    assert not TumourRead.objects.exists()


AFTER_RANDOMIZATION: list[tuple[str, dict[str, Any], str, set[str]]] = [
    ("reads", {**READ, "reader": "friend"}, "invalid", {"reader"}),
    ("reads", {**READ, "response": "better"}, "invalid", {"response"}),
    ("reads", {**READ, "read_on": "2000-01-01"}, "invalid", {"read_on"}),
    ("reads", {**READ, "assessed_on": "2000-01-01"}, "invalid", {"assessed_on"}),
    ("reads", {}, "invalid", {"reader", "assessed_on", "response", "read_on"}),
    ("events", {"kind": "birthday", "on": TODAY}, "invalid", {"kind"}),
    ("events", {"kind": "death", "on": TOMORROW}, "invalid", {"on"}),
    ("events", {"kind": "death", "on": "2000-01-01"}, "invalid", {"on"}),
    ("events", {"kind": "lost", "on": TODAY, "detail": "x" * 301}, "invalid", {"detail"}),
    ("events", {"kind": "lost", "on": TODAY, "detail": "a\u0000b"}, "invalid", {"detail"}),
    ("contacts", {"on": TOMORROW}, "invalid", {"on"}),
    ("contacts", {"day": TODAY}, "invalid", {"on", "day"}),
    ("visits/1/report", {"on": TODAY, "ecog": 6}, "invalid", {"ecog"}),
    ("visits/1/report", {"on": TODAY, "quality_of_life": "1e9"}, "invalid", {"quality_of_life"}),
    ("visits/1/report", {"on": TODAY, "local_response": "X"}, "invalid", {"local_response"}),
    ("visits/1/missed", {"why": " "}, "invalid", {"why"}),
    ("visits/99/report", {"on": TODAY}, "not_found", set()),
    ("dispensations/1/assignment", {}, "too_early", set()),
    ("dispensations/1/hand-over", {"on": TODAY}, "no_kit_assigned", set()),
    ("dispensations/99/assignment", {}, "not_found", set()),
    ("dispensations/0/assignment", {"kit": "1234567"}, "invalid", {"kit"}),
    ("dispensations/0/hand-over", {"on": TOMORROW}, "invalid", {"on"}),
    ("first-dose", {"on": TODAY}, "no_kit_handed_over", set()),
    ("dose-reductions", {"level": "1mg", "on": TODAY, "reason": "Rash"}, "invalid", {"level"}),
    ("dose-reductions", {"level": "5mg", "on": TOMORROW, "reason": "Rash"}, "invalid", {"on"}),
    ("drug-stops", {"drug": "aspirin", "on": TODAY, "reason": "other"}, "invalid", {"drug"}),
    (
        "drug-stops",
        {"drug": "study_drug", "on": TODAY, "reason": "bored"},
        "invalid",
        {"reason"},
    ),
    ("screen-failure", {"reason": "Too late"}, "not_in_screening", set()),
    ("randomization", {"arm": "EVE"}, "idempotency_key_missing", set()),
]


@pytest.mark.parametrize(("path", "body", "code", "fields"), AFTER_RANDOMIZATION)
def test_after_randomization(
    edc: Edc, centre: Centre, path: str, body: dict[str, Any], code: str, fields: set[str]
) -> None:
    number = factories.a_randomized_subject(centre).number
    document = assert_problem(edc.post(f"subjects/{number}/{path}", days(body)), code)
    assert set(document.get("errors", {})) == fields


TWICE: list[tuple[str, dict[str, Any], str]] = [
    ("events", {"kind": "death", "on": TODAY}, "event_known"),
    ("events", {"kind": "withdrawal", "on": TODAY}, "event_known"),
    ("reads", READ, "read_known"),
    ("visits/1/report", {"on": TODAY}, "visit_closed"),
    ("visits/2/missed", {"why": "Holiday"}, "visit_closed"),
    ("drug-stops", {"drug": "exemestane", "on": TODAY, "reason": "other"}, "drug_stopped"),
]


@pytest.mark.parametrize(("path", "body", "code"), TWICE)
def test_a_second_time(
    edc: Edc, centre: Centre, path: str, body: dict[str, Any], code: str
) -> None:
    number = factories.a_randomized_subject(centre).number
    with clock.at(clock.now() + timedelta(days=42)):  # the day on which visit 1 is due
        assert edc.post(f"subjects/{number}/{path}", days(body)).status_code == 201
        assert_problem(edc.post(f"subjects/{number}/{path}", days(body)), code)


def test_a_stopped_drug_has_no_more_kits(edc: Edc, centre: Centre) -> None:
    number = factories.a_randomized_subject(centre).number
    stop = days({"drug": "study_drug", "on": TODAY, "reason": "other"})
    edc.post(f"subjects/{number}/drug-stops", stop)
    refused = edc.post(f"subjects/{number}/dispensations/1/assignment")
    assert_problem(refused, "dispensation_cancelled")


# --------------------------------------------------------------- the request
RAW: list[tuple[bytes, str]] = [
    (b"{", "malformed"),
    (b"[]", "malformed"),
    (b'"text"', "malformed"),
    (b"null", "malformed"),
    (b'{"age": NaN}', "malformed"),
    (b'{"centre": "0101", "centre": "0102"}', "malformed"),
    (b"\xff\xfe{}", "malformed"),
    (b"[" * 100_000, "malformed"),
    (b"{}" + b" " * (8 * 1024 * 1024), "too_large"),
]


@pytest.mark.requirement("REQ-075")
@pytest.mark.parametrize(("raw", "code"), RAW, ids=range(len(RAW)))
def test_a_body_that_is_not_one_json_object(edc: Edc, raw: bytes, code: str) -> None:
    answer = edc.http.post(
        "/api/v1/subjects", raw, content_type="application/json", headers=edc.headers(None)
    )
    assert_problem(answer, code)


def test_media_types_and_methods(edc: Edc) -> None:
    headers = edc.headers(None)
    form = edc.http.post("/api/v1/subjects", {"centre": "0101"}, headers=headers)
    assert_problem(form, "unsupported_media_type")
    for method in ("put", "patch", "delete", "options"):
        answer = getattr(edc.http, method)("/api/v1/subjects", headers=headers)
        assert_problem(answer, "method_not_allowed")
        assert answer["Allow"] == "GET, HEAD, POST"
    assert edc.http.head("/api/v1/subjects", headers=headers).status_code == 200
    page = edc.http.get("/api/v1/subjects", headers=headers | {"Accept": "text/html"})
    assert_problem(page, "not_acceptable")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"centre": "x"}, "centre"),
        ({"status": "asleep"}, "status"),
        ({"limit": "0"}, "limit"),
        ({"limit": "501"}, "limit"),
        ({"after": "\u0000"}, "after"),
        ({"sort": "number"}, "sort"),
    ],
)
def test_query_parameters(edc: Edc, query: dict[str, str], field: str) -> None:
    assert set(assert_problem(edc.get("subjects", **query), "invalid")["errors"]) == {field}


@pytest.mark.parametrize(
    "path", ["", "v2/subjects", "v1/patients", "v1/subjects/", "v1/subjects/%00", "v1/subjects/1"]
)
def test_unknown_addresses(edc: Edc, path: str) -> None:
    assert_problem(edc.http.get(f"/api/{path}", headers=edc.headers(None)), "not_found")
    assert_problem(edc.http.post(f"/api/{path}"), "not_found")


def test_what_nobody_foresaw_is_a_500_that_tells_nothing(
    edc: Edc, centre: Centre, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    number = factories.a_subject(centre).number

    def broken(*args: object, **kwargs: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 'Mrs Smith'::integer")

    monkeypatch.setattr("trial.api.randomize", broken)
    answer = edc.randomize(number, key="one")
    assert_problem(answer, "internal")
    told = json.dumps(answer.json()) + caplog.text
    assert "Smith" not in told
    assert "DataError" in caplog.text
    monkeypatch.undo()
    assert edc.randomize(number, key="one").status_code == 201
