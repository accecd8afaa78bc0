"""One study with everything that a page can be about, and a browser for each role."""

from types import SimpleNamespace

import pytest
from django.test import Client

from dsmb.models import DataCut, Extract
from iwrs import clock
from iwrs.accounts.models import Role, User
from iwrs.accounts.services import password_link
from iwrs.actors import Actor
from randomization.drills import start_drill
from tests.hostile.walk import Form, address_of, all_forms, pages, signed_in
from tests.portal.conftest import a_site
from tests.portal.test_scope import MORE, objects_of
from tests.roles import as_unblinded


@pytest.fixture
def site(db: None) -> SimpleNamespace:
    """A study with two centres, a person of each role, and one object of each kind."""
    return a_whole_site()


def a_whole_site() -> SimpleNamespace:
    """What the fixture `site` is."""
    made = a_site()
    made.objects = objects_of(made.here) | _drill_of(made) | _extract_of(made)
    made.people = [getattr(made, role) for role in Role.values if hasattr(made, role)]
    return made


def _drill_of(made: SimpleNamespace) -> dict[str, int]:
    """A drill that the investigator has begun."""
    drill = start_drill(made.here, by=Actor.person(made.investigator, Role.INVESTIGATOR))
    return {"request-drill": drill.pk, "show-drill": drill.pk}


def _extract_of(made: SimpleNamespace) -> dict[str, int]:
    """A sealed extract that waits for its release."""
    cut = DataCut.objects.create(
        study=made.study, cut_on=clock.today(), reason="Look", made_by="A", made_at=clock.now()
    )
    extract = Extract.objects.create(
        study=made.study, cut=cut, recipient="dsmb", reason="Look", requested_by="A",
        requested_at=clock.now(),
    )  # fmt: skip
    with as_unblinded():
        Extract.objects.filter(pk=extract.pk).update(
            status="ready", size=6, sha256="0" * 64, sealed=b"closed", finished_at=clock.now()
        )
    return {"release-extract": extract.pk}


@pytest.fixture
def addresses(site: SimpleNamespace) -> list[tuple[str, str]]:
    """(name, address) of each page of the portal, at objects that exist."""
    return addresses_of(site)


def addresses_of(site: SimpleNamespace) -> list[tuple[str, str]]:
    """What the fixture `addresses` is."""
    known = {**site.objects, "pk": site.objects["subject"], "code": site.study.code}
    known |= {"who": "none", "token": "none", "provider_id": "none"}
    return [(page.name, address_of(page, known | MORE.get(page.name, {}))) for page in pages()]


def forms_of(site: SimpleNamespace, addresses: list[tuple[str, str]]) -> list[Form]:
    """Every form of the portal, each with the browser of a person who may send it."""
    newcomer = User.objects.create_user("newcomer@example.org", name="Newcomer")
    nobody = Client(raise_request_exception=False)
    nobody.get(password_link(newcomer))
    open_to_all = [("sign-in", "/sign-in/"), ("choose-password", "/set-password/")]
    found = all_forms(open_to_all, [nobody])
    named = {name for name, _ in open_to_all}
    rest = [(name, address) for name, address in addresses if name not in named]
    # A person in screening and one in treatment open different pages.
    waiting = [
        (name, address.replace(f"/subjects/{site.objects['subject']}/", f"/subjects/{pk}/"))
        for name, address in rest
        for pk in [site.here.subjects.order_by("pk").values_list("pk", flat=True)[0]]
    ]
    browsers = [signed_in(person) for person in site.people]
    return found + all_forms(dict.fromkeys([*rest, *waiting]), browsers)
