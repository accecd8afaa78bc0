"""One answer for one key."""

import uuid

import pytest

from enrolment.models import Centre, Subject
from iwrs.models import IdempotencyRecord, Study
from randomization.models import Randomization
from tests import factories
from tests.api.client import Edc, screening_body
from tests.api.test_refusals import assert_problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    return factories.a_study()


@pytest.fixture
def centre(study: Study) -> Centre:
    return factories.a_centre(study)


@pytest.fixture
def edc(study: Study) -> Edc:
    return Edc(study)


def test_the_same_key_gives_the_first_answer_again(edc: Edc, centre: Centre) -> None:
    number = factories.a_subject(centre).number
    key = str(uuid.uuid4())
    first, second = edc.randomize(number, key), edc.randomize(number, key)
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert Randomization.objects.count() == IdempotencyRecord.objects.count() == 1


def test_a_quoted_key_is_the_same_key(edc: Edc, centre: Centre) -> None:
    number = factories.a_subject(centre).number
    edc.randomize(number, "k-1")
    assert edc.randomize(number, '"k-1"')["Idempotency-Replayed"] == "true"


def test_screening_with_a_key_registers_one_subject(edc: Edc, centre: Centre) -> None:
    body = screening_body(centre)
    first = edc.post("subjects", body, key="one")
    turned = dict(reversed(body.items()))  # the order of names is not part of a request
    second = edc.post("subjects", turned, key="one")
    assert first.json() == second.json()
    assert second["Location"] == first["Location"]
    assert Subject.objects.count() == 1


def test_screening_without_a_key_registers_a_subject_each_time(edc: Edc, centre: Centre) -> None:
    body = screening_body(centre)
    assert edc.post("subjects", body).json() != edc.post("subjects", body).json()
    assert not IdempotencyRecord.objects.exists()


def test_the_same_key_with_another_request_is_refused(edc: Edc, centre: Centre) -> None:
    edc.post("subjects", screening_body(centre), key="one")
    strata = {"visceral": "no", "sensitive": "no"}
    other_body = edc.post("subjects", screening_body(centre, strata=strata), key="one")
    assert_problem(other_body, "idempotency_key_reused")
    number = Subject.objects.get().number
    assert_problem(edc.randomize(number, key="one"), "idempotency_key_reused")
    assert not Randomization.objects.exists()


def test_the_key_of_one_subject_does_not_serve_another(edc: Edc, centre: Centre) -> None:
    first, second = (factories.a_subject(centre).number for _ in range(2))
    edc.randomize(first, key="one")
    assert_problem(edc.randomize(second, key="one"), "idempotency_key_reused")
    assert Subject.objects.get(number=second).status == "eligible"


@pytest.mark.parametrize("key", ["two words", "\u00e9t\u00e9", "x" * 201])
def test_keys_that_cannot_be_used(edc: Edc, centre: Centre, key: str) -> None:
    number = factories.a_subject(centre).number
    assert_problem(edc.randomize(number, key), "idempotency_key_malformed")


def test_randomization_needs_a_key(edc: Edc, centre: Centre) -> None:
    number = factories.a_subject(centre).number
    answer = edc.post(f"subjects/{number}/randomization")
    assert_problem(answer, "idempotency_key_missing")
    assert not Randomization.objects.exists()
