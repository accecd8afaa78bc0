"""Sites never learn stratum fill, block sizes, list length or another site's accrual.

Nothing is looked for by name: every page that a person of a site reaches is read twice, and what
must not be told changes in between. The pages must be the same.
"""

from types import SimpleNamespace
from typing import Any

import pytest

from enrolment import views
from enrolment.models import Subject
from iwrs import studies
from iwrs.accounts.models import Role
from tests import factories as make
from tests.api.client import Edc
from tests.blinding.allowed import masked
from tests.hostile.walk import address_of, pages, signed_in
from tests.portal.conftest import site
from tests.portal.test_scope import MORE

__all__ = ["site"]
pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-082")]
# Between them they open every page that a role at a centre opens.
ROLES = (Role.INVESTIGATOR, Role.MONITOR)
# Loaded a second time, with everything else that a site must not learn.
OTHER = '\n[[caps]]\nkey = "few"\nlabel = "Few"\nlimit = 3\nwhere = { visceral = ["yes"] }\n'


Told = dict[tuple[str, str], str]


def read(site: SimpleNamespace, *, again: Told | None = None, only: tuple[str, ...] = ()) -> Told:
    """(role, page) to what stands there, for all pages of the portal that open; `again` those."""
    subjects = list(Subject.objects.filter(centre=site.here).order_by("pk"))
    found = {}
    for role in ROLES:
        if not hasattr(site, f"browser of {role}"):  # one session, which a page lists
            setattr(site, f"browser of {role}", signed_in(getattr(site, role)))
        browser = getattr(site, f"browser of {role}")
        for page in (each for each in pages() if not only or each.name in only):
            for subject in subjects if "pk" in page.parameters else subjects[:1]:
                key = (role, f"{page.name} {subject.number}")
                if again is not None and key not in again:
                    continue
                known = _known(site, subject) | MORE.get(page.name, {})
                answer = browser.get(address_of(page, known))
                if answer.status_code == 200 and not answer.streaming:
                    found[key] = masked(answer.content.decode(errors="replace"))
    assert only or again or len(found) > 40
    return found


def _known(site: SimpleNamespace, subject: Subject) -> dict[str, Any]:
    at_centre = ("centre", "screen", "drill", "people", "delegation-log", "emergency-procedure")
    visit, kit = subject.visits.first(), subject.dispensations.first()
    return {
        "pk": subject.pk,
        "code": site.study.code,
        "who": "none",
        "token": "none",
        "provider_id": "none",
        **dict.fromkeys(at_centre, site.here.pk),
        **dict.fromkeys(("record-visit", "miss-visit"), visit.pk if visit else 0),
        **dict.fromkeys(("assign-kit", "hand-over"), kit.pk if kit else 0),
    }


def differing(before: Told, after: Told) -> set[str]:
    return {page for (_, page), text in before.items() if after.get((_, page)) != text}


@pytest.fixture
def busy(site: SimpleNamespace) -> SimpleNamespace:
    """A subject in screening and one in treatment at each centre."""
    for centre in (site.here, site.there):
        make.a_subject(centre)
        make.a_randomized_subject(centre)
    return site


def test_pages_do_not_change_when_another_site_randomizes(busy: SimpleNamespace) -> None:
    before = read(busy)
    for _ in range(3):
        make.a_randomized_subject(busy.there)
    after = read(busy, again=before)
    assert before.keys() == after.keys()
    assert differing(before, after) == set()


def test_a_count_of_the_whole_study_would_be_seen(
    busy: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: the page of a centre counts all subjects of the study."""

    def of_the_study(centres: Any) -> Any:
        return centres.extra(
            select={
                "in_screening": "0",
                "randomized": "SELECT count(*) FROM enrolment_subject WHERE status = 'randomized'",
            }
        )

    monkeypatch.setattr(views, "_counted", of_the_study)
    before = read(busy, only=("home", "subjects", "centres", "centre"))
    make.a_randomized_subject(busy.there)
    pages_that_tell = {name.split()[0] for name in differing(before, read(busy, again=before))}
    assert pages_that_tell == {"centre", "centres"}


def test_blocks_list_length_and_limits_are_told_by_no_page_and_no_answer(db: None) -> None:
    study = make.a_study(with_list=False, code="little_known")
    here = make.a_centre(study)
    people = {role: make.a_user(role, centre=here) for role in ROLES}
    site = SimpleNamespace(study=study, here=here, **people)
    subject = make.a_subject(here)
    edc = Edc(study)
    asked = ["centres", "subjects", f"subjects/{subject.number}", "openapi.json"]

    def answers() -> Told:
        return {("edc", path): masked(edc.get(path).content.decode()) for path in asked}

    before = read(site) | answers()
    text = make.small_definition(study.code).text
    assert "block_sizes = [3, 6]" in text
    text = text.replace("block_sizes = [3, 6]", "block_sizes = [9, 12]")
    text = text.replace("list_length = 30", "list_length = 77")
    text = text.replace("max_subjects = 120", "max_subjects = 277")
    loaded = make.parse_definition(text + OTHER)
    studies.load(loaded, by=make.TESTER, list_exists=lambda study: False)
    assert study.versions.count() == 2
    assert differing(before, read(site, again=before) | answers()) == set()
