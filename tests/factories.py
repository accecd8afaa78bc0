"""Small real studies for tests, made through the same services as in production.

What most tests only need to be there is written as those services leave it: kits at a centre, and
the two approvals of a list.
"""

import hashlib
import itertools
import re
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path

import pyrage
from django.db import connection, transaction

from dispensing.models import Cohort, Kit, Lot
from dispensing.unblinded.models import CentreCalls, CoverKit, KitContent
from dsmb.unblinded.holders import register_holder
from dsmb.unblinded.models import EmergencyHolder
from enrolment import services as enrolment
from enrolment.models import Centre, CentreRole, CodeBreakDrill, Subject
from iwrs import clock, studies
from iwrs.accounts.models import Role, StudyRole, User
from iwrs.actors import Actor
from iwrs.definition import LoadedDefinition, StudyDefinition, parse_definition
from iwrs.models import Study
from iwrs.signatures import Signature
from randomization import drills
from randomization.listing.split import commitment_of
from randomization.unblinded import seeds
from randomization.unblinded import services as lists
from randomization.unblinded.models import RandomizationList
from randomization.unblinded.models_life import SplitSeed
from randomization.unblinded.models_simulation import SimulationRun
from randomization.unblinded.simulation_plan import Asked, plan_of
from randomization.unblinded.simulations import request_simulation, work_simulations
from tests.roles import as_unblinded

ROOT = Path(__file__).resolve().parent.parent
TESTER = Actor(label="Tester <tester@example.org>", kind="person", key="0")
INVESTIGATOR = Actor(label="Investigator <i@example.org>", kind="person", role="investigator")
STATISTICIANS = [Actor(label=f"Statistician {n} <s{n}@example.org>") for n in range(3)]
_number = itertools.count(1)
# Centres count by themselves, from 5000 to 8999: no year and no number that a test writes down.
_centres = itertools.count()


@cache
def bolero2_text() -> str:
    return (ROOT / "studies" / "bolero2.toml").read_text(encoding="utf-8")


# The keys of `[randomization]` for one study of each method, but for `list_length`.
METHODS = {
    "permuted-blocks": "block_sizes = [3, 6]",
    "complete": "",
    "efron": 'coin = "2/3"',
    "big-stick": "bound = 2",
    "urn": "start = 1\nadded = 1",
    "minimization": 'imbalance = "range"\ncoin = "4/5"\nweights = { visceral = 2 }',
}
DYNAMIC_LENGTH = 120  # a dynamic method has one list for the whole study


def small_definition(
    code: str = "bolero2",
    length: int = 30,
    method: str = "permuted-blocks",
    keys: str = "",
    more: str = "",
    in_study: str = "",
) -> LoadedDefinition:
    """BOLERO-2 with short lists, so that a test does not make two thousand entries.

    `keys` are more lines of the table `[randomization]`, `more` is put at the end of the file:
    further tables, as TOML. `in_study` are more lines of [study].
    """
    text = bolero2_text().replace('code = "bolero2"', f'code = "{code}"', 1)
    for key, value in {
        "planned_subjects": 4 * length,
        "max_subjects": 4 * length,
        "list_length": DYNAMIC_LENGTH if method == "minimization" else length,
        "planned_events": 4 * length,
        "package_kib": max(256, 2 * length),
    }.items():
        text = re.sub(rf"^{key} = \d+", f"{key} = {value}", text, count=1, flags=re.MULTILINE)
    text = re.sub('^method = "permuted-blocks"', f'method = "{method}"', text, flags=re.MULTILINE)
    text = re.sub(
        r"^block_sizes = .*$", f"{METHODS[method]}\n{keys}", text, count=1, flags=re.MULTILINE
    )
    text = text.replace("[study]\n", f"[study]\n{in_study}\n", 1)
    return parse_definition(text + more, source="test study")


def a_study(
    *,
    status: str = "open",
    with_list: bool = True,
    code: str = "",
    length: int = 30,
    method: str = "permuted-blocks",
    keys: str = "",
    more: str = "",
    in_study: str = "",
) -> Study:
    """A study with its definition loaded and, unless said otherwise, an active list."""
    loaded = small_definition(
        code or f"study_{next(_number)}", length, method, keys, more, in_study
    )
    study = studies.load(loaded, by=TESTER, list_exists=lambda study: False).study
    if with_list:
        a_list_in_use(study)
    if status != Study.Status.DRAFT:
        study = studies.set_status(study, Study.Status.OPEN, by=TESTER)
    return studies.set_status(study, status, by=TESTER)


def an_active_list(study: Study, *, split: bool = False) -> None:
    """Generate the study's list and let two people approve it. `split`: two make its seed."""
    with as_unblinded():
        seed = a_split(study, opened=2) if split else None
        made = lists.generate_list(study, by=STATISTICIANS[0], split=seed)
        for person in STATISTICIANS[1:]:
            signature = Signature(person.label, clock.now(), "I approve this list")
            made = lists.approve_list(made, by=person, signature=signature)


def a_list_in_use(study: Study) -> None:
    """An active list as `an_active_list` leaves it, but for what the two approvals record of
    themselves: most tests need a list, and few how it came.
    """
    with as_unblinded():
        made = lists.generate_list(study, by=STATISTICIANS[0])
        with transaction.atomic():
            _approve(made)


def _approve(made: RandomizationList) -> None:
    moment = clock.now()
    made.first_approved_by, made.second_approved_by = (p.label for p in STATISTICIANS[1:])
    made.first_approved_at = made.second_approved_at = moment
    made.status = RandomizationList.Status.ACTIVE
    made.save()
    lists._activate(made)


def a_listed_study(*, length: int = 30, split: bool = False) -> Study:
    """An open study with an active list, whose seed two people made if `split`."""
    study = a_study(with_list=False, length=length)
    an_active_list(study, split=split)
    return study


def a_centre(study: Study, *, cover: int = 1, active: bool = True, **fields: object) -> Centre:
    """A centre, active unless said otherwise, with `cover` cohorts of kits."""
    number = fields.pop("number", f"{next(_centres) % 4000 + 5000}")
    centre = enrolment.add_centre(
        study,
        by=TESTER,
        number=number,
        name=f"Hospital {number}",
        country_code=fields.pop("country_code", "FR"),
        country_name=fields.pop("country_name", "France"),
        time_zone=fields.pop("time_zone", "Europe/Paris"),
        **fields,
    )
    if active:
        a_drill(centre)
        approved = clock.today() - timedelta(days=30)
        centre = enrolment.activate_centre(centre, by=TESTER, ethics_approved_on=approved)
    for _ in range(cover):
        a_cohort(centre)
    return centre


def a_drill(centre: Centre, *, by: Actor = INVESTIGATOR) -> CodeBreakDrill:
    """A finished code break drill, without which no centre is activated."""
    signature = Signature(by.label, clock.now(), "I practise")
    return drills.practise(centre, by=by, signature=signature)


def a_cohort(centre: Centre, *, size: int = 6, expires_on: date | None = None) -> Cohort:
    """A cover cohort with kits of every arm, written as the unblinded side would."""
    with as_unblinded(), transaction.atomic():
        expires_on = expires_on or clock.today() + timedelta(days=900)
        lot, _ = Lot.objects.get_or_create(
            study=centre.study, number=f"L{expires_on:%Y%m%d}", defaults={"expires_on": expires_on}
        )
        cohort = Cohort.objects.create(centre=centre, lot=lot, size=size, received_at=clock.now())
        places = list(itertools.product(range(1, size + 1), centre.study.definition.arm_codes))
        kits = some_kits(centre, lot, [arm for _, arm in places])
        CoverKit.objects.bulk_create(
            CoverKit(cohort=cohort, position=position, arm=arm, kit=kit)
            for (position, arm), kit in zip(places, kits, strict=True)
        )
        open_centre(centre)
        lists.open_calls("cohort", [cohort.pk])
    return cohort


def a_kit(centre: Centre, lot: Lot, arm: str) -> Kit:
    """A kit at a centre, with its content on the unblinded side. Call it as unblinded."""
    [kit] = some_kits(centre, lot, [arm])
    return kit


def some_kits(centre: Centre, lot: Lot, arms: list[str]) -> list[Kit]:
    """A kit for each of `arms`, as `a_kit` makes one."""
    serials = list(itertools.islice(_number, len(arms)))
    status = Kit.Status.AT_CENTRE
    kits = Kit.objects.bulk_create(
        Kit(study=centre.study, number=f"{serial:07d}", lot=lot, status=status, centre=centre)
        for serial in serials
    )
    KitContent.objects.bulk_create(
        KitContent(kit=kit, study=centre.study, lot=lot, arm=arm, rank=serial, sent=True)
        for kit, arm, serial in zip(kits, arms, serials, strict=True)
    )
    return kits


def open_centre(centre: Centre) -> None:
    """Make the counter of kit calls of a centre. Call it as unblinded."""
    CentreCalls.objects.get_or_create(centre=centre)
    lists.open_calls("centre", [centre.pk])


def passing_answers(definition: StudyDefinition) -> dict[str, str]:
    """Answers that let a subject in."""
    return {c.key: "yes" if c.kind == "include" else "no" for c in definition.eligibility}


def baseline_values(definition: StudyDefinition) -> dict[str, object]:
    """Allowed values of the required baseline items."""
    return {
        item.key: (item.choices[0].key if item.type == "choice" else item.minimum or 60)
        for item in definition.baseline
        if item.required
    }


def screening(study: Study, **changes: object) -> enrolment.Screening:
    """Complete answers of an eligible subject, but for `changes`."""
    definition = study.definition
    answers: dict[str, object] = {
        "consent_on": clock.today() - timedelta(days=1),
        "strata": {factor.key: factor.levels[0].key for factor in definition.factors},
        "eligibility": passing_answers(definition),
        "baseline": baseline_values(definition),
    }
    return enrolment.Screening(**(answers | changes))  # type: ignore[arg-type]


def a_subject(centre: Centre, *, eligible: bool = True, **changes: object) -> Subject:
    """A screened subject; `eligible=False` leaves one question unanswered."""
    answers = screening(centre.study, **changes)
    if not eligible:
        left = dict(list(answers.eligibility.items())[:-1])
        answers = enrolment.Screening(answers.consent_on, answers.strata, left, answers.baseline)
    return enrolment.screen(centre, answers, by=TESTER)


def a_randomized_subject(centre: Centre, **changes: object) -> Subject:
    """A subject who went through screening and randomization."""
    from trial.services import randomize

    return randomize(a_subject(centre, **changes), by=TESTER).subject


def a_user(
    role: Role,
    *,
    centre: Centre | None = None,
    study: Study | None = None,
    password: str | None = "correct horse battery staple",
) -> User:
    """A person with one role, at a centre or in a whole study."""
    serial = next(_number)
    user = User.objects.create_user(
        f"{role}{serial}@example.org", name=f"{Role(role).label} {serial}", password=password
    )
    since = date(2000, 1, 1)
    if centre is not None:
        CentreRole.objects.create(user=user, centre=centre, role=role, since=since)
    if study is not None:
        StudyRole.objects.create(user=user, study_code=study.code, role=role, since=since)
    return user


def a_holder(study: Study, public_key: str = "", **more: object) -> EmergencyHolder:
    """An emergency holder of the sealed packs. Call it as unblinded."""
    key = public_key or str(pyrage.x25519.Identity.generate().to_public())
    return register_holder(
        study,
        name="Duty pharmacist",
        who="Emergency pharmacy, +33 1 00 00 00 00",
        public_key=key,
        by=STATISTICIANS[0],
        **more,  # type: ignore[arg-type]
    )


def a_split(study: Study, *, opened: int = 0, fill: str = "") -> SplitSeed:
    """A seed to which two people committed and `opened` of them opened. Call as unblinded."""
    people = STATISTICIANS[1:]
    drawn = [hashlib.sha256(f"{fill}{study.code}{n}".encode()).hexdigest() for n in range(2)]
    for person, share in zip(people, drawn, strict=True):
        split = seeds.commit_share(study, commitment_of(share), by=person).split
    for person, share in list(zip(people, drawn, strict=True))[:opened]:
        signature = Signature(person.label, clock.now(), "I drew this share")
        seeds.open_share(split, share, by=person, signature=signature)
    return split


def a_simulation(study: Study, **more: object) -> SimulationRun:
    """A simulation of ten trials of twelve subjects, done. Call it as unblinded."""
    asked = Asked(**({"methods": "complete", "subjects": 12} | more))  # type: ignore[arg-type]
    run = request_simulation(study, plan_of(study, asked), trials=10, seed=1, by=STATISTICIANS[0])
    work_simulations(run=run.pk)
    return run


def at(year: int, month: int, day: int, hour: int = 10) -> datetime:
    """An aware moment in UTC."""
    return datetime(year, month, day, hour, tzinfo=UTC)


def arm_of(subject: Subject) -> str:
    """The arm of a subject, asked as the unblinded side."""
    with as_unblinded(), connection.cursor() as cursor:
        cursor.execute("SELECT arm FROM unblinded.allocation WHERE subject_id = %s", [subject.pk])
        return str(cursor.fetchone()[0])
