"""The API describes itself completely, and what it says is true of real answers."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.test import Client
from drf_spectacular.validation import validate_schema

from assessments import examples as assessments
from dispensing import examples as dispensing
from enrolment import examples as enrolment
from iwrs import gate
from iwrs.api.catalogue import CATALOGUE
from tests import factories
from tests.api.client import ALL_SCOPES, Edc
from trial import api as trial

ROOT = Path(__file__).resolve().parents[2]
RAISE = re.compile(r'(?:code=|ApiProblem\(\s*)"(\w+)"')
ROOMS = ("iwrs", "enrolment", "randomization", "dispensing", "assessments", "trial")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    answer = Client().get("/api/v1/openapi.json")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def examples_of(holder: dict[str, Any], media_type: str = "application/json") -> list[Any]:
    examples = holder["content"][media_type].get("examples", {})
    return [each["value"] for each in examples.values()]


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "components": document["components"]}


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    validate_schema(document)


def test_every_address_is_documented(document: dict[str, Any]) -> None:
    from trial.api_urls import urlpatterns

    addresses = {
        "/api/" + re.sub(r"<\w+:(\w+)>", r"{\1}", str(url.pattern))
        for url in urlpatterns
        if hasattr(url.callback, "cls") and hasattr(url.callback.cls, "scopes")
    }
    assert addresses == set(document["paths"])
    assert len(addresses) == 19


def test_every_operation_is_described_with_examples_and_refusals(
    document: dict[str, Any],
) -> None:
    found = dict(operations(document))
    assert len(found) == 21
    for name, operation in found.items():
        assert operation["summary"], name
        assert len(operation["description"]) > 40, name
        [(scheme, scopes)] = operation["security"][0].items()
        assert scheme == "client_credentials", name
        assert len(scopes) == 1, name
        assert scopes[0] in ALL_SCOPES, name
        good = next(r for code, r in operation["responses"].items() if code < "300")
        assert examples_of(good), name
        if "requestBody" in operation:
            assert examples_of(operation["requestBody"]), name
        assert {"401", "403", "500"} <= set(operation["responses"]), name
        if name.startswith("POST"):
            assert {"400", "409", "415", "422", "503"} <= set(operation["responses"]), name


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    checked = 0
    for name, operation in operations(document):
        holders = [*operation["responses"].values()]
        holders += [operation["requestBody"]] if "requestBody" in operation else []
        for holder in holders:
            for media_type, content in holder["content"].items():
                for example in examples_of(holder, media_type):
                    jsonschema.validate(example, resolved(document, content["schema"]))
                    checked += 1
        assert checked, name
    assert checked > 100


def test_refusals_are_documented_with_their_codes(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            if status >= "400":
                for example in examples_of(response, "application/problem+json"):
                    assert CATALOGUE[example["code"]].status == int(status), name
                    assert example["type"] == f"/api/v1/problems/{example['code']}"


def test_no_document_names_an_arm(document: dict[str, Any]) -> None:
    text = str(document).lower()
    for arm in ("eve", "pbo", "everolimus", "placebo"):
        assert not re.search(rf"\b{arm}\b", text)


def test_every_problem_of_the_rooms_is_in_the_catalogue() -> None:
    raised = {code for code, *_ in gate.REFUSALS.values()}
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            if room in {"iwrs"} and path.parent.name != "api" and path.stem != "gate":
                continue
            if "unblinded" in path.parts or path.stem == "views":
                continue
            raised |= set(RAISE.findall(path.read_text(encoding="utf-8")))
    assert raised - set(CATALOGUE) == set()
    assert len(raised) > 30


def test_statuses_of_the_catalogue_are_those_of_the_gate() -> None:
    for code, _, _, status in gate.REFUSALS.values():
        assert CATALOGUE[code].status == status


@pytest.mark.django_db
@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_every_problem_has_a_page(code: str) -> None:
    page = Client().get(f"/api/v1/problems/{code}")
    assert page.status_code == 200
    assert CATALOGUE[code].title in page.content.decode().replace("&#x27;", "'")


@pytest.mark.django_db
def test_the_list_of_problems_and_an_unknown_one() -> None:
    text = Client().get("/api/v1/problems/").content.decode()
    assert all(f'id="{code}"' in text for code in CATALOGUE)
    assert Client().get("/api/v1/problems/bad_luck").status_code == 404


@pytest.mark.django_db
def test_the_human_page_loads_its_parts_from_here() -> None:
    page = Client().get("/api/v1/docs/").content.decode()
    parts = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(parts) >= 4
    assert all(part.startswith("/") for part in parts)
    script = Client().get("/api/v1/docs/?script=").content.decode()
    assert "/api/v1/openapi.json" in script


@pytest.mark.django_db
def test_examples_look_like_real_answers() -> None:
    study = factories.a_study()
    centre = factories.a_centre(study, number="0101")
    edc = Edc(study)
    body = enrolment.SCREENING
    screened = edc.post("subjects", body).json()
    assert screened.keys() == enrolment.SUBJECT_DETAIL.keys()
    assert screened["eligibility"] == enrolment.SUBJECT_DETAIL["eligibility"]
    assert screened["status"] == "eligible"
    assert edc.get("centres").json()["results"][0].keys() == enrolment.CENTRE.keys()
    assert edc.get("subjects").json()["results"][0].keys() == enrolment.SUBJECT.keys()
    randomized = edc.randomize(screened["number"]).json()
    assert randomized.keys() == trial.EXAMPLE.keys()
    assert randomized["kit"].keys() == dispensing.KIT.keys()
    assert randomized["visits"][0].keys() == assessments.PLANNED_VISIT.keys()
    subject = f"subjects/{screened['number']}"
    assert edc.get(f"{subject}/visits").json()["results"][0].keys() == assessments.VISIT.keys()
    kits = edc.get(f"{subject}/dispensations").json()["results"]
    assert kits[0].keys() == dispensing.ASSIGNED.keys()
    assert centre.study_id == study.pk
