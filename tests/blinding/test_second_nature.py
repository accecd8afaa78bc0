"""Non-interference over a replay: a nature whose courses ignore the arm, played under two lists.

Whole lives of subjects go through the same services as in the demonstration. What blinded people
get (rows, pages, letters) must be the same in both plays.
"""

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from assessments.models import TumourRead
from dispensing.unblinded.supply import run_supply
from enrolment.models import Centre, Subject
from iwrs import outbox
from iwrs.accounts.models import Role, User
from iwrs.models import Study
from tests import factories as make
from tests.blinding import coupled
from tests.blinding.twins import allocated, places_of, public_rows
from tests.dispensing.depots import fill_depot
from tests.roles import as_unblinded
from trial.replay.player import Player, add_centres
from trial.replay.source import simulated_trial

CENTRES, SUBJECTS = 4, 20
# A new token in each form, and nothing else, may differ between two readings of one page.
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="[^"]+"|name="token" value="[^"]+"')


def nature(study: Study):
    return simulated_trial(
        study.definition,
        list_seed=b"",
        nature_seed=7,
        subjects=SUBJECTS,
        centres=CENTRES,
        arm_matters=False,
    )


@pytest.fixture
def study(committed_db) -> Study:
    with make.clock.at(make.at(2009, 5, 4)):
        study = make.a_study(length=60)
        fill_depot(study, kits=900, expiries=[date(2011, 12, 31)])
        add_centres(nature(study), study)
        for centre in Centre.objects.filter(study=study):
            make.a_user(Role.SITE_COORDINATOR, centre=centre)
    make.a_user(Role.ADMINISTRATOR, study=study)
    return study


@pytest.fixture
def pair(study: Study) -> Iterator[tuple[str, str]]:
    with coupled.copies() as names:
        yield names


def play(study: Study, database: str) -> dict[str, Any]:
    """Replay the whole nature; then what blinded people see and were sent."""
    mail.outbox.clear()
    study = Study.objects.get(pk=study.pk)

    def supply(moment: Any) -> None:
        with as_unblinded():
            run_supply(study, moment, by=make.TESTER)
        outbox.deliver_due(limit=500)

    Player(nature(study), study, supply).play()
    letters = sorted((m.subject, m.body, tuple(m.recipients())) for m in mail.outbox)
    # The rows before anybody signs in: sessions and the time of a sign-in are new each time.
    return {"letters": letters, "rows": public_rows(database), "pages": pages(study)}


def pages(study: Study) -> dict[str, str]:
    """Every page of every subject and the lists, as the people of the study read them."""
    read: dict[str, str] = {}
    for user in User.objects.order_by("pk"):
        client = Client(headers={"host": "localhost"})
        client.force_login(user, backend="iwrs.accounts.backend.PasswordBackend")
        for path in _paths(study):
            answer = client.get(path)
            body = TOKEN.sub("", answer.content.decode())
            read[f"{user.email} {path}"] = f"{answer.status_code} {body}"
    return read


def _paths(study: Study) -> list[str]:
    subjects = Subject.objects.filter(study=study).order_by("pk").values_list("pk", flat=True)
    whole = [f"/studies/{study.code}/{page}/" for page in ("accrual", "analysis")]
    return ["/", "/subjects/", *whole, *(f"/subjects/{pk}/" for pk in subjects)]


@pytest.mark.requirement("REQ-043")
@pytest.mark.slow
def test_whole_lives_look_the_same_under_two_lists(study, pair):
    first, second = pair
    entries, contents = coupled.arms(second)
    coupled.rewrite_arms(first, entries, contents)
    with coupled.django_on(first):
        seen = play(study, first)
        reads = TumourRead.objects.count()
    under_first = allocated(first)
    turned = set(sorted(under_first)[::2])
    coupled.rewrite_arms(
        second,
        coupled.swapped(entries, {under_first[subject][0] for subject in turned}),
        coupled.swapped(contents, places_of(first, turned)),
    )
    with coupled.django_on(second):
        seen_again = play(study, second)
    under_second = allocated(second)

    assert len(under_first) == SUBJECTS
    assert {s for s in under_first if under_first[s] != under_second[s]} == turned
    assert reads > 2 * SUBJECTS
    assert len(seen["letters"]) > SUBJECTS
    assert sum(page.startswith("200") for page in seen["pages"].values()) > SUBJECTS
    assert coupled.differences(seen, seen_again) == {}
