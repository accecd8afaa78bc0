"""What a person types on the pages of a code break, and sends."""

from django.http import HttpResponse
from django.test import Client

from iwrs.accounts.models import User
from tests.signing import sign_page


def ask(browser: Client, person: User, address: str, **changes: str) -> HttpResponse:
    """Send a complete request, but for `changes`."""
    typed = {"reason": "emergency", "explanation": "Severe reaction", "read_back": ""}
    return sign_page(browser, person, address, typed | changes)
