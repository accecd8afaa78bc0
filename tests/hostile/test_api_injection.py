"""Whatever is sent in any field of any operation is refused as a problem, or kept as it is.

The operations, their fields and their examples are those of the OpenAPI document.
"""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from iwrs import clock
from iwrs.days import OUTSIDE
from tests.api.client import Edc
from tests.hostile.texts import DAYS, FEW, IN_JSON, TEXTS, WALKS, names_in_turn
from tests.hostile.walk import state_of_the_database, stored, undone

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-075")]
REFUSALS = {400, 404, 409, 413, 422}
VALUES: list[Any] = [
    *(None, True, -1, 10**30, 1e308, 0.1, [], {}, [[]], "", " ", "\ud800", "2024-02-30"),
    *("0001-01-01", "9999-12-31", "99999-01-01", "2024-02-01T00:00:00Z"),
]
AFTER_THE_DAY = {"date": "", "date-time": "T00:00:00+14:00"}


@dataclass
class Operation:
    """One POST with an honest body, the place of every value in it, and where text is free."""

    path: str
    body: dict[str, Any]
    places: list[tuple[str, ...]]
    free: set[tuple[str, ...]]
    days: dict[str, str]  # name of a field, and what follows the day in it


@pytest.fixture
def edc(site: SimpleNamespace) -> Edc:
    return Edc(site.study)


@pytest.fixture
def operations(site: SimpleNamespace, edc: Edc) -> list[Operation]:
    document = edc.get("openapi.json").json()
    number = site.here.subjects.exclude(randomized_at=None).order_by("pk")[0].number
    waiting = site.here.subjects.filter(randomized_at=None).order_by("pk")[0].number
    found = []
    for path, methods in document["paths"].items():
        if "post" not in methods:
            continue
        subject = waiting if path.endswith("screen-failure") else number
        filled = path.replace("{number}", subject).replace("{n}", "1")
        content = methods["post"].get("requestBody", {}).get("content", {}).get("application/json")
        if not content:
            continue
        body = _honest(next(iter(content["examples"].values()))["value"], site)
        schema = _resolved(document, content["schema"])
        fields = schema.get("properties", {})
        places = dict.fromkeys([*_places(body), *((name,) for name in fields)])
        free = {(name,) for name, each in fields.items() if _is_free(each)}
        days = {
            name: AFTER_THE_DAY[each["format"]]
            for name, each in fields.items()
            if each.get("format") in AFTER_THE_DAY
        }
        found.append(Operation(filled.removeprefix("/api/v1/"), body, list(places), free, days))
    return found


@pytest.fixture
def unchanged(operations: list[Operation]) -> str:
    return state_of_the_database()


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    return dict(document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])


def _is_free(field: dict[str, Any]) -> bool:
    """A text with no other rule than its length."""
    return field.get("type") == "string" and not {"enum", "format", "pattern"} & set(field)


def _honest(example: dict[str, Any], site: SimpleNamespace) -> dict[str, Any]:
    today = str(clock.today("Europe/Paris"))
    days = ("on", "consent_on", "assessed_on", "read_on")
    changed = {name: today for name in days if name in example}
    return example | changed | ({"centre": site.here.number} if "centre" in example else {})


def _places(value: Any, *path: str) -> Iterator[tuple[str, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, *path, key)


def changed(body: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy of the body with another value at one place."""
    first, *rest = place
    inner = changed(body.get(first, {}), tuple(rest), value) if rest else value
    return body | {first: inner}


def check(edc: Edc, operation: Operation, body: dict[str, Any], where: str, before: str) -> bool:
    """Send a body. True when the act was done."""
    with undone():
        # ASCII, so that half an emoji arrives as JSON names it.
        answer = edc.post(operation.path, json.dumps(body))
        where = f"{operation.path} {where}: {answer.status_code}"
        if answer.status_code in {200, 201}:
            return True
        assert answer.status_code in REFUSALS, where
        assert answer["Content-Type"] == "application/problem+json", where
        assert answer.json()["detail"], where
        assert state_of_the_database() == before, f"{where}, but something changed"
    return False


@pytest.mark.parametrize("every", WALKS)
def test_hostile_values_in_every_field_of_every_operation(
    edc: Edc, operations: list[Operation], unchanged: str, every: bool
) -> None:
    done = turn = 0
    for operation in operations:
        for place in operation.places:
            free = place in operation.free
            turn += free
            texts = [TEXTS[name] for name in (names_in_turn(turn, every) if free else FEW)]
            for value in [*texts, *(VALUES if len(place) == 1 else VALUES[:6])]:
                body = changed(operation.body, place, value)
                done += check(edc, operation, body, f"{place} {value!r:.60}", unchanged)
    assert len(operations) >= 9
    assert done > (30 if every else 8)
    assert state_of_the_database() == unchanged


def test_a_day_that_no_trial_can_be_about_is_refused_in_words(
    edc: Edc, operations: list[Operation], unchanged: str
) -> None:
    asked = [(each, name, after) for each in operations for name, after in each.days.items()]
    assert len(asked) >= 8
    for operation, name, after in asked:
        for day in DAYS.values():
            body = changed(operation.body, (name,), day + after)
            answer = edc.post(operation.path, body, key=uuid.uuid4().hex)
            assert answer.status_code == 422, f"{operation.path} {name} {day}"
            said = answer.json()["errors"][name]
            assert day == "2024-02-30" or said == OUTSIDE, f"{operation.path} {name}: {said}"
    assert state_of_the_database() == unchanged


def test_unknown_names_are_refused_and_named(
    edc: Edc, operations: list[Operation], unchanged: str
) -> None:
    for operation in operations:
        for name in ("__proto__", "arm", "id", "'; --", "<script>", "\u202e", "a\x00b", "x" * 5000):
            assert not check(edc, operation, operation.body | {name: "1"}, repr(name), unchanged)


def test_free_text_comes_back_as_it_was_sent(edc: Edc, operations: list[Operation]) -> None:
    """Stored byte for byte: nothing is stripped of markup, doubled or decoded on the way."""
    kept = set()
    for operation in operations:
        for place in operation.places:
            for name in ("sql quote", "template", "script", "format", "bidi", "formula", "unicode"):
                with undone():
                    body = changed(operation.body, place, TEXTS[name])
                    if edc.post(operation.path, body).status_code in {200, 201}:
                        assert stored(TEXTS[name].strip()), f"{operation.path} {place} {name}"
                        kept.add((operation.path.rsplit("/", 1)[-1], *place))
    assert kept >= {("screen-failure", "reason"), ("events", "detail"), ("missed", "why")}


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(choose=st.data())
def test_any_text_in_any_place(
    edc: Edc, operations: list[Operation], unchanged: str, choose: st.DataObject
) -> None:
    with_fields = [each for each in operations if each.places]
    operation = choose.draw(st.sampled_from(with_fields), label="operation")
    place = choose.draw(st.sampled_from(operation.places), label="place")
    value: Any = choose.draw(IN_JSON, label="text")
    if choose.draw(st.booleans(), label="as a name"):
        value = {value: "yes"}
    check(edc, operation, changed(operation.body, place, value), repr(place), unchanged)


def test_hostile_texts_in_queries_and_addresses(edc: Edc) -> None:
    document = edc.get("openapi.json").json()
    reads = {path: each["get"] for path, each in document["paths"].items() if "get" in each}
    for path, operation in reads.items():
        named = [each["name"] for each in operation.get("parameters", []) if each["in"] == "query"]
        for name, text in TEXTS.items():
            if name == "long":
                continue
            # A test client sends a NUL in a path as a browser's %00.
            filled = path.replace("{number}", text.replace("/", "")).replace("{n}", "1")
            answer = edc.http.get(filled.replace("\r\n", ""), headers=edc.headers(None))
            assert answer.status_code in {200, 404}, f"{path} {name}"
            for parameter in named:
                refused = edc.get("subjects", **{parameter: text})
                assert refused.status_code in {200, 422}, f"{parameter} {name}"


def test_one_parameter_twice_is_one_parameter(edc: Edc, site: SimpleNamespace) -> None:
    """The last value counts, as everywhere in Django: it cannot widen what the first narrowed."""
    twice = f"centre={site.there.number}&centre={site.here.number}"
    found = edc.http.get(f"/api/v1/subjects?{twice}", headers=edc.headers(None)).json()["results"]
    assert {each["centre"] for each in found} == {site.here.number}
