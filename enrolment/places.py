"""Countries and their time zones, from the IANA time zone database (`zone.tab`). No Django."""

from functools import cache
from importlib.resources import files


def _rows(name: str) -> list[list[str]]:
    text = (files("tzdata") / "zoneinfo" / name).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]


@cache
def countries() -> dict[str, str]:
    """ISO 3166-1 alpha-2 code to English name, by name."""
    return dict(
        sorted(((row[0], row[1]) for row in _rows("iso3166.tab")), key=lambda each: each[1])
    )


@cache
def time_zones() -> dict[str, tuple[str, ...]]:
    """The IANA time zones of each country, by its code."""
    found: dict[str, list[str]] = {}
    for row in _rows("zone.tab"):
        found.setdefault(row[0], []).append(row[2])
    return {code: tuple(sorted(zones)) for code, zones in found.items()}
