"""People of a small study, and browsers signed in as them."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.test import Client

from iwrs.accounts.models import Role, User
from tests.factories import a_centre, a_study, a_user

BLINDED_STUDY_ROLES = (
    *(Role.STUDY_MANAGER, Role.ADMINISTRATOR, Role.SAFETY_PHYSICIAN),
    *(Role.DEPOT_MANAGER, Role.AUDITOR),
)


@pytest.fixture
def site(db: None) -> SimpleNamespace:
    """A study with two centres and one person of each role; centre roles at the first centre."""
    return a_site()


@pytest.fixture
def committed_site(committed_db: None) -> SimpleNamespace:
    """The same with real commits, for acts of two transactions."""
    return a_site()


def a_site() -> SimpleNamespace:
    study = a_study()
    here, there = a_centre(study), a_centre(study)
    made = SimpleNamespace(study=study, here=here, there=there)
    for role in (Role.SITE_COORDINATOR, Role.INVESTIGATOR, Role.PHARMACIST, Role.MONITOR):
        setattr(made, role, a_user(role, centre=here))
    for role in BLINDED_STUDY_ROLES:
        setattr(made, role, a_user(role, study=study))
    return made


@pytest.fixture
def signed_in() -> Callable[[User], Client]:
    def browser(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return browser
