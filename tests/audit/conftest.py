"""A small study with an auditor, and browsers signed in as its people."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import reverse

from enrolment.forms import answers_given
from enrolment.models import Subject
from iwrs.accounts.models import Role, User
from tests.factories import a_user
from tests.portal.conftest import a_site


@pytest.fixture
def site(db: None) -> SimpleNamespace:
    made = a_site()
    if not hasattr(made, "auditor"):
        made.auditor = a_user(Role.AUDITOR, study=made.study)
    return made


@pytest.fixture
def browser() -> Callable[[User], Client]:
    def signed_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return signed_in


def correct(client: Client, subject: Subject, why: str, **answers: str) -> None:
    """Change screening answers on the page, as a person does."""
    typed = {k: v for k, v in answers_given(subject).items() if v is not None}
    sent = client.post(reverse("change-answers", args=[subject.pk]), typed | answers | {"why": why})
    assert sent.status_code == 302, sent.content.decode()
