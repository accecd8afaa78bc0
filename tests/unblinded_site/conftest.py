"""The unblinded site in this process: its addresses, its role in the database, its people."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import clear_url_caches

from iwrs.accounts.models import Role, User
from iwrs.models import Study
from tests.factories import a_study, a_user
from tests.roles import as_unblinded

PASSWORD = "correct horse battery staple"


@pytest.fixture
def unblinded_side(db: None, settings: SimpleNamespace) -> Iterator[None]:
    """Settings of the unblinded process; `Browser` changes the role for each request."""
    settings.SIDE = "unblinded"
    settings.ROOT_URLCONF = "trial.urls_unblinded"
    clear_url_caches()
    yield
    clear_url_caches()


class Browser:
    """A browser whose requests reach the database as `iwrs_unblinded`."""

    def __init__(self, user: User | None = None) -> None:
        self._client = Client()
        if user is not None:
            with as_unblinded():
                self._client.force_login(user)

    def get(self, path: str):
        with as_unblinded():
            return self._client.get(path)

    def post(self, path: str, **typed: object):
        with as_unblinded():
            return self._client.post(path, typed)


@pytest.fixture
def study(unblinded_side: None) -> Study:
    return a_study(with_list=False)


@pytest.fixture
def person(study: Study) -> Callable[..., User]:
    """A new account of the unblinded schema, with one role in the study."""

    def made(role: Role) -> User:
        with as_unblinded():
            return a_user(role, study=study, password=PASSWORD)

    return made


@pytest.fixture
def statistician(person: Callable[..., User]) -> Browser:
    return Browser(person(Role.UNBLINDED_STATISTICIAN))


@pytest.fixture
def supplier(person: Callable[..., User]) -> Browser:
    return Browser(person(Role.SUPPLY_MANAGER))


@pytest.fixture
def auditor(person: Callable[..., User]) -> Browser:
    return Browser(person(Role.UNBLINDED_AUDITOR))
