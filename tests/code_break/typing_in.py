"""What a person types on the pages of a code break, and sends."""

from django.http import HttpResponse
from django.test import Client

from iwrs.accounts.models import User

PASSWORD = "correct horse battery staple"  # of `factories.a_user`


def sign(browser: Client, person: User, address: str, typed: dict[str, str]) -> HttpResponse:
    """Open the page and send it with the person's signature."""
    browser.get(address)
    return browser.post(address, typed | {"password": PASSWORD})


def ask(browser: Client, person: User, address: str, **changes: str) -> HttpResponse:
    """Send a complete request, but for `changes`."""
    typed = {"reason": "emergency", "explanation": "Severe reaction", "read_back": ""}
    return sign(browser, person, address, typed | changes)
