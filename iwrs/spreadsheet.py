"""Cells for people's spreadsheets.

A spreadsheet runs a cell that begins like a formula, whoever typed it into our forms (OWASP ASVS
5.0, 1.2.10). Files that programs read, such as the datasets of an extract, keep their values.
"""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")


def harmless(cell: object) -> str:
    """The text of a cell; one that would run begins with an apostrophe, which is shown as text.

    A number is no formula, also a negative one.
    """
    text = "" if cell is None else str(cell)
    if isinstance(cell, int | float) or not text.lstrip(" ").startswith(_FORMULA):
        return text
    return f"'{text}"
