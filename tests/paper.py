"""Subjects who were told on paper a place that is not the next one, as packs tell it."""

from dataclasses import dataclass

from dsmb.unblinded.models import EmergencyHolder
from dsmb.unblinded.paper import make_paper
from dsmb.unblinded.paper_places import next_kits, next_places
from dsmb.unblinded.told import accept_paper
from enrolment.models import Subject
from iwrs import clock
from iwrs.signatures import Signature
from randomization.unblinded.models import ForcedAllocation, RandomizationList
from tests import factories as make
from tests.roles import as_unblinded


@dataclass(frozen=True)
class Told:
    """What the desk tells, the kits of the line, and which of them it tells."""

    number: str
    kits: tuple[str, ...]
    kit: str


def told_later(subject: Subject) -> Told:
    """The place after the next one, of the subject's stratum and of the centre's kits."""
    study = subject.study
    with as_unblinded():
        if not EmergencyHolder.objects.filter(study=study).exists():
            make.a_holder(study)
        assert make_paper(study, by=make.TESTER)
        active = RandomizationList.objects.get(study=study, status="active")
        place = next_places(active)[subject.stratum_key][1]
        line = next_kits(study, clock.today())[subject.centre_id][1]
    number = f"{place.code}-{line.code}"
    return Told(number, tuple(line.kits.values()), line.kits[place.arm])


def told_and_accepted(subject: Subject) -> ForcedAllocation:
    """Accepted by an unblinded statistician, with the kit."""
    told = told_later(subject)
    signature = Signature("Statistician", clock.now(), "I accept it")
    by = make.STATISTICIANS[0]
    with as_unblinded():
        return accept_paper(
            subject, told.number, told.kit, by=by, why="It was told", signature=signature
        )
