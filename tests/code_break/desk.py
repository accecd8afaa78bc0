"""An emergency holder at the desk: opens a randomization pack and gives its places, one by one."""

import csv
import io
from dataclasses import dataclass, field
from datetime import date

import pyrage

from dsmb.analysis import unseal
from dsmb.models import PaperPack
from dsmb.unblinded.paper import make_paper
from enrolment.models import Centre, Subject
from iwrs.models import Study
from tests import factories as make
from tests.roles import as_unblinded


@dataclass(frozen=True)
class Given:
    """What the desk reads and tells of one subject; the treatment stays at the desk."""

    treatment: str
    paper_number: str
    kit: str


@dataclass
class Desk:
    """The files of an opened pack, and which places and lines are in the log."""

    files: dict[str, str]
    opened: dict[str, int] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)

    def randomize(self, subject: Subject) -> Given:
        """The next place of the subject's stratum, by its answers, and the centre's next line."""
        place = self.next_place(self.stratum_of(subject))
        code, treatment = (
            next(
                line.split(": ", 1)[1].strip()
                for line in place.splitlines()
                if line.startswith(head)
            )
            for head in ("Place code:", "TREATMENT:")
        )
        line = self.next_line(subject.centre)
        return Given(treatment, f"{code}-{line['cover code']}", line[f"kit of {treatment}"])

    def next_place(self, stratum: str) -> str:
        """The text of the stratum's next file, which is opened by it."""
        [name] = [each["file"] for each in self.table("strata.csv") if each["stratum"] == stratum]
        self.opened[name] = at = self.opened.get(name, 0) + 1
        return self.files[name.replace("place-1", f"place-{at}") + ".txt"]

    def next_line(self, centre: Centre, on: date | None = None) -> dict[str, str]:
        """The centre's next line that may be used on a day."""
        rows = self.table(f"centre-{centre.number}.csv")
        for row in rows[self.lines.get(centre.number, 0) :]:
            self.lines[centre.number] = int(row["line"])
            if on is None or date.fromisoformat(row["use until"]) >= on:
                return row
        raise AssertionError("no line is left")

    def stratum_of(self, subject: Subject) -> str:
        """The stratum as the pack writes it."""
        strata = subject.study.definition.strata()
        return next(each.label for each in strata if each.key == subject.stratum_key)

    def table(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.files[name])))


def a_keyed_study(**more: object) -> tuple[Study, pyrage.x25519.Identity]:
    """A study with an emergency holder, whose secret key comes too."""
    study = make.a_study(**more)  # type: ignore[arg-type]
    return study, a_keyed_holder(study)


def a_keyed_holder(study: Study) -> pyrage.x25519.Identity:
    identity = pyrage.x25519.Identity.generate()
    with as_unblinded():
        make.a_holder(study, str(identity.to_public()))
    return identity


def paper_made(study: Study) -> PaperPack:
    with as_unblinded():
        made = make_paper(study, by=make.STATISTICIANS[0])
    assert made is not None
    return made


def opened(pack: PaperPack, identity: pyrage.x25519.Identity) -> dict[str, str]:
    files = unseal(bytes(pack.sealed), str(identity))
    return {name: content.decode() for name, content in files.items()}


def a_desk(study: Study, identity: pyrage.x25519.Identity) -> Desk:
    """The desk with a pack that was made now."""
    return Desk(opened(paper_made(study), identity))
