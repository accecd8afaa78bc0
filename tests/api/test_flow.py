"""An EDC system walks one subject through the study, over the API alone."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from enrolment.models import Subject
from iwrs import clock
from iwrs.models import Study
from iwrs.signatures.models import SignedRecord
from randomization.marks import mark_in_error, verify_stratum
from randomization.models import Randomization
from tests import factories
from tests.api.client import Edc, screening_body

pytestmark = pytest.mark.django_db

# Token with client and study; begin; hold the key; look for a stored answer; subject; open the
# act; lock centre and subject; count and accrual lock, near a limit in two; count again; cover;
# dispensations; visits; allocate; subject; randomization; assign; kit; store the answer; commit.
RANDOMIZATION_QUERIES = 20  # one less in a study that is far from its limits


@pytest.fixture
def study() -> Study:
    return factories.a_study()


@pytest.fixture
def edc(study: Study) -> Edc:
    return Edc(study)


def a_randomized_number(edc: Edc, study: Study) -> str:
    centre = factories.a_centre(study)
    number = edc.post("subjects", screening_body(centre)).json()["number"]
    assert edc.randomize(number).status_code == 201
    return str(number)


def test_screening_gives_a_number_and_says_what_is_open(edc: Edc, study: Study) -> None:
    centre = factories.a_centre(study)
    body = screening_body(centre)
    unanswered = body["eligibility"].popitem()[0]
    answer = edc.post("subjects", body)
    assert answer.status_code == 201
    subject = answer.json()
    assert answer["Location"] == f"/api/v1/subjects/{subject['number']}"
    assert subject["status"] == "screening"
    assert subject["open_questions"] == [unanswered]
    assert edc.get(f"subjects/{subject['number']}").json() == subject


@pytest.mark.requirement("REQ-002")
def test_randomization_answers_number_kit_stratum_and_first_visits(edc: Edc, study: Study) -> None:
    centre = factories.a_centre(study)
    body = screening_body(centre, strata={"visceral": "no", "sensitive": "yes"})
    number = edc.post("subjects", body).json()["number"]
    answer = edc.randomize(number)
    assert answer.status_code == 201, answer.json()
    first = answer.json()
    stored = Randomization.objects.get(subject__number=number, study=study)
    assert set(first) == {
        *("subject", "randomization_number", "randomized_at", "paper_number"),
        *("stratum", "kit", "visits"),
    }
    assert first["randomization_number"] == stored.number
    assert first["stratum"] == {"visceral": "no", "sensitive": "yes"}
    assert first["kit"]["grouped"].replace(" ", "") == first["kit"]["number"]
    assert [visit["number"] for visit in first["visits"]] == [1, 2, 3, 4]
    assert edc.get(f"subjects/{number}/randomization").json() == first


def test_what_was_wrong_with_a_randomization_is_read(edc: Edc, study: Study) -> None:
    centre = factories.a_centre(study)
    waiting = factories.a_subject(centre).number
    refused = edc.get(f"subjects/{waiting}/randomization/marks")
    assert (refused.status_code, refused.json()["code"]) == (404, "not_randomized")
    subject = factories.a_randomized_subject(centre)
    address = f"subjects/{subject.number}/randomization/marks"
    assert edc.get(address).json() == {"in_error": None, "verified_strata": []}
    mark_in_error(subject, by=factories.TESTER, reason="Wrong patient")
    right = dict.fromkeys(subject.strata, "no")
    verify_stratum(subject, right, by=factories.TESTER, reason="CT read again")
    told = edc.get(address).json()
    assert told["in_error"]["reason"] == "Wrong patient"
    assert [each["levels"] for each in told["verified_strata"]] == [right]


def test_the_first_answer_does_not_change_when_visits_are_planned(edc: Edc, study: Study) -> None:
    number = a_randomized_number(edc, study)
    first = edc.get(f"subjects/{number}/randomization").json()
    with clock.at(clock.now() + timedelta(days=42)):
        report = {"on": str(clock.today()), "local_response": "SD", "ecog": 1}
        assert edc.post(f"subjects/{number}/visits/1/report", report).status_code == 201
    assert len(edc.get(f"subjects/{number}/visits").json()["results"]) == 5
    assert edc.get(f"subjects/{number}/randomization").json() == first


@pytest.mark.requirement("REQ-005", "REQ-007", "REQ-068")
def test_a_subject_walks_through_the_study(edc: Edc, study: Study) -> None:
    number = a_randomized_number(edc, study)
    subject = f"subjects/{number}"
    today = str(clock.today("Europe/Paris"))
    steps = [
        (f"{subject}/dispensations/0/assignment", {}, 200),
        (f"{subject}/dispensations/0/hand-over", {"on": today}, 200),
        (f"{subject}/first-dose", {"on": today}, 201),
        (f"{subject}/contacts", {"on": today}, 201),
        (
            f"{subject}/reads",
            {"reader": "central", "assessed_on": today, "response": "SD", "read_on": today},
            201,
        ),
        (f"{subject}/visits/1/missed", {"why": "Holiday"}, 201),
        (
            f"{subject}/dose-reductions",
            {"level": "5mg", "on": today, "reason": "Stomatitis grade 3"},
            201,
        ),
        (
            f"{subject}/drug-stops",
            {"drug": "study_drug", "on": today, "reason": "adverse_event"},
            201,
        ),
        (f"{subject}/events", {"kind": "new_therapy", "on": today}, 201),
        (f"{subject}/events", {"kind": "death", "on": today, "detail": "Progression"}, 201),
    ]
    for path, body, status in steps:
        answer = edc.post(path, body)
        assert answer.status_code == status, (path, answer.json())
    states = {v["status"] for v in edc.get(f"{subject}/visits").json()["results"]}
    assert states == {"missed", "cancelled"}
    kits = edc.get(f"{subject}/dispensations").json()["results"]
    assert kits[0]["status"] == "handed_over"
    assert {each["status"] for each in kits[1:]} == {"cancelled"}
    assert not SignedRecord.objects.exists()  # an investigator confirms on the portal


@pytest.mark.requirement("REQ-025")
def test_acts_are_recorded_as_the_client(edc: Edc, study: Study) -> None:
    a_randomized_number(edc, study)
    assert Randomization.objects.get(study=study).by == "EDC client Rave"


def test_lists_are_filtered_and_paged_by_number(edc: Edc, study: Study) -> None:
    here, there = factories.a_centre(study, cover=0), factories.a_centre(study, cover=0)
    made = [factories.a_subject(here, eligible=n > 0).number for n in range(3)]
    factories.a_subject(there)
    page = edc.get("subjects", centre=here.number, limit=2).json()
    assert [s["number"] for s in page["results"]] == made[:2]
    rest = edc.http.get(page["next"], headers=edc.headers(None)).json()
    assert [s["number"] for s in rest["results"]] == made[2:]
    assert rest["next"] is None
    waiting = edc.get("subjects", status="screening").json()["results"]
    assert [s["number"] for s in waiting] == made[:1]
    centres = edc.get("centres").json()["results"]
    assert [c["number"] for c in centres] == sorted([here.number, there.number])


def test_a_list_takes_as_many_queries_for_many_subjects_as_for_one(edc: Edc, study: Study) -> None:
    centre = factories.a_centre(study, cover=0)
    factories.a_subject(centre)
    with CaptureQueriesContext(connection) as one:
        edc.get("subjects")
    for _ in range(5):
        factories.a_subject(centre)
    with CaptureQueriesContext(connection) as many:
        assert len(edc.get("subjects").json()["results"]) == 6
    assert len(one) == len(many) == 2  # the token with its client and study; the page


def test_randomizing_takes_a_known_number_of_queries(edc: Edc, study: Study) -> None:
    centre = factories.a_centre(study)
    number = factories.a_subject(centre).number
    with CaptureQueriesContext(connection) as queries:
        assert edc.randomize(number).status_code == 201
    statements = "\n".join(query["sql"][:100] for query in queries)
    assert len(queries) == RANDOMIZATION_QUERIES, statements


def test_a_replayed_study_lives_in_its_own_present(edc: Edc, study: Study) -> None:
    centre = factories.a_centre(study)
    study.replay_now = factories.at(2031, 5, 4)
    study.save()
    number = edc.post("subjects", screening_body(centre, consent_on="2031-05-03")).json()["number"]
    assert Subject.objects.get(study=study, number=number).screened_at == study.replay_now
