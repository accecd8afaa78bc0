"""Runs as rows: chunks by whoever takes them, killed workers, the command, and the same numbers."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from iwrs import studies
from iwrs.definition import parse_definition
from iwrs.models import Study
from iwrs.problems import Invalid
from randomization.simulation.plan import Plan
from randomization.simulation.supply import RESTOCK_AT, Supply
from randomization.unblinded import simulations
from randomization.unblinded.models_simulation import SimulationChunk, SimulationRun
from randomization.unblinded.simulation_plan import Asked, own_method, plan_of
from randomization.unblinded.simulations import (
    outcomes,
    progress,
    request_simulation,
    work_chunk,
    work_simulations,
)
from tests.factories import TESTER, a_centre, a_study, small_definition
from tests.pdf import pdf_text
from tests.roles import Logins, as_unblinded

ROOT = Path(__file__).resolve().parents[2]
METHODS = "permuted-blocks block_sizes=3,6\nefron coin=2/3\nminimization imbalance=range coin=4/5"
ONE = "per_week = 1\n[supply]\n"
ASKED = Asked(methods=METHODS, subjects=30, centres=4)


def a_run(study: Study, *, trials: int = 600, seed: int = 7, accrual: str = "") -> SimulationRun:
    plan = plan_of(study, replace(ASKED, accrual=accrual))
    return request_simulation(study, plan, trials=trials, seed=seed, by=TESTER)


def manage(logins: Logins, *arguments: str) -> subprocess.Popen[str]:
    """manage.py with the real login of the unblinded side, and no Redis."""
    environment = {
        **os.environ,
        "IWRS_SIDE": "unblinded",
        "DATABASE_URL": logins.url("unblinded"),
        "IWRS_SECRET_KEY": "another-key-for-tests-0123456789-0123456789",
        "REDIS_URL": "",
    }
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def all_results(owner: psycopg.Connection, run: int) -> str:
    """The results of a run as text, in the order of the chunks."""
    rows = owner.execute(
        "SELECT results FROM unblinded.simulation_chunk WHERE run_id = %s ORDER BY number", [run]
    ).fetchall()
    return json.dumps(rows, sort_keys=True)


def test_a_run_is_worked_on_in_turns_and_is_read_while_it_grows(db: None) -> None:
    study = a_study(with_list=False)
    with as_unblinded():
        run = a_run(study)
        assert (progress(run).total, progress(run).done, outcomes(run)) == (3, 0, [])
        assert work_simulations(seconds=0) == 1
        assert progress(run).percent == 33
        partial = outcomes(run)
        assert [each.label for each in partial] == [
            "Permuted blocks, block sizes 3, 6",
            "Efron, coin 2/3",
            "Minimization, imbalance range, coin 4/5",
        ]
        assert work_simulations(seconds=None) == 2
        assert progress(run).finished
        assert not work_chunk()
        assert sum(each.subjects for each in outcomes(run)[0].strata) == pytest.approx(30)


def test_a_chunk_that_fails_says_so_and_the_others_go_on(
    db: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study = a_study(with_list=False)
    with as_unblinded():
        run = a_run(study)
        real = simulations.simulate

        def broken(plan: Plan, *, chunk: int, **rest: int) -> object:
            if chunk == 1:
                raise ValueError("EVE")
            return real(plan, chunk=chunk, **rest)

        monkeypatch.setattr(simulations, "simulate", broken)
        assert work_simulations(seconds=None) == 3
        now = progress(run)
        assert (now.done, now.failed, now.finished) == (2, 1, True)
        assert "ValueError" in caplog.text
        assert "EVE" not in caplog.text
        assert len(outcomes(run)) == 3


@pytest.mark.parametrize(
    ("asked", "field"),
    [({"trials": 0}, "trials"), ({"trials": 100_001}, "trials"), ({"seed": -1}, "seed"),
     ({"seed": 2**63}, "seed")],
)  # fmt: skip
def test_a_request_out_of_range_writes_nothing(db: None, asked: dict[str, int], field: str) -> None:
    study = a_study(with_list=False)
    with as_unblinded():
        with pytest.raises(Invalid) as refused:
            a_run(study, **asked)
        assert set(refused.value.errors) == {field}
        assert not SimulationRun.objects.exists()


@pytest.mark.requirement("REQ-042")
def test_what_was_asked_and_made_is_never_changed(db: None) -> None:
    study = a_study(with_list=False)
    with as_unblinded():
        run = a_run(study, trials=10)
        work_simulations(seconds=None)
        for change in (
            lambda: SimulationRun.objects.filter(pk=run.pk).update(seed=1),
            lambda: SimulationChunk.objects.filter(run=run).update(results=[]),
            lambda: SimulationChunk.objects.filter(run=run).update(number=5),
            lambda: SimulationChunk.objects.filter(run=run).delete(),
        ):
            with pytest.raises(DatabaseError), transaction.atomic():
                change()
    with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
        SimulationRun.objects.count()


def test_looking_for_work_reads_only_what_waits(db: None) -> None:
    with as_unblinded(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT id FROM unblinded.simulation_chunk WHERE status = 'waiting' ORDER BY id"
        )
        assert "simulation_chunk_waiting" in str(cursor.fetchall())


class TestPlan:
    def test_defaults_are_the_studys_own(self, db: None) -> None:
        study = a_study(with_list=False)
        with as_unblinded():
            plan = plan_of(study, Asked())
            assert own_method(study.definition) == "permuted-blocks block_sizes=3,6"
            assert [each.method["method"] for each in plan.contenders] == ["permuted-blocks"]
            assert plan.accrual.subjects == study.definition.study.planned_subjects
            assert len(plan.accrual.centre_weights) == 20
            assert plan.accrual.levels == ((1.0, 1.0), (1.0, 1.0))
        for _ in range(3):
            a_centre(study, cover=0, active=False)
        with as_unblinded():
            assert len(plan_of(study, Asked()).accrual.centre_weights) == 3

    def test_who_comes_is_as_the_text_says(self, db: None) -> None:
        text = """
            subjects = 50
            spread = 1.2
            [[centre]]
            number = "0101"
            weight = 3
            [[centre]]
            number = "0102"
            [levels.visceral]
            yes = 0.56
            no = 0.44
        """
        study = a_study(with_list=False)
        with as_unblinded():
            accrual = plan_of(study, Asked(accrual=text)).accrual
        assert accrual.centre_weights == (3.0, 1.0)
        assert accrual.levels == ((0.56, 0.44), (1.0, 1.0))
        assert (accrual.subjects, accrual.spread) == (50, 1.2)

    def test_supply_is_as_the_text_says_or_as_the_study_does(self, db: None) -> None:
        study = a_study(with_list=False)
        text = "per_week = 12.5\n[supply]\ncohort_size = 9\nlead_days = 0\nrun_every_days = 7"
        with as_unblinded():
            assert plan_of(study, Asked()).supply is None
            own = plan_of(study, Asked(accrual="per_week = 3")).supply
            other = plan_of(study, Asked(accrual=text)).supply
        assert own == Supply(3, study.definition.kits.cohort_size, RESTOCK_AT, 7, 1)
        assert other == Supply(12.5, 9, RESTOCK_AT, 0, 7)

    def test_closed_arms_are_left_out_and_named(self, db: None) -> None:
        low = '[[arms]]\ncode = "LOW"\nlabel = "Low dose"\nratio = 5\nclosed = true\n'
        text = small_definition().text.replace("[kits]", f"{low}\n[kits]", 1)
        text = text.replace("contents = {", 'contents = { LOW = "Low dose tablets",', 1)
        loaded = parse_definition(text, source="three arms")
        study = studies.load(loaded, by=TESTER, list_exists=lambda study: False).study
        with as_unblinded():
            # Blocks of three fit 2:1, and would not fit 2:1:5.
            plan = plan_of(study, Asked(subjects=12))
            run = request_simulation(study, plan, trials=20, seed=1, by=TESTER)
            work_simulations(seconds=None)
            assert [arm.arm for arm in outcomes(run)[0].arms] == ["EVE", "PBO"]
            assert outcomes(run)[0].arms[0].expected == 8
        assert plan.arms == (("EVE", 2), ("PBO", 1))
        assert plan.closed == ("LOW",)

    def test_levels_that_the_centre_gives_are_factors_too(self, db: None) -> None:
        keys = 'stratify_by = ["country", "region"]\nregions = { west = ["FR", "DE"] }'
        study = a_study(with_list=False, keys=keys)
        text = "\n".join(
            f'[[centre]]\nnumber = "{number}"\ncountry = "{country}"'
            for number, country in (("1", "FR"), ("2", "JP"), ("3", "DE"), ("4", "FR"))
        )
        with as_unblinded():
            plan = plan_of(study, Asked(methods="complete\ncomplete by=country", accrual=text))
        assert [each.name for each in plan.factors[2:]] == ["country", "region"]
        assert plan.factors[2].levels == ("DE", "FR", "JP")
        assert plan.factors[3].levels == ("other", "west")
        assert plan.accrual.sites == ((1, 2, 0, 1), (1, 0, 1, 1))
        assert [each.by for each in plan.contenders] == [
            ("visceral", "sensitive", "country", "region"),
            ("country",),
        ]

    def test_more_strata_than_memory_holds_are_refused(self, db: None) -> None:
        study = a_study(with_list=False, keys='stratify_by = ["country", "centre"]')
        codes = [f"{a}{b}" for a in "ABCDEFGHIJ" for b in "ABCDEFGHIJ"]
        text = "\n".join(
            f'[[centre]]\nnumber = "{n}"\ncountry = "{codes[n % 100]}"' for n in range(400)
        )
        with as_unblinded(), pytest.raises(Invalid) as refused:
            plan_of(study, Asked(accrual=text))
        assert "480,000 strata times tracks" in refused.value.errors["accrual"]

    @pytest.mark.parametrize(
        ("asked", "field", "text"),
        [
            ({"methods": "efron"}, "methods", "coin"),
            ({"methods": "efron coin=1/3"}, "methods", "coin"),
            ({"methods": "permuted-blocks block_sizes=4"}, "methods", "multiple of 3"),
            ({"methods": "permuted-blocks block_sizes=x"}, "methods", "block_sizes"),
            ({"methods": "dice"}, "methods", "use one of: permuted-blocks"),
            ({"methods": "complete by=age"}, "methods", "the factors are visceral, sensitive"),
            ({"methods": "complete bound=3"}, "methods", "bound"),
            ({"methods": "complete list_length=9"}, "methods", "of the list"),
            ({"methods": "big-stick bound"}, "methods", "key=value"),
            ({"methods": "minimization imbalance=range coin=1 by=none"}, "methods", "a factor"),
            ({"methods": "complete\n" * 9}, "methods", "at most 8"),
            ({"accrual": "subjects ="}, "accrual", "not correct TOML"),
            ({"accrual": "subject = 5"}, "accrual", "subject"),
            ({"accrual": "spread = nan"}, "accrual", "spread"),
            ({"accrual": "[levels.visceral]\nyes = 1"}, "accrual", "give each of yes, no"),
            ({"accrual": "[levels.age]\nyes = 1"}, "accrual", "the factors are"),
            ({"accrual": "[levels.visceral]\nyes = 0\nno = 0"}, "accrual", "not all zero"),
            ({"accrual": "centres = 3\n[[centre]]\nnumber = '1'"}, "accrual", "not both"),
            ({"accrual": "[[centre]]\nnumber = '1'\n" * 2}, "accrual", "twice"),
            ({"accrual": "per_week = 0"}, "accrual", "per_week: "),
            ({"accrual": "per_week = -1"}, "accrual", "per_week: "),
            ({"accrual": "per_week = nan"}, "accrual", "per_week: "),
            ({"accrual": "per_week = inf"}, "accrual", "per_week: "),
            ({"accrual": "per_week = 1e99"}, "accrual", "per_week: "),
            ({"accrual": "per_week = 'ten'"}, "accrual", "per_week: "),
            ({"accrual": "per_week = true"}, "accrual", "per_week: "),
            ({"accrual": "[supply]\nlead_days = 3"}, "accrual", "[supply] needs per_week"),
            ({"accrual": "supply = 3"}, "accrual", "supply: "),
            ({"accrual": ONE + "cohort_size = 0"}, "accrual", "supply.cohort_size: "),
            ({"accrual": ONE + "cohort_size = 1001"}, "accrual", "supply.cohort_size: "),
            ({"accrual": ONE + "restock_at = -1"}, "accrual", "supply.restock_at: "),
            ({"accrual": ONE + "restock_at = 101"}, "accrual", "supply.restock_at: "),
            ({"accrual": ONE + "lead_days = 1.5"}, "accrual", "supply.lead_days: "),
            ({"accrual": ONE + "lead_days = 'a week'"}, "accrual", "supply.lead_days: "),
            ({"accrual": ONE + "run_every_days = 0"}, "accrual", "supply.run_every_days: "),
            ({"accrual": ONE + "run_every_days = nan"}, "accrual", "supply.run_every_days: "),
            ({"accrual": ONE + "lead = 3"}, "accrual", "supply.lead: "),
            ({"accrual": "[" * 5000}, "accrual", "TOML"),
            ({"subjects": 1}, "subjects", "from 2 to 20,000"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_is_named(
        self, db: None, asked: dict[str, object], field: str, text: str
    ) -> None:
        study = a_study(with_list=False)
        with as_unblinded(), pytest.raises(Invalid) as refused:
            plan_of(study, Asked(**asked))  # type: ignore[arg-type]
        assert text in refused.value.errors[field]


class TestCommand:
    def simulate(self, logins: Logins, code: str, *more: str) -> str:
        arguments = ["--trials", "600", "--seed", "7", "--subjects", "30", "--centres", "4", *more]
        for line in METHODS.splitlines():
            arguments += ["--method", line]
        process = manage(logins, "simulate", code, *arguments)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        return out

    def test_the_same_numbers_here_or_by_workers_whatever_their_number(
        self, committed_db: None, logins: Logins, tmp_path: Path
    ) -> None:
        study = a_study(with_list=False)
        text = "per_week = 20\n[supply]\ncohort_size = 3\n"
        accrual = tmp_path / "who.toml"
        accrual.write_text(text)
        with as_unblinded():
            run = a_run(study, accrual=text)
            work_simulations(seconds=None)
        owner = logins.owner()
        expected = all_results(owner, run.pk)
        two = self.simulate(
            logins, study.code, "--processes", "2", "--pdf", str(tmp_path / "a.pdf"),
            "--accrual", str(accrual),
        )  # fmt: skip
        worker = manage(logins, "unblinded_work", "--watch")
        try:
            left = self.simulate(logins, study.code, "--processes", "0", "--accrual", str(accrual))
        finally:
            worker.terminate()
            worker.communicate(timeout=20)
        assert left.splitlines()[1:] == two.splitlines()[1:-1]
        runs = [
            key for (key,) in owner.execute("SELECT id FROM unblinded.simulation_run ORDER BY 1")
        ]
        assert [all_results(owner, key) == expected for key in runs] == [True] * 3
        assert "seed 7" in left
        assert left.count("Subjects who met a stock-out") == 1
        assert "one cohort of 3 places" in left
        text = pdf_text((tmp_path / "a.pdf").read_bytes())
        assert "Efron, coin 2/3" in text
        assert "Subjects who met a stock-out" in text

    def test_a_killed_worker_gives_its_chunk_back(self, committed_db: None, logins: Logins) -> None:
        study = a_study(with_list=False)
        with as_unblinded():
            # Some seconds for a chunk, so that the kill comes in its middle.
            long = Asked(methods=METHODS, subjects=20_000)
            run = request_simulation(study, plan_of(study, long), trials=20, seed=7, by=TESTER)
        owner = logins.owner()
        worker = manage(logins, "unblinded_work", "--once")
        held = (
            "SELECT count(*) FROM pg_locks WHERE relation = 'unblinded.simulation_chunk'::regclass"
        )
        began = time.monotonic()
        while owner.execute(held).fetchone() == (0,) and time.monotonic() - began < 60:
            time.sleep(0.05)
        os.kill(worker.pid, signal.SIGKILL)
        worker.communicate(timeout=20)
        chunk = "SELECT status FROM unblinded.simulation_chunk WHERE run_id = %s"
        assert owner.execute(chunk, [run.pk]).fetchall() == [("waiting",)]
        free = chunk + " FOR UPDATE SKIP LOCKED"
        began = time.monotonic()
        while not owner.execute(free, [run.pk]).fetchall() and time.monotonic() - began < 30:
            time.sleep(0.1)
        assert owner.execute(free, [run.pk]).fetchall() == [("waiting",)]

    def test_the_blinded_side_is_refused(self, db: None) -> None:
        with pytest.raises(CommandError, match="IWRS_SIDE=unblinded"):
            call_command("simulate", "bolero2")
