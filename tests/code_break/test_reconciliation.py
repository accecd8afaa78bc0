"""One page for all code breaks, beside the database's counters; each is assessed once."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import reverse

from enrolment.models import Subject
from iwrs.accounts.models import Role, User
from iwrs.actors import Actor
from iwrs.problems import Invalid, Problem
from randomization import reconciliation
from randomization.models import CodeBreakAssessment, CodeBreakRequest
from randomization.services import reveal_code
from tests import factories as make
from tests.code_break.test_break import request
from tests.queries import queries_of
from tests.roles import Logins

GIVEN = {"necessary": True, "impact": "The subject goes on.", "action": "Nothing."}
MANAGER = Actor("Manager <m@example.org>", kind="person", role=Role.STUDY_MANAGER)


@pytest.fixture
def subject(committed_site: SimpleNamespace) -> Subject:
    return make.a_randomized_subject(committed_site.here)


def shown(subject: Subject) -> CodeBreakRequest:
    made = request(subject)
    reveal_code(made, by=make.INVESTIGATOR)
    made.refresh_from_db()
    return made


@pytest.mark.requirement("REQ-045")
def test_each_unblinding_is_assessed_once_by_another_person(subject: Subject) -> None:
    made = shown(subject)
    with pytest.raises(Problem) as refused:
        reconciliation.assess(made, by=make.INVESTIGATOR, **GIVEN)
    assert refused.value.code == "same_person"
    done = reconciliation.assess(made, by=MANAGER, **GIVEN)
    assert (done.assessed_by, done.necessary) == (MANAGER.label, True)
    with pytest.raises(Problem) as refused:
        reconciliation.assess(made, by=MANAGER, **GIVEN)
    assert refused.value.code == "code_break_assessed"


@pytest.mark.requirement("REQ-045")
def test_what_was_not_shown_or_not_said_is_not_assessed(subject: Subject) -> None:
    with pytest.raises(Problem) as refused:
        reconciliation.assess(request(subject), by=MANAGER, **GIVEN)
    assert refused.value.code == "code_not_shown"
    with pytest.raises(Invalid) as wrong:
        reconciliation.assess(shown(subject), by=MANAGER, necessary=True, impact=" ", action="")
    assert set(wrong.value.errors) == {"impact", "action"}
    assert not CodeBreakAssessment.objects.exists()


@pytest.mark.requirement("REQ-045", "REQ-047")
def test_a_removed_record_shows_as_a_difference(
    committed_site: SimpleNamespace, subject: Subject, logins: Logins
) -> None:
    study = committed_site.study
    shown(subject)
    request(subject)
    asked, answered = reconciliation.counted(study)
    assert (asked.rows, asked.counter, asked.differs) == (2, 2, False)
    assert (answered.rows, answered.counter, answered.differs) == (1, 1, False)
    logins.owner().execute("DELETE FROM randomization_codebreakrequest")
    assert [each.differs for each in reconciliation.counted(study)] == [True, True]
    assert not any(each.differs for each in reconciliation.counted(make.a_study()))


@pytest.mark.requirement("REQ-045")
def test_the_page_lists_everything_open_ones_first(
    committed_site: SimpleNamespace, subject: Subject, signed_in: Callable[[User], Client]
) -> None:
    site = committed_site
    made = shown(subject)
    request(subject)
    request(subject)
    with pytest.raises(Problem):
        request(subject)
    address = reverse("code-breaks", args=[site.study.code])
    browser = signed_in(site.study_manager)
    page = browser.get(address).content.decode()
    assess = reverse("assess-code-break", args=[site.study.code, made.pk])
    assert page.index(assess) < page.index("All requests")
    assert page.count('<span class="state done">Equal</span>') == 2
    assert "Refusals (1)" in page
    assert "No more code breaks are allowed" in page
    assert "Drills (2)" in page
    answers = {"necessary": "no", "impact": "Local reads go on.", "action": "Training."}
    wrong = browser.post(assess, answers | {"action": ""})
    assert wrong.status_code == 422
    assert "Local reads go on." in wrong.content.decode()
    assert browser.post(assess, answers).url == address
    page = browser.get(address).content.decode()
    assert assess not in page
    assert "Not necessary." in page
    assert browser.post(assess, answers).status_code == 409
    arms = [arm.label for arm in site.study.definition.arms]
    assert not any(arm in page for arm in arms)


@pytest.mark.requirement("REQ-045")
def test_who_sees_and_who_assesses(
    committed_site: SimpleNamespace, subject: Subject, signed_in: Callable[[User], Client]
) -> None:
    site = committed_site
    made = shown(subject)
    address = reverse("code-breaks", args=[site.study.code])
    assess = reverse("assess-code-break", args=[site.study.code, made.pk])
    for role, sees, assesses in [
        (Role.STUDY_MANAGER, 200, 200),
        (Role.SAFETY_PHYSICIAN, 200, 200),
        (Role.ADMINISTRATOR, 403, 403),
        (Role.AUDITOR, 200, 403),
        (Role.INVESTIGATOR, 404, 404),
        (Role.MONITOR, 404, 404),
    ]:
        browser = signed_in(getattr(site, role))
        assert browser.get(address).status_code == sees, role
        assert browser.get(assess).status_code == assesses, role
        assert browser.post(address).status_code == (405 if sees == 200 else sees)
    elsewhere = make.a_user(Role.STUDY_MANAGER, study=make.a_study(with_list=False))
    assert signed_in(elsewhere).get(address).status_code == 404
    assert signed_in(elsewhere).get(assess).status_code == 404


def test_the_number_of_queries_does_not_grow(
    committed_site: SimpleNamespace, subject: Subject, signed_in: Callable[[User], Client]
) -> None:
    address = reverse("code-breaks", args=[committed_site.study.code])
    browser = signed_in(committed_site.study_manager)

    def queries() -> int:
        return len(queries_of(browser, address))

    shown(subject)
    few = queries()
    other = make.a_randomized_subject(committed_site.there)
    shown(other)
    make.a_centre(committed_site.study, cover=0)
    assert queries() == few
