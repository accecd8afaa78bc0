"""A study for training: its own row, list and subjects; marked everywhere and never analysed."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.urls import reverse

from dsmb.models import DataCut
from dsmb.services import cut_data, watch_events
from iwrs import clock, outbox, studies
from iwrs.accounts.models import Role, User
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Problem
from iwrs.signatures import Signature
from randomization.letters import BUDGET
from randomization.unblinded import services as lists
from randomization.unblinded.models import RandomizationList
from tests import factories as make
from tests.dsmb.rows import many_subjects
from tests.portal.conftest import signed_in
from tests.roles import as_unblinded

__all__ = ["signed_in"]
pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-083")]
MARK = "Training. Nothing here is of a real subject."
PART = "Part of what you see may be training: study "


@pytest.fixture
def real() -> Study:
    return make.a_study(code="real_one")


@pytest.fixture
def training(real: Study) -> Study:
    loaded = make.small_definition("real_one")
    version = studies.load(loaded, by=make.TESTER, list_exists=lambda study: False, training=True)
    study = version.study
    with as_unblinded():
        made = lists.generate_list(study, by=make.STATISTICIANS[0])
        for person in make.STATISTICIANS[1:]:
            signature = Signature(person.label, clock.now(), "I approve this list")
            made = lists.approve_list(made, by=person, signature=signature)
    return studies.set_status(study, "open", by=make.TESTER)


def test_it_stands_beside_the_real_study(real: Study, training: Study) -> None:
    assert (training.code, training.training) == ("real_one_train", True)
    assert training.title == f"Training: {real.title}"
    assert not Study.objects.get(pk=real.pk).training
    make.a_randomized_subject(make.a_centre(training))
    assert real.subjects.count() == 0
    with as_unblinded():
        seeds = {each.seed for each in RandomizationList.objects.all()}
    assert len(seeds) == 2
    again = studies.load(
        make.small_definition("real_one", more="\n# another\n"),
        by=make.TESTER,
        list_exists=lambda study: False,
    )
    assert again.study == real
    with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE iwrs_study SET training = false")


def test_the_command_loads_it(tmp_path: Any, real: Study) -> None:
    file = tmp_path / "study.toml"
    file.write_text(make.small_definition("real_one").text, encoding="utf-8")
    out = io.StringIO()
    for _ in range(2):
        call_command("study", "load", str(file), "--training", "--yes", stdout=out)
    assert "Stored as version 1 of real_one_train." in out.getvalue()
    assert out.getvalue().endswith("No changes.\n")
    assert real.versions.count() == 1


def test_it_is_never_analysed(training: Study) -> None:
    many_subjects(make.a_centre(training, cover=0), 40)
    with pytest.raises(Problem) as refused:
        cut_data(training, by=make.TESTER, on=clock.today(), reason="Look")
    assert refused.value.code == "training_study"
    with pytest.raises(IntegrityError, match="for training"), transaction.atomic():
        DataCut.objects.create(
            study=training, cut_on=clock.today(), reason="x", made_by="x", made_at=clock.now()
        )
    assert watch_events(training) == []


def test_every_page_says_so_and_a_real_one_does_not(
    real: Study, training: Study, signed_in: Callable[[User], Any]
) -> None:
    here, there = make.a_centre(training), make.a_centre(real)
    trainee = make.a_user(Role.SITE_COORDINATOR, centre=here)
    both = make.a_user(Role.SITE_COORDINATOR, centre=here)
    both.centre_roles.create(centre=there, role=Role.SITE_COORDINATOR, since="2000-01-01")
    worker = make.a_user(Role.SITE_COORDINATOR, centre=there)
    own, other = make.a_subject(here), make.a_subject(there)

    def told(person: User, name: str, *about: Any) -> str:
        text = signed_in(person).get(reverse(name, args=about)).content.decode()
        return MARK if MARK in text else PART if PART in text else ""

    for name, *about in [("home",), ("subjects",), ("subject", own.pk), ("screen", here.pk)]:
        assert told(trainee, name, *about) == MARK
    assert told(both, "home") == told(both, "subject", other.pk) == PART
    assert told(both, "subject", own.pk) == told(both, "centre", here.pk) == MARK
    for name, *about in [("home",), ("subject", other.pk), ("centre", there.pk)]:
        assert told(worker, name, *about) == ""


def test_letters_say_so(training: Study) -> None:
    make.a_user(Role.STUDY_MANAGER, study=training)
    with act("say", by=make.TESTER):
        outbox.queue(training, BUDGET, key="one", refs={})
    outbox.deliver_due()
    [letter] = mail.outbox
    assert letter.body.startswith(f"{outbox.TRAINING}\n\n")
    assert "[real_one_train]" in letter.subject
