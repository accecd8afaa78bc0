"""The page that the demonstration ends with. No Django."""

from collections.abc import Mapping
from typing import Any


def summary_page(closed_report: str, facts: Mapping[str, Any], took: Mapping[str, float]) -> str:
    """What the blinded side knows, what the DSMB's key opened, and how long each step took.

    `closed_report` is the text inside the seal; `facts` are those of the administrator's page;
    `took` maps a step to seconds.
    """
    blinded = (
        f"What the administrator sees: {facts['subjects']} subjects at {facts['centres']} centres;"
        f" {facts['local']} local and {facts['central']} central events of {facts['planned']}"
        f" planned, {facts['deaths']} deaths, at the data cut of {facts['cut']}.\n"
        f"The sealed file: {facts['size']} bytes, SHA-256 {facts['sha256']}\n"
    )
    steps = "\n".join(f"  {seconds:7.1f} s  {name}" for name, seconds in took.items())
    return (
        f"\n{blinded}\nWhat the DSMB's key opened:\n\n{closed_report}\n"
        f"How long each step took:\n{steps}\n  {sum(took.values()):7.1f} s  in all\n"
    )
