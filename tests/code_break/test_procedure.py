"""The emergency procedure on paper: one page for each centre, without any treatment."""

import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import reverse

from iwrs.accounts.models import User
from tests import factories as make
from tests.pdf import pdf_text
from tests.portal.test_scope import SITE_PEOPLE


@pytest.mark.requirement("REQ-079")
def test_everybody_who_sees_the_centre_prints_one_page_without_a_treatment(
    site: SimpleNamespace, signed_in: Callable[[User], Client]
) -> None:
    subject = make.a_randomized_subject(site.here)
    site.study.title = "A study"
    site.study.save()
    address = reverse("emergency-procedure", args=[site.here.pk])
    papers = set()
    for role in [*SITE_PEOPLE, "study_manager", "safety_physician", "depot_manager", "auditor"]:
        browser = signed_in(getattr(site, role))
        assert address in browser.get(reverse("centre", args=[site.here.pk])).content.decode()
        answer = browser.get(address)
        assert answer.headers["Content-Type"] == "application/pdf"
        papers.add(answer.content)
    [paper] = papers  # equal bytes for everybody
    assert re.findall(rb"/Type/Page\b", paper) == [b"/Type/Page"]
    assert b"/StructTreeRoot" in paper
    text = pdf_text(paper)
    for told in (
        str(site.here),
        "A study",
        "If the system is down",
        "Emergency holder 1, name and telephone",
        "age -d -i KEY pack.age > pack.zip",
        "Safety physician, day and night",
        "To randomize meanwhile:",
    ):
        assert told in text, told
    assert subject.number not in text
    words = [word for arm in site.study.definition.arms for word in (arm.code, arm.label)]
    assert not any(re.search(rf"\b{re.escape(word)}\b", text) for word in words)


def test_the_page_of_another_centre_does_not_exist(
    site: SimpleNamespace, signed_in: Callable[[User], Client]
) -> None:
    address = reverse("emergency-procedure", args=[site.there.pk])
    assert signed_in(site.investigator).get(address).status_code == 404
    elsewhere = make.a_user(make.Role.STUDY_MANAGER, study=make.a_study(with_list=False))
    assert signed_in(elsewhere).get(address).status_code == 404


def test_the_longest_names_still_fit_one_page(
    site: SimpleNamespace, signed_in: Callable[[User], Client]
) -> None:
    site.study.title, site.here.name = "Long title " * 27, "*Hôpital* #emph[x] " * 10
    site.study.save()
    site.here.save()
    address = reverse("emergency-procedure", args=[site.here.pk])
    paper = signed_in(site.study_manager).get(address).content
    assert re.findall(rb"/Type/Page\b", paper) == [b"/Type/Page"]
    assert "*Hôpital* #emph[x]" in pdf_text(paper)
