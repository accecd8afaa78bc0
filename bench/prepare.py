"""Fills a new database for the benchmark: run with the blinded or the unblinded login.

`python -m bench.prepare study|list|stock|subjects` prints one JSON line.
"""

import json
import os
import re
import sys
from collections.abc import Callable
from datetime import date, timedelta
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "iwrs.settings")
django.setup()

from dispensing.models import Dispensation  # noqa: E402
from dispensing.unblinded.numbers import plan_lots, vendor_csv  # noqa: E402
from dispensing.unblinded.services import import_kits, stock_centre  # noqa: E402
from enrolment import services as enrolment  # noqa: E402
from enrolment.models import Subject  # noqa: E402
from iwrs import clock, studies  # noqa: E402
from iwrs.actors import SYSTEM, Actor  # noqa: E402
from iwrs.definition import parse_definition  # noqa: E402
from iwrs.models import EdcClient, Study  # noqa: E402
from iwrs.signatures import Signature  # noqa: E402
from randomization.drills import practise  # noqa: E402
from randomization.unblinded.services import approve_list, generate_list  # noqa: E402

CODE = "benchmark"
CENTRES = 16
METHOD = os.environ.get("BENCH_METHOD", "permuted-blocks")
KEYS = {
    "permuted-blocks": "block_sizes = [3, 6]",
    "minimization": 'imbalance = "range"\ncoin = "4/5"',
}
PEOPLE = [Actor(label=f"Statistician {n}") for n in range(3)]


def study(subjects: int) -> dict[str, Any]:
    """A study like BOLERO-2 with room for all subjects, its centres and its EDC client."""
    text = (Path(__file__).parent.parent / "studies" / "bolero2.toml").read_text(encoding="utf-8")
    for key, value in {
        "code": f'"{CODE}"',
        "method": f'"{METHOD}"',
        "block_sizes": KEYS[METHOD],
        "list_length": subjects if METHOD == "minimization" else subjects // 3 + 30,
        "max_subjects": subjects,
        "planned_subjects": subjects,
        "cohort_size": subjects // CENTRES + 1,
    }.items():
        line = value if key == "block_sizes" else f"{key} = {value}"
        text = re.sub(rf"^{key} = [^#\n]+", f"{line} ", text, count=1, flags=re.MULTILINE)
    loaded = parse_definition(text)
    made = studies.load(loaded, by=SYSTEM, list_exists=lambda study: False).study
    for number in range(CENTRES):
        centre = enrolment.add_centre(
            made,
            by=SYSTEM,
            number=f"{number + 1:04d}",
            name=f"Centre {number + 1}",
            country_code="FR",
            country_name="France",
            time_zone="Europe/Paris",
        )
        investigator = Actor(label=f"Investigator {number}", role="investigator")
        signature = Signature(investigator.label, clock.now(), "I practise a code break")
        practise(centre, by=investigator, signature=signature)
        enrolment.activate_centre(centre, by=SYSTEM, ethics_approved_on=date(2020, 1, 1))
    studies.set_status(made, Study.Status.OPEN, by=SYSTEM)
    secret = "only-for-the-benchmark-on-this-machine"
    scopes = "subjects:read subjects:randomize"
    client = EdcClient.objects.create(
        study=made,
        name="benchmark",
        allowed_scopes=scopes,
        client_type=EdcClient.CLIENT_CONFIDENTIAL,
        authorization_grant_type=EdcClient.GRANT_CLIENT_CREDENTIALS,
        client_secret=secret,
    )
    return {"client": client.client_id, "secret": secret, "scopes": scopes}


def list_(_: int) -> dict[str, Any]:
    """The approved list."""
    made = generate_list(Study.objects.get(code=CODE), by=PEOPLE[0])
    for person in PEOPLE[1:]:
        made = approve_list(
            made, by=person, signature=Signature(person.label, clock.now(), "I approve")
        )
    return {"list": made.status}


def stock(subjects: int) -> dict[str, Any]:
    """Cover for every subject, evenly over the centres."""
    made = Study.objects.get(code=CODE)
    lots = plan_lots(1, first_expiry=clock.today() + timedelta(days=900), months_apart=6)
    kits = 2 * CENTRES * (subjects // CENTRES + 1)
    text = vendor_csv(made.definition, kits=kits, lots=lots)
    import_kits(made, text, file_name="benchmark.csv", by=SYSTEM)
    for centre in made.centres.all():
        stock_centre(centre, by=SYSTEM)
    return {"kits": kits}


def subjects(count: int) -> dict[str, Any]:
    """Eligible subjects, evenly over centres, with strata as they come; half of them with a
    dispensation ready, for the raw calls. Returns the first key of each half and the numbers of
    the second half.
    """
    made = Study.objects.get(code=CODE)
    definition = made.definition
    strata = definition.strata()
    centres = cycle(made.centres.order_by("number"))
    answers = {q.key: "yes" if q.kind == "include" else "no" for q in definition.eligibility}
    rows: list[Subject] = []
    order = Random(CODE)
    for _ in range(count):
        centre = next(centres)
        screening = enrolment.Screening(
            consent_on=clock.today() - timedelta(days=1),
            strata=order.choice(strata).levels,
            eligibility=answers,
            baseline={"age": 60, "ecog": "0"},
        )
        rows.append(enrolment.screen(centre, screening, by=SYSTEM))
    raw = rows[: count // 2]
    today = clock.today()
    ready = Dispensation.objects.bulk_create(
        Dispensation(subject=subject, number=0, due_on=today, earliest_on=today) for subject in raw
    )
    return {
        "raw_subject": raw[0].pk,
        "raw_dispensation": ready[0].pk,
        "numbers": [subject.number for subject in rows[count // 2 :]],
    }


STEPS: dict[str, Callable[[int], dict[str, Any]]] = {
    "study": study,
    "list": list_,
    "stock": stock,
    "subjects": subjects,
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(STEPS[sys.argv[1]](int(sys.argv[2]))) + "\n")
