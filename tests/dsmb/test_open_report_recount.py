"""The open report against a second count of the same rows, subject by subject, in plain Python."""

import random
from collections import Counter
from datetime import date, timedelta

import pytest

from assessments.corrections.facts import FACTS
from assessments.corrections.services import correct
from assessments.models import SubjectEvent, TumourRead, Visit
from assessments.schedule import planned_visits
from dispensing.models import DoseReduction, DrugStop
from dsmb import analysis
from dsmb.analysis.outcome import happened
from dsmb.courses import read_courses
from dsmb.models import DataCut
from dsmb.open_report import open_report
from enrolment.models import Centre, Deviation, Subject
from iwrs import clock
from randomization.marks import mark_in_error, verify_stratum
from randomization.models import RandomizedInError, VerifiedStratum
from tests import factories as make
from tests.dsmb.rows import many_subjects
from tests.trial.test_replay import replayed
from trial.nature import CUT

pytestmark = pytest.mark.requirement("REQ-070")
BY = make.TESTER
CUTS = (date(2010, 6, 30), CUT)


class Recount:
    """Everything known of one subject, by the day of its centre."""

    def __init__(self, subject, cut):
        self.cut = cut
        zone = subject.centre.time_zone

        def by_the_cut(moment):
            return moment is not None and clock.local_date(moment, zone) <= cut

        self.subject = subject
        self.screened = by_the_cut(subject.screened_at)
        self.failed = subject.status == "screen_failed" and by_the_cut(subject.decided_at)
        self.randomized = by_the_cut(subject.randomized_at)
        if not self.randomized:
            return
        self.randomized_on = clock.local_date(subject.randomized_at, zone)
        self.events = {
            e.kind: e.occurred_on
            for e in SubjectEvent.everything.filter(subject=subject)
            if not e.in_error and e.occurred_on <= cut
        }
        self.reads = [
            r
            for r in TumourRead.everything.filter(subject=subject)
            if not r.in_error and self.randomized_on <= r.assessed_on <= cut
        ]
        self.in_error = any(
            by_the_cut(m.marked_at)
            for m in RandomizedInError.objects.filter(randomization__subject=subject)
        )
        verified = [
            v.levels
            for v in VerifiedStratum.objects.filter(randomization__subject=subject).order_by("pk")
            if by_the_cut(v.verified_at)
        ]
        self.differs = bool(verified) and verified[-1] != subject.strata
        self.deviations = sum(
            by_the_cut(d.approved_at) for d in Deviation.objects.filter(subject=subject)
        )
        ends = [on for kind, on in self.events.items() if kind != "new_therapy"]
        ends += [r.assessed_on for r in self.reads if (r.reader, r.response) == ("local", "PD")]
        self.ended = min(ends, default=None)
        schedule = subject.study.definition.schedule
        self.visits = self._visits(schedule)
        last = max([self.randomized_on, *(r.assessed_on for r in self.reads)])
        days = schedule.window_before_days + schedule.every_days + schedule.window_after_days
        self.late = self.ended is None and (cut - last).days > days

    def _visits(self, schedule):
        found = Counter()
        planned = list(self.subject.visits.all())
        until = min([self.cut, *([self.ended] if self.ended else [])])
        for visit in planned:
            done = visit.done_on is not None and visit.done_on <= self.cut
            due = visit.due_on <= until
            found["due"] += done or due
            found["done"] += done
            found["missed"] += due and visit.status == "missed"
            found["outside"] += done and not (visit.window_from <= visit.done_on <= visit.window_to)
        following = max(visit.due_on for visit in planned) + timedelta(days=schedule.every_days)
        while following <= until:
            found["due"] += 1
            following += timedelta(days=schedule.every_days)
        found["open"] = found["due"] - found["done"] - found["missed"]
        return found

    def did(self, model, field, drug):
        rows = model.everything.filter(subject=self.subject, drug=drug, in_error=False)
        return any(getattr(row, field) <= self.cut for row in rows)


def recounted(study, cut):
    definition = study.definition
    every = [Recount(s, cut) for s in study.subjects.select_related("centre", "study")]
    here = [each for each in every if each.randomized]
    courses = read_courses(study, cut)
    visits = sum((each.visits for each in here), Counter())

    def place(some):
        mine = [each for each in some if each.randomized]
        return (
            sum(e.screened for e in some),
            sum(e.failed for e in some),
            len(mine),
            sum(e.visits["open"] for e in mine),
            sum(e.late for e in mine),
        )

    def at(test):
        return [each for each in every if test(each.subject.centre)]

    known = [
        centre
        for centre in Centre.objects.filter(study=study).order_by("number")
        if any(e.screened for e in at(lambda c, pk=centre.pk: c.pk == pk))
        or (
            centre.activated_at is not None
            and clock.local_date(centre.activated_at, centre.time_zone) <= cut
        )
    ]
    countries = sorted({(c.country_name, c.country_code) for c in known})
    by_month = Counter(f"{each.randomized_on:%Y-%m}" for each in here)
    months, total = [], 0
    day = min(each.randomized_on for each in here).replace(day=1)
    while day <= max(each.randomized_on for each in here):
        total += by_month[f"{day:%Y-%m}"]
        months.append((f"{day:%B %Y}", by_month[f"{day:%Y-%m}"], total))
        day = (day + timedelta(days=32)).replace(day=1)
    return {
        "subjects": [sum(e.screened for e in every), sum(e.failed for e in every), len(here)],
        "months": months,
        "countries": [
            (name, *place(at(lambda c, code=code: c.country_code == code)))
            for name, code in countries
        ],
        "centres": [
            (f"{c.number} {c.name}", *place(at(lambda each, pk=c.pk: each.pk == pk))) for c in known
        ],
        "factors": [
            [
                (level.label, sum(e.subject.strata[f.key] == level.key for e in here))
                for level in f.levels
            ]
            for f in definition.factors
        ],
        "quality": [
            sum(e.deviations for e in here),
            sum(e.in_error for e in here),
            sum(e.differs for e in here),
            *(visits[name] for name in ("due", "done", "outside", "missed", "open")),
            sum(r.reader == "local" for e in here for r in e.reads),
            sum(r.reader == "central" for e in here for r in e.reads),
            sum(e.late for e in here),
        ],
        "events": [
            analysis.count_events(courses.values(), cut, "local"),
            analysis.count_events(courses.values(), cut, "central"),
            sum(happened(c.died_on, cut) for c in courses.values() if c.randomized_on <= cut),
            *(sum(k in e.events for e in here) for k in ("new_therapy", "withdrawal", "lost")),
        ],
        "drugs": [
            (
                drug.label,
                sum(e.did(DrugStop, "stopped_on", drug.key) for e in here),
                sum(e.did(DoseReduction, "reduced_on", drug.key) for e in here),
            )
            for drug in definition.drugs
        ],
    }


def told(study, cut):
    report = open_report(study, DataCut(study=study, cut_on=cut, made_at=clock.now()))
    tables = {table.key: [tuple(row) for row in table.rows] for table in report.tables}
    return {
        "subjects": [number for _, number in tables["subjects"][:3]],
        "factors": [tables[f"factor.{f.key}"] for f in study.definition.factors],
        "quality": [number for _, number in tables["quality"]],
        "events": [number for _, number in tables["events"][:6]],
        **{key: tables[key] for key in ("months", "countries", "centres", "drugs")},
    }


def spoil(study):
    subjects = list(Subject.objects.filter(study=study, status="randomized").order_by("pk"))
    with clock.at(make.at(2010, 6, 30, 23)):  # the next day east of Greenwich
        for subject in subjects[:6]:
            mark_in_error(subject, by=BY, reason="No consent")
            other = {
                factor.key: next(
                    level.key for level in factor.levels if level.key != subject.strata[factor.key]
                )
                for factor in study.definition.factors
            }
            verify_stratum(subject, other, by=BY, reason="The report says so")
    with clock.at(make.at(2010, 9, 1)):
        for subject in subjects[:2]:
            verify_stratum(subject, subject.strata, by=BY, reason="It was right")
    with clock.at(make.at(2011, 3, 1)):
        for read in TumourRead.objects.filter(reader="central", response="PD")[:3]:
            fact = FACTS["central-read"]
            correct(read.subject, fact, read.pk, {}, by=BY, why="Another's scan", in_error=True)
        for event in SubjectEvent.objects.filter(kind__in=("death", "withdrawal"))[::2]:
            correct(event.subject, FACTS["event"], event.pk, {}, by=BY, why="No", in_error=True)


def test_every_number_is_counted_again(committed_db):
    study, _ = replayed(subjects=40, centres=9, kits=1200)
    for turn in range(2):
        for cut in CUTS:
            assert told(study, cut) == recounted(study, cut)
        if not turn:
            spoil(study)


@pytest.mark.parametrize("seed", range(3))
def test_what_no_tidy_trial_has_is_counted_again(db, seed):
    """Random visits of every state, facts in error and ends before and after the cut."""
    chance = random.Random(seed)
    with clock.at(make.at(2009, 12, 1)):
        study = make.a_study(with_list=False)
        zones = ("Europe/Paris", "Asia/Tokyo", "America/New_York", "Pacific/Auckland")
        centres = [make.a_centre(study, cover=0, time_zone=zone) for zone in zones]
    for centre in centres:
        for subject in many_subjects(centre, 25, seed=chance.random()):
            plan_at_random(subject, chance)
    for model in (TumourRead, SubjectEvent, DrugStop):
        keys = list(model.objects.values_list("pk", flat=True))
        model.objects.filter(pk__in=chance.sample(keys, len(keys) // 5)).update(in_error=True)
    seen = Counter()
    for cut in (date(2010, 4, 30), date(2010, 10, 10), date(2011, 6, 1)):
        assert told(study, cut) == recounted(study, cut)
        seen.update(dict(enumerate(told(study, cut)["quality"][3:])))
    assert all(number > 10 for number in seen.values())  # nothing is equal for want of rows


def plan_at_random(subject, chance):
    """Visits as a centre leaves them that is late, forgets some, or records nothing for long."""
    anchor = clock.local_date(subject.randomized_at, subject.centre.time_zone)
    if chance.random() < 0.3:  # before randomization: baseline, whatever it says
        before = anchor - timedelta(days=10)
        TumourRead.objects.create(
            subject=subject, reader="local", assessed_on=before, response="PD", read_on=before
        )
    schedule = subject.study.definition.schedule
    for planned in planned_visits(schedule, anchor, 1, chance.choice([2, 9])):
        status = chance.choice(["planned", "due", "overdue", "done", "done", "missed", "cancelled"])
        Visit.objects.create(
            subject=subject,
            number=planned.number + 1,  # one is there already
            due_on=planned.due_on,
            window_from=planned.window_from,
            window_to=planned.window_to,
            status=status,
            done_on=planned.due_on + timedelta(days=chance.randint(-15, 15))
            if status == "done"
            else None,
        )
