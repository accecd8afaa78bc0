"""Which days people and systems may give: any that a trial can be about.

Days at the ends of the calendar cannot be reckoned with: there is no day after 9999-12-31, and a
moment on it or on 0001-01-01 is none in other zones.
"""

from datetime import date

FIRST, LAST = date(1900, 1, 1), date(2199, 12, 31)
OUTSIDE = f"Give a day between {FIRST} and {LAST}."


def is_possible(day: date) -> bool:
    return FIRST <= day <= LAST
