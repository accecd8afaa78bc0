"""An auditor reads of EDC systems at the door: in the trail of their own study alone."""

import re
from collections.abc import Callable
from html import unescape
from io import StringIO
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from iwrs.accounts.models import Role, User
from iwrs.models import Study
from tests import factories
from tests.api.client import Edc, register
from tests.api.test_clients import ask
from tests.api.test_refusals import assert_problem

pytestmark = pytest.mark.django_db


@pytest.mark.requirement("REQ-029", "REQ-013")
def test_the_trail_of_the_client_s_study_has_its_rows_and_no_other_has(
    site: SimpleNamespace, browser: Callable[[User], Client]
) -> None:
    elsewhere = factories.a_study(with_list=False)
    reader = factories.a_user(Role.AUDITOR, study=elsewhere)
    client = register(site.study)
    ask(client, secret="guess")
    ask(client)

    def told(user: User, study: Study) -> list[str]:
        asked = {"what": "accounts.signinevent", "by": "EDC client Rave"}
        answer = browser(user).get(reverse("audit", args=[study.code]), asked)
        assert answer.status_code == 200
        return re.findall(r'<p class="told">(.*?)</p>', unescape(answer.content.decode()))

    assert told(site.auditor, site.study) == [
        f"EDC client Rave was at the door ({what}, client secret, from 127.0.0.1)."
        for what in ("Signed in", "Refused")
    ]
    assert told(reader, elsewhere) == []


@pytest.mark.requirement("REQ-019", "REQ-029")
def test_a_lost_secret_is_replaced_and_its_tokens_end(
    site: SimpleNamespace, browser: Callable[[User], Client]
) -> None:
    edc, other = Edc(site.study), Edc(site.study)
    client = edc.registered
    assert edc.get("centres").status_code == 200
    out = StringIO()
    named = ("edc_client", "secret", "--id", client.client_id)
    call_command(*named, stdout=out, stderr=StringIO())
    printed = dict(line.split("=", 1) for line in out.getvalue().split())
    assert printed["client_id"] == client.client_id
    assert_problem(edc.get("centres"), "invalid_token")
    assert other.get("centres").status_code == 200
    assert ask(client).status_code == 401
    assert ask(client, secret=printed["client_secret"]).status_code == 200
    client.refresh_from_db()
    assert client.client_secret.startswith("argon2")
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(to_jsonb(t)::text, ' ') FROM accounts_signinevent t")
        assert printed["client_secret"] not in cursor.fetchone()[0]
    page = browser(site.auditor).get(
        reverse("audit", args=[site.study.code]), {"act": "secret replaced"}
    )
    [told] = re.findall(r'<p class="told">(.*?)</p>', unescape(page.content.decode()))
    assert told.startswith("Command line (")
    assert told.endswith(
        f") changed the EDC client with the id {client.client_id} (Secret replaced)."
    )
