"""What is written inside a sealed pack: one file for each subject, and a list to find it.

The treatments stand in a file each, so that who looks for one subject does not read the others.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from iwrs.templatetags.portal import moment

READ_ME, INDEX = "READ-ME.txt", "subjects.csv"
COLUMNS = ("subject", "randomization number", "kits")
SIMULATED = "SIMULATED DATA: no real person is in this pack."


@dataclass(frozen=True)
class Code:
    """One randomized subject. `treatment` is the label as the protocol names it."""

    subject: str
    randomization: str
    randomized_at: datetime
    kits: tuple[str, ...]
    treatment: str


@dataclass(frozen=True)
class About:
    """What a pack is of. `list_in_use` names the randomization list, its time in UTC."""

    study: str
    centre: str
    made_at: datetime
    list_in_use: str
    simulated: bool


def pack_files(about: About, codes: Sequence[Code]) -> dict[str, bytes]:
    """Name and content of each file of a centre's pack."""
    files = {READ_ME: _read_me(about, codes), INDEX: _index(codes)}
    return files | {f"{code.subject}.txt": _one(about, code) for code in codes}


def _read_me(about: About, codes: Sequence[Code]) -> bytes:
    return text_file(
        "CODE-BREAK PACK FOR EMERGENCIES",
        *([SIMULATED] if about.simulated else []),
        "",
        f"Study:               {about.study}",
        f"Centre:              {about.centre}",
        f"Made:                {moment(about.made_at)}",
        f"Randomization list:  {about.list_in_use}",
        f"Subjects in here:    {len(codes)}",
        f"Kits in here:        {sum(len(code.kits) for code in codes)}",
        "",
        "Subjects randomized and kits assigned after that time are not in here.",
        "",
        "HOW TO READ IT",
        f"1. Find the subject in {INDEX}: by subject number, randomization number or kit number.",
        "2. Check the number with the doctor who asks. Read it aloud, digit by digit.",
        "3. Open the file of this subject only, for example 0101-003.txt. It has the treatment.",
        "4. Tell the treatment to the doctor who needs it for the care, and to nobody else.",
        "5. Write down: who asked, for which subject, why, the day and the time.",
        "6. Tell the study's safety physician that you opened the pack, not what you read. The",
        "   safety physician records the opening when the system is back.",
        "7. Delete the opened files. Keep the sealed file.",
        "",
        "padding.bin is empty space: it makes the packs of all centres equally large.",
    )


def _index(codes: Sequence[Code]) -> bytes:
    target = io.StringIO()
    write = csv.writer(target).writerow
    write(COLUMNS)
    for code in codes:
        write((code.subject, code.randomization, "; ".join(code.kits)))
    return target.getvalue().encode("utf-8")


def _one(about: About, code: Code) -> bytes:
    return text_file(
        *([SIMULATED] if about.simulated else []),
        f"Study:                 {about.study}",
        f"Centre:                {about.centre}",
        f"Subject:               {code.subject}",
        f"Randomization number:  {code.randomization}",
        f"Randomized:            {moment(code.randomized_at)}",
        f"Kits:                  {', '.join(code.kits)}",
        "",
        f"TREATMENT:             {code.treatment}",
        "",
        f"As of {moment(about.made_at)}.",
    )


def text_file(*lines: str) -> bytes:
    """These lines as the content of a file."""
    # As Windows writes lines too: nobody knows on which computer this is opened.
    return "\r\n".join([*lines, ""]).encode("utf-8")
