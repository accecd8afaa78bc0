"""The published counts come out of the system's own rows, not only out of nature."""

from datetime import UTC, date, datetime

import pytest

from dispensing.models import FirstDose
from dispensing.unblinded.numbers import plan_lots, vendor_csv
from dispensing.unblinded.services import import_kits
from dispensing.unblinded.supply import run_supply
from dsmb.analysis import compare
from dsmb.services import count_events
from dsmb.unblinded.records import read_records
from enrolment.models import Subject
from iwrs import clock, studies
from iwrs.definition import load_definition
from iwrs.models import Study
from iwrs.signatures import Signature
from randomization.unblinded import services as lists
from tests import factories as make
from tests.roles import as_unblinded
from trial.demo.cast import KIT_SEED, LIST_SEED, NATURE_SEED
from trial.invariants import contradictions
from trial.nature import CUT
from trial.replay.player import Player, add_centres
from trial.replay.source import simulated_trial

BEFORE = datetime(2009, 5, 4, 9, tzinfo=UTC)


def replayed(*, subjects: int, centres: int, kits: int) -> tuple[Study, Player]:
    """BOLERO-2's own definition and the demonstration's list, played to the data cut."""
    loaded = load_definition(make.ROOT / "studies" / "bolero2.toml")
    study = studies.load(loaded, by=make.TESTER, list_exists=lambda _: False, simulated=True).study
    with clock.at(BEFORE), as_unblinded():
        made = lists.generate_list(study, by=make.STATISTICIANS[0], seed=LIST_SEED)
        for person in make.STATISTICIANS[1:]:
            made = lists.approve_list(
                made, by=person, signature=Signature(person.label, clock.now(), "I approve")
            )
        lots = plan_lots(1, first_expiry=date(2012, 12, 31), months_apart=6)
        text = vendor_csv(study.definition, kits=kits, lots=lots, seed=KIT_SEED.hex())
        import_kits(study, text, file_name="kits.csv", by=make.TESTER, seed=KIT_SEED)
    study = studies.set_status(study, Study.Status.OPEN, by=make.TESTER)
    nature = simulated_trial(
        study.definition,
        list_seed=LIST_SEED,
        nature_seed=NATURE_SEED,
        subjects=subjects,
        centres=centres,
    )
    add_centres(nature, study)

    def supply(moment: datetime) -> None:
        with as_unblinded():
            run_supply(study, moment)

    player = Player(nature, study, supply)
    player.play()
    return study, player


@pytest.mark.requirement("REQ-002", "REQ-078")
def test_a_small_replay_leaves_what_nature_did(committed_db, settings):
    study, player = replayed(subjects=30, centres=5, kits=900)
    patients = player.nature.patients
    randomized = Subject.objects.filter(study=study, status="randomized")
    assert randomized.count() == len(patients) == 30
    assert FirstDose.objects.count() == sum(p.first_dose_on is not None for p in patients)
    died = sum(p.death_on is not None for p in patients)
    assert count_events(study, on=CUT).deaths == died
    handed = sum(d.status == "handed_over" for s in randomized for d in s.dispensations.all())
    assert handed >= FirstDose.objects.count()
    assert contradictions() == []
    settings.SIDE = "unblinded"
    with as_unblinded():
        assert contradictions() == []


@pytest.mark.slow
def test_the_published_counts_come_out(committed_db):
    study, _ = replayed(subjects=724, centres=189, kits=18_000)
    counted = count_events(study, on=CUT)
    assert (counted.local, counted.central, counted.deaths) == (359, 218, 83)
    with as_unblinded():
        result = compare(read_records(study, CUT), CUT)
    assert [
        (a.arm.code, a.randomized, a.treated, a.on_treatment, a.deaths) for a in result.counts
    ] == [
        ("EVE", 485, 482, 227, 52),
        ("PBO", 239, 238, 69, 31),
    ]
    points = {point.param: point for point in result.end_points}
    assert [a.events for a in points["PFSINV"].arms] == [202, 157]
    assert [a.events for a in points["PFSIRC"].arms] == [114, 104]
    assert points["PFSINV"].hazard_ratio.hazard_ratio == pytest.approx(0.43, abs=0.01)
    assert points["PFSIRC"].hazard_ratio.hazard_ratio == pytest.approx(0.36, abs=0.01)
