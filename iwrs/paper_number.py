"""The number of a place on paper, as people say it on the telephone: `7K3M-Q9TX`. No Django.

Four characters name the place of the stratum, four the place of the centre's cover. The alphabet
is Crockford's base 32, which has no I, L, O or U; who writes one of the first three means 1 or 0.
Source: D. Crockford, Base 32, 2019 (crockford.com/base32.html).
"""

import re

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
HALF = 4
_LOOK_ALIKES = str.maketrans("ILO", "110")
_SHAPE = re.compile(rf"[{ALPHABET}]{{{2 * HALF}}}")


def normalised(typed: str) -> str:
    """What was typed as it is stored, `PPPP-CCCC`. What is no paper number comes back in capitals
    and without spaces, for `fault` to refuse.
    """
    plain = re.sub(r"[\s-]", "", typed).upper()
    known = plain.translate(_LOOK_ALIKES)
    return f"{known[:HALF]}-{known[HALF:]}" if _SHAPE.fullmatch(known) else plain


def fault(number: str) -> str:
    """What is wrong with a normalised number, in words, or an empty text when nothing is."""
    if _SHAPE.fullmatch(number.replace("-", "", 1)) and number[HALF : HALF + 1] == "-":
        return ""
    return "A paper number has eight letters and digits, for example 7K3M-Q9TX."


def parts(number: str) -> tuple[str, str]:
    """The code of the place and that of the cover."""
    place, _, cover = number.partition("-")
    return place, cover
