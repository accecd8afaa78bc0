"""Electronic signatures (21 CFR Part 11): taken at the door, kept with the record that was signed.

A door takes a `Signature` (`services.sign`); the verb checks that the record is still the one that
was shown (`services.require_shown`) and keeps the signature with it, in its own transaction
(`services.keep`).
"""

from iwrs.signatures.record import Record, Signature

__all__ = ["Record", "Signature"]
