"""An adversary who sees every blinded feature of every kit and guesses the arm.

A replicate is a small trial with a list, a delivery of kits and a nature of its own, drawn from one
pre-registered seed (`adversary_seeds.txt`); nobody's course depends on the arm. Randomization,
kits and supply go through the real services. The features are read with the blinded login.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dispensing.services import dispense
from dispensing.unblinded.numbers import DeliveredLot, vendor_csv
from dispensing.unblinded.services import import_kits, run_supply
from enrolment.models import Centre, Subject
from iwrs import clock, studies
from iwrs.models import Study
from randomization.unblinded import services as lists
from tests import factories as make
from tests.blinding import coupled
from tests.roles import as_unblinded
from trial.services import randomize

SEEDS = (Path(__file__).parent / "adversary_seeds.txt").read_text(encoding="ascii").split()
START = make.at(2010, 1, 4)
EXPIRIES = [date(2010, 9, 30), date(2011, 3, 31), date(2011, 12, 31)]
Floats = NDArray[np.float64]
Plant = Callable[[str], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Sample:
    """Features (rows are subjects), the true arms, and the replicate of each subject."""

    features: Floats
    arms: NDArray[np.bool_]
    replicate: NDArray[np.int64]


@dataclass(frozen=True)
class Score:
    """AUC of the adversary, the mean over replicates, with its 99% interval (Student's t)."""

    auc: float
    half_width: float
    subjects: int
    replicates: int

    @property
    def low(self) -> float:
        return self.auc - self.half_width

    @property
    def high(self) -> float:
        return self.auc + self.half_width


def sample(
    database: str, *, seeds: Sequence[str], subjects: int, plant: Plant = lambda name: nullcontext()
) -> Sample:
    """Play a replicate for each seed. The database is this process's own."""
    rows, arms, of = [], [], []
    for number, seed in enumerate(seeds):
        with plant(database):
            study = a_replicate(seed, subjects=subjects)
        _, seen = features(database, study)
        truth = true_arms(database, study)
        rows += [seen[subject] for subject in sorted(seen)]
        arms += [truth[subject] == "PBO" for subject in sorted(seen)]
        of += [number] * len(seen)
    return Sample(np.array(rows, dtype=float), np.array(arms), np.array(of))


def score(of: Sample) -> Score:
    """Guess the arms of each replicate from all the others, by two classifiers together."""
    guessed = np.zeros(len(of.arms))
    for known, asked in GroupKFold(5).split(of.features, of.arms, of.replicate):
        for model in (
            GradientBoostingClassifier(
                n_estimators=100, subsample=0.5, max_features=0.3, random_state=1
            ),
            make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)),
        ):
            model.fit(of.features[known], of.arms[known])
            guessed[asked] += stats.zscore(model.decision_function(of.features[asked]))
    each = [
        roc_auc_score(of.arms[of.replicate == n], guessed[of.replicate == n])
        for n in np.unique(of.replicate)
    ]
    spread = np.std(each, ddof=1) / np.sqrt(len(each))
    width = float(stats.t.ppf(0.995, len(each) - 1) * spread)
    return Score(float(np.mean(each)), width, len(of.arms), len(each))


def a_replicate(seed: str, *, subjects: int, centres: int = 6) -> Study:
    """Play one small trial: arrivals and attendance from the seed, in weeks from 2010 on."""
    drawn = np.random.default_rng(int(seed, 16) % 2**63)
    with clock.at(START):
        study = _study(seed, subjects)
        places = [make.a_centre(study, cover=0) for _ in range(centres)]
    waiting = _screened(study, places, subjects, drawn)
    for week in range(40):
        moment = START + timedelta(weeks=week)
        with as_unblinded():
            run_supply(study, moment)
        _play_week(study, moment, waiting, drawn)
        if not waiting and week > 30:
            break
    return study


def _play_week(study: Study, moment: Any, waiting: list[Subject], drawn: Any) -> None:
    due = Subject.objects.filter(study=study, visits__due_on__lte=moment.date())
    visits = [
        (subject, visit)
        for subject in due.distinct().order_by("pk")
        for visit in subject.dispensations.filter(
            status="planned", due_on__lte=moment.date(), number__lte=2
        )
    ]
    arrivals = min(int(drawn.poisson(6)), len(waiting))
    for turn in range(arrivals):
        with clock.at(moment + timedelta(hours=4 * turn)):
            subject = waiting.pop(0)
            if _has_room(subject):
                randomize(subject, by=make.TESTER)
            else:
                waiting.append(subject)
    with clock.at(moment):
        for _, visit in visits:
            if drawn.random() < 0.9:
                dispense(visit, by=make.TESTER)


def _has_room(subject: Subject) -> bool:
    from iwrs import gate

    return bool(gate.call("has_cover", subject.centre_id, clock.today() + timedelta(days=50)))


def _study(seed: str, subjects: int) -> Study:
    loaded = make.small_definition(f"adversary_{seed[:12]}", max(30, subjects))
    study = studies.load(loaded, by=make.TESTER, list_exists=lambda _: False, simulated=True).study
    with as_unblinded():
        made = lists.generate_list(study, by=make.STATISTICIANS[0], seed=_bytes(seed, "list"))
        for person in make.STATISTICIANS[1:]:
            signature = make.Signature(person.label, clock.now(), "I approve this list")
            made = lists.approve_list(made, by=person, signature=signature)
        lots = [DeliveredLot(f"L{n}", day) for n, day in enumerate(EXPIRIES)]
        kits = 12 * subjects
        kits += -kits % 6
        text = vendor_csv(study.definition, kits=kits, seed=seed, lots=lots)
        import_kits(study, text, file_name="k", by=make.TESTER, seed=_bytes(seed, "kits"))
    return studies.set_status(study, Study.Status.OPEN, by=make.TESTER)


def _bytes(seed: str, purpose: str) -> bytes:
    return sha256(f"{seed} {purpose}".encode()).digest()


def _screened(study: Study, places: list[Centre], count: int, drawn: Any) -> list[Subject]:
    """Eligible subjects, as screening leaves them. Nobody has an arm yet."""
    model = make.a_subject(places[0])
    strata = list(study.definition.strata())
    made = []
    for number in range(count):
        centre = places[int(drawn.integers(len(places)))]
        stratum = strata[int(drawn.integers(len(strata)))]
        made.append(_like(model, centre, stratum, number))
    Subject.objects.bulk_create(made)
    return made


def _like(model: Subject, centre: Centre, stratum: Any, number: int) -> Subject:
    fields = {f.name: getattr(model, f.name) for f in Subject._meta.fields if f.name != "id"}
    key = stratum.key
    levels = dict(part.split("=") for part in key.split("|"))
    fields |= {"centre": centre, "stratum_key": key, "strata": levels}
    return Subject(**fields | {"number": f"{centre.number}-{number + 100:03d}"})


def true_arms(database: str, study: Study) -> dict[int, str]:
    """Asked as the owner, after the play."""
    with coupled.login("owner", database) as owner:
        rows = owner.execute(
            "SELECT a.subject_id, a.arm FROM unblinded.allocation a"
            " JOIN enrolment_subject s ON s.id = a.subject_id WHERE s.study_id = %s",
            [study.pk],
        )
        return dict(rows.fetchall())


def features(database: str, study: Study) -> tuple[list[str], dict[int, list[float]]]:
    """Everything blinded about each subject's place and first three kits: names, and by subject."""
    asked = {"study": study.pk, "arms": len(study.definition.arms)}
    with coupled.login("blinded", database) as blinded:
        subjects = blinded.execute(SUBJECTS, asked)
        names = [column.name for column in subjects.description or ()][1:]
        of = {row[0]: [float(x or 0) for x in row[1:]] for row in subjects.fetchall()}
        kits = blinded.execute(KITS, asked)
        of_kit = [column.name for column in kits.description or ()][2:]
        given = {(row[0], row[1]): [float(x or 0) for x in row[2:]] for row in kits.fetchall()}
    nothing = [0.0] * len(of_kit)
    for subject, row in of.items():
        for number in range(3):
            row += given.get((subject, number), [-1.0] * len(of_kit))
        first, second = given.get((subject, 0)), given.get((subject, 1))
        both = first and second
        row += [b - a for a, b in zip(first, second, strict=True)] if both else nothing
    names += [f"{name} of kit {number}" for number in (0, 1, 2) for name in of_kit]
    return names + [f"{name} from kit 0 to 1" for name in of_kit], of


# Position, order and timing of the subject: in the study, the centre and the stratum.
SUBJECTS = """
    SELECT s.id, s.centre_id %% 97 AS centre, row_number() OVER everyone AS in_study,
           row_number() OVER centre AS in_centre, row_number() OVER stratum AS in_stratum,
           row_number() OVER stratum %% 2 AS stratum_2, row_number() OVER stratum %% 3 AS stratum_3,
           row_number() OVER stratum %% 4 AS stratum_4, row_number() OVER stratum %% 6 AS stratum_6,
           hashtext(s.stratum_key) %% 97 AS stratum, right(r.number, 4)::int AS randomization,
           r.number::int %% 2 AS randomization_2,
           extract(epoch FROM s.randomized_at - lag(s.randomized_at) OVER centre) / 86400
           AS since_centre,
           extract(epoch FROM s.randomized_at - lag(s.randomized_at) OVER stratum) / 86400
           AS since_stratum,
           extract(epoch FROM lead(s.randomized_at) OVER stratum - s.randomized_at) / 86400
           AS until_stratum,
           extract(dow FROM s.randomized_at) AS weekday
      FROM enrolment_subject s JOIN randomization_randomization r ON r.subject_id = s.id
     WHERE s.study_id = %(study)s
    WINDOW everyone AS (ORDER BY s.randomized_at, s.id),
           centre AS (PARTITION BY s.centre_id ORDER BY s.randomized_at, s.id),
           stratum AS (PARTITION BY s.stratum_key ORDER BY s.randomized_at, s.id)
"""
# Every kit of the study, with its box and cohort. A box is what one act sent to one centre; the id
# of the act is random and serves to group only. Visit kits are sent before cover, so the cover of
# a box are the kits that came last: for each of the cohort's places one kit of every arm.
KIT = """
    WITH sent AS (
        SELECT e.id AS kit, min(e.pgh_id) AS came, max(e.pgh_id) AS went, count(*) AS lines,
               max(e.pgh_created_at) AS changed,
               (array_agg(e.pgh_context_id ORDER BY e.pgh_id)
                FILTER (WHERE e.status = 'at_centre'))[1] AS run
          FROM dispensing_kitevent e
         WHERE e.study_id = %(study)s AND e.status IN ('at_centre', 'assigned') GROUP BY e.id),
    cohort AS (
        SELECT h.*, e.pgh_context_id AS run,
               rank() OVER (PARTITION BY h.centre_id ORDER BY h.received_at) AS nth
          FROM dispensing_cohort h JOIN enrolment_centre c ON c.id = h.centre_id
          JOIN dispensing_cohortevent e ON e.pgh_obj_id = h.id AND e.pgh_label = 'insert'
         WHERE c.study_id = %(study)s),
    boxed AS (
        SELECT k.id, k.number::int AS number, k.lot_id, k.centre_id, l.expires_on, sent.*,
               h.id AS cohort, h.size, h.served, h.received_at, h.nth,
               percent_rank() OVER (ORDER BY k.id) AS by_key,
               percent_rank() OVER (ORDER BY k.ctid) AS by_place,
               percent_rank() OVER (ORDER BY k.number) AS by_number,
               percent_rank() OVER (PARTITION BY k.lot_id ORDER BY k.id) AS in_lot,
               percent_rank() OVER (run ORDER BY sent.came) AS came_in_run,
               rank() OVER (run ORDER BY k.id) AS key_in_run,
               percent_rank() OVER (box ORDER BY k.id) AS key_in_box,
               percent_rank() OVER (box ORDER BY k.number) AS number_in_box,
               percent_rank() OVER (box ORDER BY sent.came) AS came_in_box,
               count(*) OVER box AS box,
               h.id IS NOT NULL AND rank() OVER (box ORDER BY sent.came DESC) <= h.size * %(arms)s
               AS cover
          FROM dispensing_kit k JOIN dispensing_lot l ON l.id = k.lot_id
          LEFT JOIN sent ON sent.kit = k.id
          LEFT JOIN cohort h ON h.run = sent.run AND h.centre_id = k.centre_id
         WHERE k.study_id = %(study)s
        WINDOW run AS (PARTITION BY sent.run), box AS (PARTITION BY sent.run, k.centre_id)),
    kit AS (
        SELECT boxed.*, percent_rank() OVER (part ORDER BY id) AS key_in_cohort,
               percent_rank() OVER (part ORDER BY number) AS number_in_cohort,
               percent_rank() OVER (part ORDER BY came) AS came_in_cohort
          FROM boxed WINDOW part AS (PARTITION BY run, centre_id, cover))
"""
# Each kit: its number, key and place on disk, its lot and expiry, when and in which order it came,
# how long it lay, and its history; its rank in its shipment, box and cohort (a visit kit's among
# the visit kits of its box); and the cohort that came in its box: size, places served in all and
# when the kit was assigned, rank and age.
KITS = f"""{KIT}
    SELECT d.subject_id, d.number, kit.number AS whole_number, kit.number %% 2 AS mod_2,
           kit.number %% 3 AS mod_3, kit.number %% 7 AS mod_7, kit.number / 10 %% 10 AS digit,
           kit.by_key, kit.by_place, kit.by_number, kit.in_lot, kit.came_in_run, kit.key_in_run,
           kit.key_in_box, kit.number_in_box, kit.came_in_box, kit.box, kit.lines,
           kit.key_in_cohort, kit.number_in_cohort, kit.came_in_cohort,
           kit.size AS cohort_size, kit.served AS cohort_served, kit.nth AS cohort_nth,
           d.due_on - kit.received_at::date AS cohort_age,
           (SELECT max(e.served) FROM dispensing_cohortevent e
             WHERE e.pgh_obj_id = kit.cohort AND e.pgh_created_at <= kit.changed) AS served_then,
           kit.expires_on - d.due_on AS good_for, kit.lot_id - min(kit.lot_id) OVER () AS lot,
           kit.went - lag(kit.went) OVER (ORDER BY kit.went) AS since_last,
           kit.went - kit.came AS lay,
           extract(epoch FROM d.assigned_at - d.due_on::timestamp) / 86400 AS late
      FROM dispensing_dispensation d JOIN kit ON kit.id = d.kit_id WHERE d.number <= 2
"""
