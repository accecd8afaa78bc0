"""Another ratio, an arm dropped, another method: a definition announced for the next list."""

import re
from io import StringIO
from pathlib import Path
from threading import Thread

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import Count, Q

from iwrs import clock, studies
from iwrs.definition import LoadedDefinition, parse_definition, plan_changes
from iwrs.models import Study
from iwrs.problems import Problem
from iwrs.signatures import Signature
from randomization.models import ListCommitment, Randomization
from randomization.unblinded import services as lists
from randomization.unblinded.arms import definition_of_list
from randomization.unblinded.bundle import bundle_of
from randomization.unblinded.models import Allocation, RandomizationList
from randomization.unblinded.verification import faults_of
from tests import factories as make
from tests.concurrency.test_broken_off import waiting_backend
from tests.randomization.test_verify import outside_faults
from tests.roles import Logins, as_unblinded
from trial.invariants import BLINDED
from trial.services import randomize

THIRD = """[[arms]]
code = "LOW"
label = "Low dose + exemestane"
ratio = 1

# Four strata"""


def one_to_one(study: Study) -> LoadedDefinition:
    """The study's definition with a ratio of 1:1, and blocks for it."""
    text = study.version.source.replace("ratio = 2", "ratio = 1", 1)
    text = re.sub(r"block_sizes = \[3, 6\]", "block_sizes = [2, 4]", text)
    return parse_definition(text, source="amendment")


def announce(study: Study, loaded: LoadedDefinition):
    return studies.load(loaded, by=make.TESTER, list_exists=lambda study: True, next_list=True)


def fresh(study: Study) -> Study:
    return Study.objects.get(pk=study.pk)


def next_list(study: Study, *, approvals: int = 2) -> RandomizationList:
    study = fresh(study)
    with as_unblinded():
        made = lists.generate_list(study, by=make.STATISTICIANS[0])
        for person in make.STATISTICIANS[1 : 1 + approvals]:
            signature = Signature(person.label, clock.now(), "I approve this list")
            made = lists.approve_list(made, by=person, signature=signature)
    return made


def arms_of(subjects) -> list[str]:
    return [make.arm_of(subject) for subject in subjects]


@pytest.mark.requirement("REQ-059")
def test_a_new_ratio_comes_with_its_list_and_leaves_what_was_allocated(db):
    study = make.a_study(length=12)
    centre = make.a_centre(study, cover=3)
    early = [make.a_randomized_subject(centre) for _ in range(5)]
    arms = arms_of(early)
    version = announce(study, one_to_one(study))
    assert (version.number, version.awaits_list) == (2, True)
    assert fresh(study).definition.ratio == (2, 1)  # not yet
    waiting = make.a_randomized_subject(centre)  # meanwhile the list in use serves
    next_list(study, approvals=1)
    assert fresh(study).definition.ratio == (2, 1)
    with as_unblinded():
        made = RandomizationList.objects.get(study=study, number=2)
        last = Signature(make.STATISTICIANS[2].label, clock.now(), "I approve this list")
        lists.approve_list(made, by=make.STATISTICIANS[2], signature=last)
        states = dict(RandomizationList.objects.values_list("number", "status"))
    assert states == {1: "closed", 2: "active"}
    assert fresh(study).definition.ratio == (1, 1)
    assert fresh(study).version.number == 2
    assert fresh(study).announced() is None
    roots = ListCommitment.objects.filter(study=study).order_by("list_number")
    assert [(each.list_number, each.active) for each in roots] == [(1, False), (2, True)]
    late = [make.a_randomized_subject(centre) for _ in range(8)]
    assert arms_of(early) == arms
    with as_unblinded():
        in_block = made.entries.values_list("stratum_key", "block")
        blocks = in_block.annotate(size=Count("pk"), active=Count("pk", filter=Q(arm="EVE")))
        assert all(size == 2 * active for *_, size, active in blocks)
        assert len(blocks) > 4
        assert Allocation.objects.filter(entry__list=made).count() == len(late)
    numbers = Randomization.objects.filter(study=study).values_list("number", flat=True)
    assert len(set(numbers)) == len(numbers) == 14
    assert waiting.randomization.number in numbers
    with as_unblinded():
        assert Allocation.objects.filter(entry__list__number=1).count() == 6
        assert list(faults_of(study)) == []
        made = bundle_of(study)
        assert [each["number"] for each in made["lists"]] == [1, 2]
        assert outside_faults(made, *[each.merkle_root for each in roots]) == []
        assert made["lists"][0]["seed"] != made["lists"][1]["seed"]
        assert definition_of_list(fresh(study)).ratio == (1, 1)


def test_an_arm_takes_no_new_subjects_and_who_has_it_keeps_it(db):
    text = make.small_definition("three", length=12).text
    text = text.replace("# Four strata", THIRD, 1)
    text = re.sub(r"(?m)^(contents = \{)", r'\1 LOW = "Low dose, bottle of 50",', text)
    text = re.sub(r"block_sizes = \[3, 6\]", "block_sizes = [4, 8]", text)
    loaded = parse_definition(text, source="three arms")
    study = studies.load(loaded, by=make.TESTER, list_exists=lambda study: False).study
    make.an_active_list(study)
    studies.set_status(study, "open", by=make.TESTER)
    centre = make.a_centre(fresh(study), cover=4)
    early = [make.a_randomized_subject(centre) for _ in range(8)]
    assert "LOW" in arms_of(early)
    dropped = text.replace(
        'label = "Low dose + exemestane"', 'label = "Low dose + exemestane"\nclosed = true'
    )
    dropped = dropped.replace("block_sizes = [4, 8]", "block_sizes = [3, 6]")
    announce(fresh(study), parse_definition(dropped, source="without LOW"))
    next_list(study)
    late = [make.a_randomized_subject(centre) for _ in range(9)]
    assert set(arms_of(late)) == {"EVE", "PBO"}
    assert "LOW" in arms_of(early)
    with as_unblinded():
        assert definition_of_list(fresh(study)).arm_codes == ("EVE", "PBO", "LOW")
        assert list(faults_of(study)) == []
        assert outside_faults(bundle_of(study)) == []


def test_another_method_for_the_next_list(db):
    study = make.a_study(length=12)
    centre = make.a_centre(study, cover=3)
    for _ in range(3):
        make.a_randomized_subject(centre)
    text = study.version.source.replace('method = "permuted-blocks"', 'method = "minimization"', 1)
    text = re.sub(r"(?m)^block_sizes = .*$", 'imbalance = "range"\ncoin = "4/5"', text, count=1)
    text = text.replace("list_length = 12", "list_length = 48")  # one list for all strata
    announce(study, parse_definition(text, source="minimization"))
    next_list(study)
    for _ in range(4):
        make.a_randomized_subject(centre)
    with as_unblinded():
        assert list(faults_of(study)) == []
        assert outside_faults(bundle_of(study)) == []


class TestRefused:
    def refusal(self, act, *given, **named) -> str:
        with pytest.raises(Problem) as refused:
            act(*given, **named)
        return refused.value.code

    def test_without_announcing_it(self, db):
        study = make.a_study(length=12)
        with pytest.raises(Problem) as refused:
            studies.load(one_to_one(study), by=make.TESTER, list_exists=lambda study: True)
        assert refused.value.code == "definition_locked"
        assert "--next-list" in refused.value.errors["arms[EVE].ratio"]

    @pytest.mark.parametrize(
        ("change", "key"),
        [
            (('label = "Everolimus + exemestane"', 'label = "Other"'), "arms[EVE].label"),
            (('levels = [{ key = "yes"', 'levels = [{ key = "yess"'), "factors[visceral]"),
            (("list_length = 12", 'list_length = 12\nstratify_by = ["country"]'),
             "randomization.stratify_by"),
        ],
    )  # fmt: skip
    def test_what_a_new_list_cannot_bring(self, db, change, key):
        study = make.a_study(length=12)
        loaded = parse_definition(study.version.source.replace(*change, 1), source="x")
        with pytest.raises(Problem) as refused:
            announce(study, loaded)
        assert any(each.startswith(key) for each in refused.value.errors), refused.value.errors
        assert fresh(study).versions.count() == 1

    def test_a_next_list_needs_one_before(self, db):
        study = make.a_study(with_list=False)
        code = self.refusal(
            studies.load,
            one_to_one(study),
            by=make.TESTER,
            list_exists=lambda study: False,
            next_list=True,
        )
        assert code == "no_list_yet"

    def test_an_active_list_is_not_replaced_without_an_announced_version(self, db):
        study = make.a_study(length=12)
        assert self.refusal(next_list, study) == "list_exists"

    def test_a_version_loaded_later_takes_the_place_of_the_announced_one(self, db):
        study = make.a_study(length=12)
        announce(study, one_to_one(study))
        next_list(study, approvals=1)
        later = parse_definition(study.version.source + "\n# only a comment\n", source="later")
        studies.load(later, by=make.TESTER, list_exists=lambda study: True)
        assert fresh(study).announced() is None
        with as_unblinded():
            made = RandomizationList.objects.get(study=study, number=2)
            signature = Signature(make.STATISTICIANS[2].label, clock.now(), "I approve this list")
            code = self.refusal(
                lists.approve_list, made, by=make.STATISTICIANS[2], signature=signature
            )
        assert code == "definition_changed"
        assert fresh(study).definition.ratio == (2, 1)

    def test_a_definition_with_an_arm_that_no_list_has(self, db):
        """Arms of lists are compared with those of the definition, closed ones included."""
        study = make.a_study(length=12)
        text = study.version.source.replace("# Four strata", THIRD, 1)
        text = re.sub(r"(?m)^(contents = \{)", r'\1 LOW = "Low dose, bottle of 50",', text)
        text = re.sub(r"block_sizes = \[3, 6\]", "block_sizes = [4, 8]", text)
        forged = parse_definition(text, source="forged")
        studies.load(forged, by=make.TESTER, list_exists=lambda study: False)
        with as_unblinded():
            assert self.refusal(definition_of_list, fresh(study)) == "arms_changed"

    def test_fewer_than_two_arms_left(self):
        text = make.bolero2_text().replace("ratio = 2", "ratio = 2\nclosed = true", 1)
        with pytest.raises(Exception, match="at least two arms must not be closed"):
            parse_definition(text, source="one arm")


def test_the_plan_names_what_the_next_list_brings():
    old = make.small_definition(length=12).definition
    text = make.small_definition(length=12).text.replace(
        "block_sizes = [3, 6]", "block_sizes = [9]"
    )
    new = parse_definition(text, source="x").definition
    assert plan_changes(old, new, list_exists=True).refused
    assert not plan_changes(old, new, list_exists=True, next_list=True).refused


def test_the_command_announces(db, tmp_path: Path):
    study = make.a_study(length=12)
    file = tmp_path / "amendment.toml"
    file.write_text(one_to_one(study).text, encoding="utf-8")
    out = StringIO()
    call_command("study", "load", str(file), "--yes", "--next-list", stdout=out)
    assert "It comes into force with the next list" in out.getvalue()
    assert fresh(study).announced().number == 2
    with connection.cursor() as cursor:
        for each in BLINDED:
            cursor.execute(each.query)
            assert cursor.fetchall() == [], each.name


class TestAtOnce:
    def test_a_randomization_that_waited_takes_a_place_of_the_new_list(
        self, committed_db, logins: Logins
    ):
        study = make.a_study(length=12)
        subject = make.a_subject(make.a_centre(study, cover=2))
        announce(study, one_to_one(study))
        next_list(study, approvals=1)
        holder, said = logins.owner(), []

        def randomized() -> None:
            try:
                for _ in range(20):
                    try:
                        said.append(randomize(subject, by=make.TESTER).first_time)
                        return
                    except Problem as problem:
                        if problem.code != "busy":
                            said.append(problem.code)
                            return
            finally:
                connection.close()

        with holder.transaction():
            holder.execute("SELECT 1 FROM unblinded.stratum_cursor FOR UPDATE")
            thread = Thread(target=randomized)
            thread.start()
            waiting_backend(logins.owner())
            holder.execute("UPDATE unblinded.list SET status = 'closed' WHERE number = 1")
            holder.execute(
                "UPDATE unblinded.list SET status = 'active', second_approved_by = 'X'"
                " WHERE number = 2"
            )
        thread.join()
        assert said == [True]
        with as_unblinded():
            assert Allocation.objects.get().entry.list.number == 2

    @pytest.mark.parametrize(
        "change", ["title = 'x'", "status = 'closed'", "code = 'x'", "simulated = true"]
    )
    def test_the_unblinded_login_changes_nothing_else_of_a_study(
        self, committed_db, logins: Logins, change
    ):
        make.a_study(length=12)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            logins.unblinded().execute(f"UPDATE iwrs_study SET {change}")
