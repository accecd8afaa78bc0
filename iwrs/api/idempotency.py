"""One answer for one `Idempotency-Key`, however often the request is sent.

After the IETF draft `draft-ietf-httpapi-idempotency-key-header`. The answer is stored in the
transaction of the act itself: either both are there or none is. A refusal is not stored, because
nothing happened; the same key may be tried again.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connection
from rest_framework.request import Request
from rest_framework.response import Response

from iwrs.acts import frame
from iwrs.api.problems import ApiProblem
from iwrs.models import IdempotencyRecord

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True)
class Answer:
    """What an act answers: HTTP status and JSON body."""

    status: int
    body: dict[str, Any]


def answer_once(
    request: Request, client: str, serve: Callable[[], Answer], *, key_required: bool = False
) -> Response:
    """Serve the request, or give the stored answer of the first request with the same key.

    `serve` does one act and returns its answer; it runs inside the act's transaction. Raises
    `ApiProblem` when the key is missing though required, malformed, in flight, or was used for
    another request.
    """
    key = _key_of(request, required=key_required)
    with frame():
        if key is None:
            answer = serve()
            return Response(answer.body, answer.status)
        _hold(client, key)
        fingerprint = _fingerprint(request)
        stored = (
            IdempotencyRecord.objects.filter(client=client, key=key)
            .values_list("request_sha256", "status", "body", named=True)
            .first()
        )
        if stored is not None:
            return _replay(stored, fingerprint)
        answer = serve()
        IdempotencyRecord.objects.create(
            client=client,
            key=key,
            request_sha256=fingerprint,
            status=answer.status,
            body=answer.body,
        )
    return Response(answer.body, answer.status)


def _key_of(request: Request, *, required: bool) -> str | None:
    key = request.headers.get(HEADER, "").strip()
    if not key:
        if required:
            raise ApiProblem("idempotency_key_missing")
        return None
    # The draft writes the key as a quoted string; most clients send it bare. Both are one key.
    if len(key) > 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not _KEY.fullmatch(key):
        raise ApiProblem("idempotency_key_malformed")
    return key


def _hold(client: str, key: str) -> None:
    """Hold the key until the transaction ends. PostgreSQL forgets it with the transaction, so a
    process that dies leaves nothing behind."""
    digest = hashlib.sha256(f"idempotency|{client}|{key}".encode()).digest()
    number = int.from_bytes(digest[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [number])
        if not cursor.fetchone()[0]:
            raise ApiProblem("request_in_flight")


def _fingerprint(request: Request) -> str:
    """Method, path and body; the order of names and the spaces in the JSON do not matter."""
    body = json.dumps(request.data, sort_keys=True, separators=(",", ":"))
    text = f"{request.method} {request.path}\n{body}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _replay(stored: Any, fingerprint: str) -> Response:
    if stored.request_sha256 != fingerprint:
        raise ApiProblem("idempotency_key_reused")
    return Response(stored.body, stored.status, headers={REPLAYED: "true"})
