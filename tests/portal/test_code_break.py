"""The code break page: signed, read back, shown once, to nobody else and in no log."""

import logging

import pytest
from django.urls import reverse

from iwrs.accounts.models import Role
from iwrs.permissions import Act, may
from randomization.models import CodeBreakRequest
from tests.factories import a_randomized_subject, a_user, arm_of
from tests.signing import sign_page


def typed(subject, **changes):
    return {
        "reason": "emergency",
        "explanation": "Severe reaction, treatment depends on it",
        "read_back": subject.number,
    } | changes


@pytest.mark.requirement("REQ-048")
def test_treatment_is_shown_once_and_to_its_requester_only(committed_site, signed_in, caplog):
    site = committed_site
    caplog.set_level(logging.DEBUG)
    subject = a_randomized_subject(site.here)
    arm = arm_of(subject)
    label = next(a.label for a in site.study.definition.arms if a.code == arm)
    investigator = signed_in(site.investigator)
    ask = reverse("ask-code-break", args=[subject.pk])
    answer = sign_page(investigator, site.investigator, ask, typed(subject))
    asked = CodeBreakRequest.objects.get()
    show = reverse("code-break", args=[asked.pk])
    assert answer.url == show
    back = investigator.get(show).content.decode()
    assert subject.number in back
    assert "Severe reaction" in back
    assert label not in back
    other = signed_in(a_user(Role.INVESTIGATOR, centre=site.here))
    assert other.get(show).status_code == other.post(show).status_code == 404
    treatment = investigator.post(show)
    assert treatment.status_code == 200
    assert f'<p class="answer">{label}</p>' in treatment.content.decode()
    assert "no-store" in treatment.headers["Cache-Control"]
    again = investigator.post(show)
    assert again.status_code == 409
    assert label not in again.content.decode()
    assert b"A code break is shown once." in again.content
    assert investigator.get(show).url == reverse("subject", args=[subject.pk])
    logged = "\n".join(str(each.__dict__) for each in caplog.records)
    assert label not in logged
    assert f"'{arm}'" not in logged
    page = investigator.get(reverse("subject", args=[subject.pk])).content.decode()
    assert f"Code break by {site.investigator.name}" in page
    hidden = signed_in(site.site_coordinator).get(reverse("subject", args=[subject.pk]))
    assert b"Code break" not in hidden.content


@pytest.mark.requirement("REQ-039")
@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({"password": "guess"}, 422, "This is not your e-mail address and your password."),
        ({"read_back": "0000-000"}, 422, "This is not the number of this subject."),
        ({"explanation": " "}, 422, "Write a few words here."),
        ({"reason": ""}, 422, "Choose one of the answers."),
    ],
)
def test_nothing_is_requested_with_a_wrong_answer(site, signed_in, changes, status, text):
    subject = a_randomized_subject(site.here)
    address = reverse("ask-code-break", args=[subject.pk])
    browser = signed_in(site.investigator)
    answer = sign_page(browser, site.investigator, address, typed(subject), **changes)
    assert answer.status_code == status
    assert text in answer.content.decode()
    assert not CodeBreakRequest.objects.exists()


@pytest.mark.requirement("REQ-048")
def test_who_may_break_a_code(site, signed_in):
    subject = a_randomized_subject(site.here)
    address = reverse("ask-code-break", args=[subject.pk])
    for role in Role:
        if hasattr(site, role):
            allowed = role in {Role.INVESTIGATOR, Role.SAFETY_PHYSICIAN}
            answer = signed_in(getattr(site, role)).get(address)
            seen = may(role, Act.SEE_SUBJECTS)
            assert answer.status_code == (200 if allowed else 403 if seen else 404), role
