"""The audit trail of the unblinded side: the same page over its own history."""

import re
from datetime import date
from html import unescape
from urllib.parse import quote

import pytest
from django.db import connection

from enrolment.models import CentreRole
from iwrs.accounts.events import Caller, record
from iwrs.accounts.models import Role, SignInEvent, StudyRole, User
from iwrs.audit_trail.models import Access
from iwrs.problems import Invalid, Problem
from iwrs.signatures.services import sign
from randomization.unblinded.models import RandomizationList
from tests.factories import a_centre, a_study, a_user
from tests.roles import as_unblinded
from tests.unblinded_site.conftest import PASSWORD, Browser


def trail(browser, study, **asked) -> str:
    query = "&".join(f"{key}={value}" for key, value in asked.items())
    answer = browser.get(f"/studies/{study.code}/audit/?{query}")
    assert answer.status_code == 200, answer.content.decode()
    return unescape(answer.content.decode())


@pytest.mark.requirement("REQ-030")
def test_the_list_is_in_the_trail_of_the_unblinded_side(study, statistician, supplier) -> None:
    made = statistician.post(f"/studies/{study.code}/list/generate/")
    assert made.status_code == 302
    for browser in (statistician, supplier):
        text = trail(browser, study)
        assert re.search(r"recorded list 1\b", text)
        assert "enrolment.subject" not in text
    with as_unblinded():
        looks = list(Access.objects.values_list("page", flat=True))
        assert looks == ["the audit trail"] * 2
        [seed] = RandomizationList.objects.values_list("seed", flat=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM public.audit_access")
        assert cursor.fetchone() == (0,)
    seed = bytes(seed).hex()
    assert seed not in trail(statistician, study)
    for text in (seed, seed[:8], "\\x" + seed[:8]):
        asked = {"text": text, "what": "randomization.randomizationlist"}
        assert "No line fits." in trail(statistician, study, **asked)
    copied = statistician.get(
        f"/studies/{study.code}/audit/csv/?what=randomization.randomizationlist"
    )
    with as_unblinded():
        rows = b"".join(copied.streaming_content).decode()
    assert "list 1" in rows
    assert seed not in rows


@pytest.mark.requirement("REQ-013")
def test_another_study_is_not_found(study, statistician) -> None:
    from tests.factories import a_study

    other = a_study(with_list=False)
    assert statistician.get(f"/studies/{other.code}/audit/").status_code == 404
    assert statistician.get("/studies/none/audit/").status_code == 404


@pytest.mark.requirement("REQ-029")
def test_looks_and_sign_ins_of_unblinded_staff_are_in_their_trail(
    study, person, statistician
) -> None:
    statistician.post(f"/studies/{study.code}/list/generate/")
    with as_unblinded():
        made = RandomizationList.objects.get()
        user = person(Role.SUPPLY_MANAGER)
    Browser().post("/sign-in/", email=user.email, password=PASSWORD)
    assert statistician.get(f"/studies/{study.code}/list/{made.pk}/approve/").status_code == 200
    assert "looked at a randomization list" in trail(statistician, study, what="audit.access")
    assert f"{user.name} was at the door (Signed in, password" in trail(
        statistician, study, act="signed in"
    )


@pytest.mark.requirement("REQ-016", "REQ-017")
def test_the_home_page_shows_who_was_locked(study, person, statistician, supplier) -> None:
    user = person(Role.SUPPLY_MANAGER)
    with as_unblinded():
        for _ in range(3):
            with pytest.raises((Invalid, Problem)):
                sign(user, email=user.email, password="wrong", meaning="I approve", study=study)
    for _ in range(2):
        Browser().post("/sign-in/", email=user.email, password="wrong")
    for browser in (statistician, supplier):
        page = browser.get("/").content.decode()
        assert "Signing was locked for 30 minutes after 3 wrong tries" in page
        assert "The account was locked for 15 minutes" in page
        assert user.name in page
        assert "No letter" not in page, "one went to all unblinded staff"
    elsewhere = a_study(with_list=False)
    with as_unblinded():
        other = a_user(Role.SUPPLY_MANAGER, study=elsewhere)
    assert user.name not in Browser(other).get("/").content.decode()


@pytest.mark.requirement("REQ-029")
def test_the_history_of_one_account_is_that_of_this_sides_account(
    study, person, statistician, supplier, auditor
) -> None:
    user, other, centre = person(Role.SUPPLY_MANAGER), a_study(with_list=False), a_centre(study)
    with as_unblinded():
        StudyRole.objects.filter(user=user).update(until=date(2099, 3, 1))
        record(SignInEvent.What.LOCKED, user, by=Caller("192.0.2.7"), method="password")
        elsewhere = a_user(Role.SUPPLY_MANAGER, study=other)
    for each, email in ((user, "twin1@example.org"), (elsewhere, "twin2@example.org")):
        twin = User.objects.create(pk=each.pk, email=email, name="Blinded twin")
        of_twin = {"user": twin, "role": Role.MONITOR, "since": date(2000, 1, 1)}
        StudyRole.objects.create(study_code=study.code, **of_twin)
        CentreRole.objects.create(centre=centre, **of_twin)
    named = f'<a href="/studies/{study.code}/audit/?account={quote(user.email)}">{user.name}</a>'
    for browser in (statistician, supplier, auditor):
        assert named in browser.get(f"/studies/{study.code}/access/").content.decode()
        text = trail(browser, study, account=user.email)
        told = re.findall(r'<p class="told">(.*?)</p>', text)
        assert len(told) == 4, told
        assert f"{user.name} was at the door (Locked, password, from 192.0.2.7)." == told[0]
        assert "from nothing to 1 March 2099" in told[1]
        assert "recorded role in the study ‘Supply manager’" in told[2]
        assert f"recorded account ‘{user.name}’" in told[3]
        for nobody in ("Blinded twin", twin.email, elsewhere.email, elsewhere.name):
            assert "No line fits." in trail(browser, study, account=nobody)
    copied = auditor.get(f"/studies/{study.code}/audit/csv/?account={user.email}")
    with as_unblinded():
        rows = b"".join(copied.streaming_content).decode()
    assert "locked" in rows
    assert "twin" not in rows
    assert "looked at" not in rows
