"""Public keys of the age format, as the unblinded side registers them."""

import pyrage


def wrong_key(key: str) -> str:
    """What is wrong with a public key, without repeating it; empty when it is right."""
    if not key:
        return "Give the recipient's public key: it starts with age1."
    if key.upper().startswith("AGE-SECRET-KEY-"):
        return (
            "This is a secret key. It must stay with the recipient: make a new pair of keys, and "
            "give the public one, which starts with age1."
        )
    if not key.startswith("age1"):
        return "This is not an age public key: it must start with age1."
    try:
        pyrage.x25519.Recipient.from_str(key)
    except pyrage.RecipientError:
        return "This age public key is damaged: a character is missing or mistyped. Copy it again."
    return ""
