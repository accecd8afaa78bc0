"""Why a key is held while its request is at work: the same two requests with and without it."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.test import RequestFactory
from rest_framework.request import Request

from iwrs.api import idempotency
from iwrs.api.idempotency import Answer, answer_once
from iwrs.api.parsers import OneJsonObject
from iwrs.api.problems import ApiProblem
from iwrs.models import IdempotencyRecord


def two_at_once() -> tuple[int, list[Any]]:
    """Send one request twice; each act goes on only when the other request was answered or is at
    work too. Returns how many acts began, and what came of the two requests."""
    began: list[int] = []
    other_is_done, both_at_work = threading.Event(), threading.Barrier(2)

    def serve() -> Answer:
        began.append(1)
        while not other_is_done.wait(0.01):
            if len(began) == 2:
                both_at_work.wait(timeout=10)
                break
        return Answer(201, {"act": len(began)})

    def send() -> Any:
        sent = RequestFactory().post(
            "/api/v1/subjects",
            json.dumps({"centre": "0101"}),
            content_type="application/json",
            headers={"Idempotency-Key": "one"},
        )
        try:
            return answer_once(Request(sent, parsers=[OneJsonObject()]), "client", serve)
        except (ApiProblem, IntegrityError) as refused:
            return refused
        finally:
            other_is_done.set()
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        results = [each.result(timeout=30) for each in [threads.submit(send) for _ in range(2)]]
    return len(began), results


def test_a_held_key_lets_one_act_begin(committed_db: None) -> None:
    began, results = two_at_once()
    assert began == 1
    [refused] = [each for each in results if isinstance(each, ApiProblem)]
    assert refused.code == "request_in_flight"
    assert IdempotencyRecord.objects.count() == 1


def test_without_the_hold_two_acts_begin_and_the_database_stops_one(
    committed_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "_hold", lambda client, key: None)
    began, results = two_at_once()
    assert began == 2
    assert [type(each) for each in results].count(IntegrityError) == 1
    assert IdempotencyRecord.objects.count() == 1
