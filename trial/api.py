"""Randomization for EDC systems: one act over all rooms, answered once."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.views.decorators.http import require_safe
from rest_framework.request import Request
from rest_framework.response import Response

from assessments.examples import PLANNED_VISIT
from dispensing.examples import KIT
from enrolment.api import subject_of
from iwrs.api.catalogue import CATALOGUE
from iwrs.api.idempotency import Answer
from iwrs.api.problems import ApiProblem
from iwrs.api.schema import read_operation, write_operation
from iwrs.api.views import StudyView
from trial.api_serializers import RandomizationIn, RandomizationOut, late_of
from trial.services import Randomized, first_answer, randomize

EXAMPLE: dict[str, Any] = {
    "subject": "0101-003",
    "randomization_number": "57820316",
    "randomized_at": "2010-03-02T09:31:07Z",
    "paper_number": "",
    "stratum": {"visceral": "yes", "sensitive": "yes"},
    "kit": KIT,
    "visits": [PLANNED_VISIT],
}


class Randomizations(StudyView):
    """The randomization of one subject."""

    scopes = {"GET": "subjects:read", "POST": "subjects:randomize"}

    @read_operation(
        "randomization_read",
        "Read a randomization",
        "The answer that was given when the subject was randomized: the same each time. Ask this "
        "first when you do not know what became of an earlier request. 404 `not_randomized` when "
        "the subject is not randomized.",
        answer=RandomizationOut,
        example=EXAMPLE,
        problems=["not_found"],
    )
    def get(self, request: Request, number: str) -> Response:
        subject = subject_of(self.study, number)
        if subject.randomized_at is None:
            title = f"Subject {subject.number} is not randomized."
            raise ApiProblem("not_randomized", title, status=404)
        return Response(_body(first_answer(subject)))

    @write_operation(
        "randomization_create",
        "Randomize a subject",
        "Gives the subject the next place of the stratum's list, a kit of the centre, and the "
        "first visits: all of it or nothing. The answer names the kit to hand over and never "
        "says a treatment.\n\n"
        "Send a new `Idempotency-Key` and keep it: the same key gives the same answer again. "
        "Another key for a subject who is randomized already is refused with "
        "`already_randomized`, and the first answer is under `randomization`.\n\n"
        "The body is empty, but for a randomization that was made on paper while the system was "
        "down: `occurred_at` says when, at most seven days ago (ninety with a paper number), and "
        "`late_reason` why it is entered late. It takes the next place of the list like every "
        "other; with a `paper_number` only if that is the place which the paper gave. In a study "
        "that has randomization packs, `paper_number` is `none` when no number was told.",
        request=RandomizationIn,
        request_example={},
        answer=RandomizationOut,
        example=EXAMPLE,
        problems=[
            *("not_found", "already_randomized", "not_eligible", "screen_failed"),
            *("accrual_not_open", "accrual_full", "cap_reached", "centre_not_active"),
            "country_not_open",
            *("no_list", "not_ready_to_randomize", "paper_not_next"),
            *("no_place", "no_kit", "gate_alarm", "gate_failed"),
        ],
        key_required=True,
        members={"already_randomized": {"randomization": EXAMPLE}},
    )
    def post(self, request: Request, number: str) -> Response:
        return self.once(lambda: self._randomize(number), key_required=True)

    def _randomize(self, number: str) -> Answer:
        subject = subject_of(self.study, number, alone=True)
        randomized = randomize(subject, by=self.actor, late=late_of(self.body(RandomizationIn)))
        if not randomized.first_time:
            raise ApiProblem(
                "already_randomized",
                f"Subject {subject.number} is already randomized.",
                members={"randomization": _body(randomized)},
            )
        return Answer(201, _body(randomized))


def _body(randomized: Randomized) -> dict[str, Any]:
    return dict(RandomizationOut(randomized).data)


@require_safe
def problem_page(request: HttpRequest, code: str = "") -> HttpResponse:
    """The page behind a problem's `type`: what the code means and what to do."""
    if code and code not in CATALOGUE:
        raise Http404
    chosen = {code: CATALOGUE[code]} if code else CATALOGUE
    rows = (
        (code, code, meaning.status, meaning.title, meaning.action)
        for code, meaning in sorted(chosen.items())
    )
    entries = format_html_join(
        "\n", '<h2 id="{}">{}</h2><p>Status {}. {}</p><p>What to do: {}</p>', rows
    )
    page = format_html(
        '<!DOCTYPE html><html lang="en"><meta charset="utf-8">'
        "<title>Problems of the API</title><main><h1>Problems of the API</h1>{}</main></html>",
        entries,
    )
    return HttpResponse(page)
