"""Methods in the database: a list of each, and minimization in the gate as Python decides it."""

import json

import pytest
from django.db import connection, transaction

from enrolment.models import Subject
from iwrs import gate
from iwrs.models import Study
from iwrs.problems import Problem
from randomization.methods import Coin, Minimization, tracks
from randomization.methods.minimization import IMBALANCES
from randomization.models import Randomization
from randomization.unblinded.models import ListEntry, RandomizationList, StratumCursor
from tests import factories as make
from tests.randomization.recomputed import decided_again
from tests.roles import Logins, as_unblinded
from trial.services import randomize

pytestmark = pytest.mark.django_db
LEVELS = ["yes", "no"]


def subjects_at(study: Study, count: int, country: str = "DE") -> None:
    centre = make.a_centre(study, cover=6, country_code=country)
    for n in range(count):
        strata = {"visceral": LEVELS[n % 2], "sensitive": LEVELS[n // 3 % 2]}
        randomize(make.a_subject(centre, strata=strata), by=make.TESTER)


@pytest.mark.parametrize("imbalance", IMBALANCES)
@pytest.mark.parametrize("coin", ["4/5", "1"])
def test_the_gate_decides_as_python_does(imbalance, coin, monkeypatch):
    keys = f'imbalance = "{imbalance}"\ncoin = "{coin}"\nweights = {{ visceral = 3, country = 2 }}'
    monkeypatch.setitem(make.METHODS, "minimization", keys)
    study = make.a_study(method="minimization", keys='stratify_by = ["country"]')
    subjects_at(study, 9, "DE")
    subjects_at(study, 6, "FR")
    assert decided_again(study) == 15


@pytest.mark.parametrize("method", make.METHODS)
def test_a_list_of_each_method_serves_subjects(method):
    study = make.a_study(method=method)
    subjects_at(study, 5)
    with as_unblinded():
        made = RandomizationList.objects.get(study=study)
        assert made.algorithm == f"{method}/1"
        assert made.dynamic == (method == "minimization")
        assert StratumCursor.objects.filter(list=made).count() == (1 if made.dynamic else 4)
        used = sum(StratumCursor.objects.filter(list=made).values_list("used", flat=True))
        assert used == 5
        assert ListEntry.objects.filter(list=made, draw__isnull=made.dynamic).count() == 0


def test_a_country_is_a_stratum_and_one_without_a_list_is_refused():
    study = make.a_study(keys='stratify_by = ["country"]', with_list=False)
    here = make.a_centre(study, cover=1, country_code="DE")
    make.an_active_list(study)
    subject = make.a_subject(here, strata={"visceral": "yes", "sensitive": "no"})
    randomize(subject, by=make.TESTER)
    key = Randomization.objects.get(subject=subject).stratum_key
    assert key == "visceral=yes|sensitive=no|country=DE"
    elsewhere = make.a_centre(study, cover=1, country_code="JP")
    with pytest.raises(Problem) as refused:
        randomize(make.a_subject(elsewhere), by=make.TESTER)
    assert refused.value.code == "no_place"


def test_a_list_by_centres_needs_a_centre():
    study = make.a_study(keys='stratify_by = ["centre"]', with_list=False)
    with pytest.raises(Problem) as refused:
        make.an_active_list(study)
    assert refused.value.code == "no_centres"


@pytest.mark.parametrize(
    "key",
    [
        "q=x1|q=x2|q=x3",
        "visceral=maybe|sensitive=no|country=DE",
        "visceral=yes|visceral=yes|country=DE",
        "sensitive=no|visceral=yes|country=DE",
        "visceral=yes|sensitive=no",
        "visceral=yes|sensitive=no|country=FR",
        "visceral=yes|sensitive=no|country=DE|country=DE",
        "visceral=yes=no|sensitive=no|country=DE",
    ],
)
def test_levels_that_nobody_has_are_refused(key):
    """Whoever can write a subject's row cannot make margins of their own: two subjects at a level
    of nobody else would have arms that tell each other.
    """
    study = make.a_study(method="minimization", keys='stratify_by = ["country"]')
    subject = make.a_subject(make.a_centre(study, cover=1, country_code="DE"))
    right = subject.stratum_key
    Subject.objects.filter(pk=subject.pk).update(stratum_key=key)
    with pytest.raises(Problem) as refused, gate.refusals(), transaction.atomic():
        gate.call("allocate", subject.pk)
    assert refused.value.code == "not_ready_to_randomize"
    Subject.objects.filter(pk=subject.pk).update(stratum_key=right)
    randomize(subject, by=make.TESTER)


def test_a_region_is_that_of_the_centre():
    keys = 'stratify_by = ["region"]\nregions = { europe = ["DE", "FR"] }'
    study = make.a_study(method="minimization", keys=keys)
    for country, region in (("FR", "europe"), ("JP", "other")):
        subject = make.a_subject(make.a_centre(study, cover=1, country_code=country))
        assert subject.stratum_key.endswith(f"region={region}")
        randomize(subject, by=make.TESTER)
    assert decided_again(study) == 2


def test_small_parts_in_sql_are_those_of_python(logins: Logins):
    owner = logins.owner()

    def asked(statement: str, *values: object):
        return owner.execute(f"SELECT {statement}", values).fetchone()

    arms = (("AA", 4), ("BB", 2), ("CC", 6))
    [lanes] = asked("unblinded.tracks(%s::jsonb)", json.dumps(arms))
    assert tuple(lanes) == tracks(arms)
    for text in ("2/3", "0.8", "1", "0.55", "999/1000", "0.75"):
        odds = asked("(unblinded.odds(%s)).favour, (unblinded.odds(%s)).against", text, text)
        assert odds == (Coin.of(text).favour, Coin.of(text).against)
    for kind in IMBALANCES:
        [found] = asked("unblinded.imbalance(%s, %s::integer[], 2)", kind, [4, 0, 7])
        # raised by one at the second track
        assert found == Minimization(kind, "1").score({"f": (4, -1, 7)}, 1)


def test_nobody_but_the_gate_decides():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
            " WHERE n.nspname = 'unblinded' AND p.proname IN"
            " ('minimize', 'tracks', 'margin_at', 'imbalance', 'odds', 'levels_known')"
            " AND (has_function_privilege('iwrs_blinded', p.oid, 'EXECUTE')"
            " OR has_function_privilege('iwrs_unblinded', p.oid, 'EXECUTE'))"
        )
        assert cursor.fetchall() == []
