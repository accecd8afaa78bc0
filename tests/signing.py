"""Signing a page as a person does: read it, then type one's own e-mail address and password."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpResponse

from iwrs.accounts.models import User

PASSWORD = "correct horse battery staple"  # of `factories.a_user`


def shown_on(page: HttpResponse) -> str:
    """The hash of the record that a page carries, or nothing where the page has no form."""
    found = re.search(r'name="shown" value="([0-9a-f]{64})"', page.content.decode())
    return found.group(1) if found else ""


def components(user: User, page: HttpResponse, **changes: str) -> dict[str, str]:
    """What a person types and the browser sends to sign the page."""
    typed = {"signer": user.email, "password": PASSWORD, "shown": shown_on(page)}
    return typed | changes


def sign_page(
    browser: Any, user: User, address: str, typed: Mapping[str, object] | None = None, **more: str
) -> HttpResponse:
    """Open the page at `address` and send its form with the person's signature."""
    send: Callable[..., HttpResponse] = browser.post
    return send(address, {**(typed or {}), **components(user, browser.get(address)), **more})
