"""Every address of both sites, and every operation of the API, tried by everybody."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import clear_url_caches, reverse

from dsmb.models import DataCut, Extract
from enrolment.models import Subject
from iwrs import clock
from iwrs.accounts.models import Role
from iwrs.actors import Actor
from iwrs.permissions import Act
from iwrs.signatures import Signature
from randomization.drills import start_drill
from randomization.reasons import REASONS
from randomization.services import request_code_break
from randomization.unblinded.extension import extend_list
from randomization.unblinded.models import RandomizationList, StratumCursor
from tests.api.client import ALL_SCOPES, Edc, register, token_for
from tests.authority import visitors
from tests.authority.visitors import FAILED, NO_METHOD, SIGN_IN, Visitor
from tests.factories import (
    STATISTICIANS,
    a_centre,
    a_holder,
    a_simulation,
    a_split,
    a_study,
    a_subject,
)
from tests.hostile.walk import undone
from tests.portal.test_scope import MORE, objects_of
from tests.roles import as_unblinded
from trial.doors import DOORS, OPERATIONS, Answer, Door, Of, addresses, on_centre

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-012")]
Values = dict[str, Any]


def address_of(key: str, parameters: Iterable[str], values: Values) -> str:
    """An address at objects that exist. A page's own value of `pk` goes before the common one."""
    known = values | MORE.get(key, {})
    if key in values:
        known = known | {"pk": values[key]}
    missing = set(parameters) - known.keys()
    assert not missing, f"{key}: give {missing} a value in MORE of tests/portal/test_scope.py"
    return reverse(key, kwargs={name: known[name] for name in parameters})


def mismatches(
    side: str,
    doors: dict[str, Door],
    people: list[Visitor],
    values: Values,
    as_role: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> tuple[list[str], int]:
    """What differs from the tables, in words, and how many requests were sent."""
    wrong, tried, through = [], 0, Client(raise_request_exception=False)
    for each in addresses(side):
        if each.methods or each.key == "api/":
            continue
        door = doors[each.key]
        address = address_of(each.key, each.parameters, values)
        for visitor in people:
            with as_role(), undone():
                got = [visitor.send(through, method, address) for method in ("GET", "POST")]
            tried += 2
            if not _as_promised(door, visitor, got, each.key):
                promised = visitor.promised(door)
                wrong.append(f"{address} {visitor.label}: GET, POST {got}, not {promised}")
    return wrong, tried


def _as_promised(door: Door, visitor: Visitor, got: list[str], key: str) -> bool:
    if FAILED in got:
        return False
    promised = visitor.promised(door)
    if door.own and promised == Answer.IN and key not in visitor.owns:
        promised = str(Answer.NOWHERE)
    if door.of is Of.ANYBODY:  # also one's own link that is used up, or signing out
        return True
    if door.of is Of.PERSON and promised == Answer.IN:
        # One's own account may be refused for its state. Nobody is sent back to the door.
        return SIGN_IN not in got
    # A page that only shows takes no POST, whoever sends it; one of the two has to answer.
    return set(got) - {NO_METHOD} == {promised}


@pytest.fixture
def portal(db: None) -> SimpleNamespace:
    """The blinded site: a study with objects of each kind, and a person of each role."""
    study = a_study()
    here = a_centre(study)
    values: Values = objects_of(here)
    values |= {"pk": values["subject"], "code": study.code, "who": "none", "token": "none"}
    values["provider_id"] = "none"
    cut = DataCut.objects.create(
        study=study, cut_on=clock.today(), reason="Walk", made_by="A", made_at=clock.now()
    )
    values["download-extract"] = Extract.objects.create(
        study=study, cut=cut, recipient="dsmb", reason="Walk", requested_by="A",
        requested_at=clock.now(),
    ).pk  # fmt: skip
    values["release-extract"] = values["download-extract"]
    people = [visitors.with_role(role, study, here, "blinded") for role in Role]
    return SimpleNamespace(study=study, values=values, people=people, here=here)


def strangers(made: SimpleNamespace) -> list[Visitor]:
    """Everybody else who could come."""
    other = a_study(with_list=False)
    there, far = a_centre(made.study, cover=0), a_centre(other, cover=0)
    return [
        *visitors.elsewhere(made.study, there, "blinded", "other centre"),
        *visitors.elsewhere(other, far, "blinded", "other study"),
        *visitors.outsiders(made.study, made.here, "blinded"),
        *visitors.shut_out(made.study, made.here, "blinded"),
    ]


def ask_code_break(made: SimpleNamespace) -> None:
    """A request and a drill of the investigator's own: nobody else's is shown."""
    asker = next(each for each in made.people if each.label == Role.INVESTIGATOR.label)
    signature = Signature(str(asker.user), clock.now(), "Walk")
    asked = request_code_break(
        Subject.objects.get(pk=made.values["subject"]),
        by=Actor.person(asker.user, Role.INVESTIGATOR),
        reason=next(iter(REASONS)),
        explanation="Walk",
        signature=signature,
    )
    drill = start_drill(made.here, by=Actor.person(asker.user, Role.INVESTIGATOR))
    made.values |= {"code-break": asked.pk, "assess-code-break": asked.pk}
    made.values |= {"request-drill": drill.pk, "show-drill": drill.pk}
    asker.owns |= {"code-break", "request-drill", "show-drill"}


def test_every_page_of_the_portal_answers_everybody_as_the_table_says(
    portal: SimpleNamespace,
) -> None:
    ask_code_break(portal)
    people = portal.people + strangers(portal)
    wrong, tried = mismatches("blinded", DOORS["blinded"], people, portal.values)
    assert not wrong, f"{len(wrong)} differ from trial/doors.py:\n" + "\n".join(wrong[:40])
    assert tried > 2 * 40 * len(people)


def test_a_wrong_row_is_found(portal: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk would see a page that lets in one role more, or one role less, than its row."""
    known = [a for a in addresses("blinded") if a.key in {"suspend-centre", "screen"}]
    monkeypatch.setattr("tests.authority.test_permission_walk.addresses", lambda side: known)
    people = portal.people
    assert mismatches("blinded", DOORS["blinded"], people, portal.values)[0] == []
    for act in (Act.SEE_CENTRES, Act.DISPENSE):
        rows = DOORS["blinded"] | {"screen": on_centre(act)}
        wrong, _ = mismatches("blinded", rows, people, portal.values)
        assert wrong
        assert all("/screen/" in each for each in wrong)


def test_every_page_of_the_unblinded_site_answers_everybody_as_the_table_says(
    db: None, settings: SimpleNamespace
) -> None:
    study, other = a_study(keys="forced_allocation = true"), a_study(with_list=False)
    centre = a_centre(study)
    waits = a_subject(centre)
    settings.SIDE, settings.ROOT_URLCONF = "unblinded", "trial.urls_unblinded"
    clear_url_caches()
    with as_unblinded():
        made = RandomizationList.objects.get(study=study)
        values: Values = {
            "provider_id": "none",
            "pk": centre.pk,
            "code": study.code,
            "who": "none",
            "token": "none",
            "approve-list": made.pk,
            "release-allocation": StratumCursor.objects.filter(list=made)[0].pk,
            "end-holder": a_holder(study).pk,
            "number": a_simulation(study).number,
            "force-allocation": waits.pk,
            "accept-paper": waits.pk,
        }
        split = a_split(study)
        values |= {"open-share": split.pk, "end-split-seed": split.pk, "extend-list": made.pk}
        values["close-list"] = made.pk
        extension = extend_list(made, length=40, by=STATISTICIANS[0])
        values |= {"approve-extension": extension.pk, "withdraw-extension": extension.pk}
        people = [visitors.with_role(role, study, centre, "unblinded") for role in Role]
        people += visitors.elsewhere(other, centre, "unblinded", "other study")
        people += visitors.outsiders(study, centre, "unblinded")
        people += visitors.shut_out(study, centre, "unblinded")
    wrong, tried = mismatches("unblinded", DOORS["unblinded"], people, values, as_unblinded)
    clear_url_caches()
    assert not wrong, f"{len(wrong)} differ from trial/doors.py:\n" + "\n".join(wrong[:40])
    assert tried > 2 * 10 * len(people)


def test_every_operation_of_the_api_answers_each_client_by_its_scope(
    portal: SimpleNamespace,
) -> None:
    subject = portal.here.subjects.get(pk=portal.values["subject"])
    stranger = Edc(a_study(with_list=False))
    with_scope = {scope: Edc(portal.study, (scope,)) for scope in ALL_SCOPES}
    narrowed = register(portal.study, ())
    late = register(portal.study)
    headers = {scope: edc.headers("walk") for scope, edc in with_scope.items()}
    no_token = {"Idempotency-Key": "walk"}
    taken_away = no_token | _bearer(token_for(narrowed, ALL_SCOPES, timedelta(minutes=5)))
    expired = no_token | _bearer(token_for(late, ALL_SCOPES, timedelta(minutes=-5)))
    wrong, tried, through = [], 0, Client(raise_request_exception=False)
    nobody = Client()
    for key, needed in OPERATIONS.items():
        method, route = key.split(" ")
        address = "/" + route.replace("<subject:number>", subject.number)
        address = address.replace("<sequence:n>", "1")
        callers: list[tuple[str, Client, dict[str, str], set[int]]] = [
            ("no token", nobody, no_token, {401}),
            ("token that expired", nobody, expired, {401}),
            ("scopes taken away", nobody, taken_away, {403}),
        ]
        callers += [
            (f"scope {scope}", nobody, headers[scope], _let_in() if scope == needed else {403})
            for scope in ALL_SCOPES
        ]
        callers += [(each.label, each.browser, no_token, {401}) for each in portal.people]
        if "<subject" in route:
            callers.append(("client of another study", nobody, stranger.headers("walk"), {404}))
        for label, browser, sent, expected in callers:
            through.cookies = deepcopy(browser.cookies)
            with undone():
                call = through.get if method == "GET" else through.post
                body = {} if method == "GET" else {"data": "{}", "content_type": "application/json"}
                status = call(address, headers=sent, **body).status_code
            tried += 1
            if status not in expected:
                wrong.append(f"{key} {label}: {status}, not {sorted(expected)[:5]}")
    assert not wrong, "\n".join(wrong)
    assert tried > 15 * len(OPERATIONS)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _let_in() -> set[int]:
    return {200, 201, 409, 422, 503}
