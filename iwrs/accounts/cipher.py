"""Secrets of second factors are encrypted at rest, with a key that is not in the database."""

import base64

from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser


class FactorAdapter(DefaultMFAAdapter):
    """allauth's questions about second factors."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": "This was not accepted. Try again.",
    }

    def encrypt(self, text: str) -> str:
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _cipher().decrypt(encrypted_text.encode()).decode()

    def get_totp_issuer(self) -> str:
        """What the app shows above the code: the two sites must not be mixed up."""
        return "IWRS unblinded" if settings.SIDE == "unblinded" else "IWRS"

    def _get_site_name(self) -> str:
        return self.get_totp_issuer()

    def generate_authenticator_name(self, user: AbstractBaseUser, type: str) -> str:
        return "Passkey"


def _cipher() -> Fernet:
    """Fernet (AES-128-CBC and HMAC-SHA-256), its key derived by HKDF (RFC 5869)."""
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"iwrs second factors")
    return Fernet(base64.urlsafe_b64encode(derived.derive(settings.FACTOR_KEY.encode())))
