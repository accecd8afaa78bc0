"""The part of the tape in which something around a randomization goes wrong.

A randomization on paper is entered late, another after its number was accepted, two are marked, one
that came over the API is confirmed by signature, a country is paused, a person who failed is
screened again: whatever the arms are, blinded people and systems get the same answers.
"""

from collections.abc import Callable
from typing import Any

from django.test import Client
from django.urls import reverse

from dsmb.unblinded.paper_places import next_kits, next_places
from dsmb.unblinded.told import accept_paper
from enrolment.models import Centre, Subject
from iwrs import clock
from iwrs.accounts.models import Role, User
from iwrs.actors import CLIENT
from iwrs.models import OutboxMessage, Study
from iwrs.signatures import Signature
from randomization.unblinded.models import RandomizationList
from tests import factories as make
from tests.api.client import Edc, screening_body
from tests.roles import as_unblinded
from tests.signing import sign_page

Keep = Callable[[str, Any], Any]
PAPER_KIT = "1000004"  # of no kit here; its check digit is right


def play_rules(study: Study, person: Callable[[Role], User], edc: Edc, keep: Keep) -> None:
    """Each act with its answer, and the pages on which it shows afterwards."""
    _guess_a_secret(edc, keep)
    _enter_late(study, edc, keep)
    _enter_what_was_accepted(study, edc, keep)
    _mark_wrong_ones(person(Role.INVESTIGATOR), edc, keep)
    _confirm_what_was_reported(person(Role.INVESTIGATOR), edc, keep)
    _pause_a_country(study, person(Role.STUDY_MANAGER), keep)
    _screen_again(person(Role.INVESTIGATOR), keep)


def _guess_a_secret(edc: Edc, keep: Keep) -> None:
    """Five wrong secrets of the EDC system: rows at the door, and a letter to the managers."""
    guess = {"grant_type": "client_credentials", "client_secret": "a guess"}
    guess["client_id"] = edc.registered.client_id
    for number in range(5):
        answer = keep(f"secret guessed {number}", edc.http.post("/api/oauth/token", guess))
        assert answer.status_code == 401, answer.content.decode()
    assert OutboxMessage.objects.filter(topic="edc-client-refused").count() == 1


def _enter_late(study: Study, edc: Edc, keep: Keep) -> None:
    centre = Centre.objects.filter(study=study).order_by("-number")[0]
    screened = keep("screened late", edc.post("subjects", screening_body(centre), key="late"))
    number = screened.json()["number"]
    body = {
        "occurred_at": clock.now().isoformat(),
        "late_reason": "The line was down",
        "paper_kit": PAPER_KIT,
    }
    wrong = keep(
        "entered out of order",
        edc.post(
            f"subjects/{number}/randomization", body | {"paper_number": "ZZZZ-ZZZZ"}, key="order"
        ),
    )
    assert wrong.json()["code"] == "paper_unknown"
    body["paper_number"] = _told_by_the_desk(study, number)
    entered = keep(
        "entered late", edc.post(f"subjects/{number}/randomization", body, key="entered-late")
    )
    assert entered.status_code == 201, entered.content.decode()
    keep("late again", edc.post(f"subjects/{number}/randomization", body, key="once-more"))


def _enter_what_was_accepted(study: Study, edc: Edc, keep: Keep) -> None:
    """A number that is far from the next one: refused, accepted on the unblinded side, entered."""
    centre = Centre.objects.filter(study=study).order_by("-number")[0]
    number = edc.post("subjects", screening_body(centre), key="accepted").json()["number"]
    subject = Subject.objects.get(study=study, number=number)
    signature = Signature("Statistician", clock.now(), "I accept it", shown="")
    with as_unblinded():
        active = RandomizationList.objects.get(study=study, status="active")
        # One of the pack's: the last may be newer, with a code of its own in each of two plays.
        place = next_places(active)[subject.stratum_key][-2]
        line = next_kits(study, clock.today())[subject.centre_id][1]
    body = {
        "occurred_at": clock.now().isoformat(),
        "late_reason": "The line was down",
        "paper_number": f"{place.code}-{line.code}",
    }
    address = f"subjects/{number}/randomization"
    refused = keep("far from the next", edc.post(address, body, key="far"))
    assert refused.json()["code"] == "paper_not_next"
    with as_unblinded():
        accept_paper(
            subject,
            body["paper_number"],
            line.kits[place.arm],
            by=make.STATISTICIANS[0],
            why="The log shows it",
            signature=signature,
        )
    entered = keep("entered as accepted", edc.post(address, body, key="as-accepted"))
    assert entered.status_code == 201, entered.content.decode()
    assert entered.json()["kit"]["number"] == line.kits[place.arm].replace(" ", "")


def _told_by_the_desk(study: Study, number: str) -> str:
    """The codes of the next place for a subject, as the desk reads them in the pack."""
    subject = Subject.objects.select_related("centre").get(study=study, number=number)
    with as_unblinded():
        active = RandomizationList.objects.get(study=study, status="active")
        place = next_places(active)[subject.stratum_key][0].code
        cover = next_kits(study, clock.today())[subject.centre_id][0].code
    return f"{place}-{cover}"


def _mark_wrong_ones(investigator: User, edc: Edc, keep: Keep) -> None:
    browser = _signed_in(investigator)
    own = Subject.objects.filter(centre__roles__user=investigator, status="randomized")
    first, second = own.order_by("pk")[:2]
    other = {"yes": "no", "no": "yes"}[first.strata["visceral"]]
    levels = {"strata.visceral": other, "strata.sensitive": first.strata["sensitive"]}
    for name, subject, typed in (
        ("mark-in-error", first, {"reason": "Consent was withdrawn before"}),
        ("mark-in-error", second, {"reason": "Had brain metastases"}),
        ("verify-stratum", first, levels),
    ):
        address = reverse(name, args=[subject.pk])
        typed = {"reason": "Read from the wrong report"} | typed
        answer = keep(f"{name} {subject.number}", sign_page(browser, investigator, address, typed))
        assert answer.status_code == 302, answer.content.decode()
        keep(f"{name} {subject.number} shown", browser.get(reverse("subject", args=[subject.pk])))
    marks = edc.get(f"subjects/{first.number}/randomization/marks")
    assert keep("marks", marks).status_code == 200


def _confirm_what_was_reported(investigator: User, edc: Edc, keep: Keep) -> None:
    """The investigator reads what waits, and signs a randomization and a dose reduction."""
    browser = _signed_in(investigator)
    own = Subject.objects.filter(centre__roles__user=investigator, status="randomized")
    subject = own.filter(randomization__by__startswith=CLIENT).order_by("pk")[0]
    today = clock.today(subject.centre.time_zone).isoformat()
    body = {"level": "5mg", "on": today, "reason": "Stomatitis"}
    reduced = edc.post(f"subjects/{subject.number}/dose-reductions", body, key="reduced")
    assert keep("dose reduced", reduced).status_code == 201
    keep("waits to be confirmed", browser.get(reverse("home")))
    keep("not confirmed yet", browser.get(reverse("subject", args=[subject.pk])))
    for name, more in (("confirm-randomization", []), ("confirm-reduction", ["5mg"])):
        address = reverse(name, args=[subject.pk, *more])
        keep(f"{name} shown", browser.get(address))
        answer = keep(name, sign_page(browser, investigator, address))
        assert answer.status_code == 302, answer.content.decode()
    keep("confirmed", browser.get(reverse("subject", args=[subject.pk])))
    keep("nothing waits of it", browser.get(reverse("home")))


def _pause_a_country(study: Study, manager: User, keep: Keep) -> None:
    browser = _signed_in(manager)
    country = Centre.objects.filter(study=study).order_by("-number")[0].country_code
    for status in ("paused", "open"):
        typed = {"country": country, "status": status, "why": "Asked by the authority"}
        answer = keep(status, browser.post(reverse("country-accrual", args=[study.code]), typed))
        assert answer.status_code == 302, answer.content.decode()
        keep(f"accrual {status}", browser.get(reverse("accrual", args=[study.code])))


def _screen_again(investigator: User, keep: Keep) -> None:
    """The study allows no second screening: the refusal is an answer too."""
    browser = _signed_in(investigator)
    subject = make.a_subject(investigator.centre_roles.get().centre)
    typed = {"reason": "Too ill"}
    failed = browser.post(reverse("screen-failure", args=[subject.pk]), typed)
    assert keep("screen failure", failed).status_code == 302
    keep("screened again", browser.get(reverse("rescreen", args=[subject.pk])))


def read_open_report(study: Study, manager: User, keep: Keep) -> None:
    """The open report of the data cut: on its page, as CSV and as PDF."""
    browser = _signed_in(manager)
    for name in ("open-report", "open-report-csv", "open-report-pdf"):
        address = reverse(name, args=[study.code, study.data_cuts.get().pk])
        assert keep(name, browser.get(address)).status_code == 200


def _signed_in(person: User) -> Client:
    browser = Client()
    browser.force_login(person, backend="iwrs.accounts.backend.PasswordBackend")
    return browser
