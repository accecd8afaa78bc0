"""The unblinded worker: runs from rows, failures without a word, one at a time, real logins."""

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import date, timedelta
from io import StringIO
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from dispensing.models import Cohort, Kit, SupplyRun
from dispensing.services import request_supply
from dispensing.unblinded import supply
from dispensing.unblinded.calls import watch_calls
from dispensing.unblinded.services import work_supply_runs
from iwrs import clock
from iwrs.models import Study
from tests.dispensing.depots import fill_depot
from tests.factories import TESTER, a_centre, a_randomized_subject, a_study, at
from tests.roles import Logins, as_unblinded

ROOT = Path(__file__).resolve().parent.parent.parent
START = at(2010, 1, 4)


def a_stocked_study() -> Study:
    with clock.at(START):
        study = a_study()
        fill_depot(study, kits=80, expiries=[date(2011, 12, 31)])
        a_centre(study, cover=0)
        return study


def ask(study: Study, moment=START) -> SupplyRun:
    with clock.at(moment):
        return request_supply(study, by=TESTER)


def manage(logins: Logins, *arguments: str, side: str = "unblinded") -> subprocess.Popen[str]:
    """manage.py with the real login of one side."""
    environment = {
        **os.environ,
        "IWRS_SIDE": side,
        "DATABASE_URL": logins.url(side),
        "IWRS_SECRET_KEY": "another-key-for-tests-0123456789-0123456789",
        "REDIS_URL": "",
    }
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_queued_run_is_done_at_its_business_time(db: None):
    study = a_stocked_study()
    run = ask(study)
    with as_unblinded():
        assert work_supply_runs() == 1
        assert work_supply_runs() == 0
    run.refresh_from_db()
    assert run.status == "done"
    assert run.finished_at is not None
    assert Cohort.objects.get(centre__study=study).received_at == START


def test_a_failed_run_says_nothing_in_public(db: None, monkeypatch, caplog, capsys):
    study = a_stocked_study()
    other = a_stocked_study()
    first, second = ask(study), ask(other)
    real = supply._run

    def broken(each: Study, moment):
        if each.pk == study.pk:
            real(each, moment)
            raise RuntimeError("kit 1234567 holds EVE")
        return real(each, moment)

    monkeypatch.setattr(supply, "_run", broken)
    with as_unblinded():
        assert work_supply_runs() == 2
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == ("failed", "done")
    assert not Cohort.objects.filter(centre__study=study).exists()
    captured = capsys.readouterr()
    told = caplog.text + captured.out + captured.err
    assert "supply run failed" in told
    assert "1234567" not in told
    assert "EVE" not in told


def test_a_run_that_meets_a_busy_depot_stays_queued(committed_db: None, logins: Logins):
    study = a_stocked_study()
    run = ask(study)
    other = logins.unblinded()
    other.execute("BEGIN")
    other.execute("SELECT pg_advisory_xact_lock(%s, %s)", [0x4B495453, study.pk])
    with as_unblinded():
        assert work_supply_runs() == 0
    other.execute("ROLLBACK")
    run.refresh_from_db()
    assert run.status == "queued"
    with as_unblinded():
        assert work_supply_runs() == 1


def test_two_runs_at_once_do_not_overlap(committed_db: None):
    """Both see one centre without cover; it gets one cohort. Without the lock it would get two."""
    study = a_stocked_study()
    assert sorted(at_once(study)) == [0, 1]
    assert Cohort.objects.filter(centre__study=study).count() == 1


def test_without_the_lock_two_runs_do_overlap(committed_db: None, monkeypatch):
    study = a_stocked_study()
    monkeypatch.setattr("dispensing.unblinded.depot.lock_depot", lambda study: None)
    errors_or_cohorts = at_once(study, patience=30)
    assert sorted(errors_or_cohorts, key=str) != [0, 1]


def at_once(study: Study, *, patience: float = 1) -> list[object]:
    """Two runs in two connections, each held open after it read what centres need, for so many
    seconds or until the other one has read it too.
    """
    found: list[object] = []
    both_read = threading.Barrier(2, timeout=patience)
    real = supply.needs

    def slowly(*arguments):
        result = real(*arguments)
        with suppress(threading.BrokenBarrierError):  # the lock kept the other one waiting
            both_read.wait()
        return result

    def one_run() -> None:
        try:
            with as_unblinded():
                found.append(supply.run_supply(study, START).cohorts)
        except Exception as error:
            found.append(type(error).__name__)
        finally:
            connection.close()

    supply.needs = slowly
    try:
        threads = [threading.Thread(target=one_run) for _ in range(2)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(60)
    finally:
        supply.needs = real
    return found


def test_once_does_what_waits_with_the_real_login(committed_db: None, logins: Logins):
    study = a_stocked_study()
    run = ask(study)
    process = manage(logins, "unblinded_work", "--once")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "1 done." in out
    run.refresh_from_db()
    assert run.status == "done"


def test_watch_takes_work_as_it_comes_and_stops_on_sigterm(committed_db: None, logins: Logins):
    study = a_stocked_study()
    process = manage(logins, "unblinded_work", "--watch")
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "Watching."
        for day in range(3):
            run = ask(study, START + timedelta(days=day))
            started = time.monotonic()
            while run.status == "queued" and time.monotonic() - started < 20:
                time.sleep(0.02)
                run.refresh_from_db()
            assert run.status == "done"
        process.terminate()
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "command", [["unblinded_work", "--once"], ["import_kits", "x", "--study", "y"]]
)
def test_commands_refuse_the_blinded_side(db: None, command: list[str]):
    with pytest.raises(CommandError, match="IWRS_SIDE=unblinded"):
        call_command(*command)


def test_the_blinded_login_sees_nothing_of_it(committed_db: None, logins: Logins):
    study = a_stocked_study()
    ask(study)
    process = manage(logins, "unblinded_work", "--once", side="blinded")
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "IWRS_SIDE=unblinded" in err
    blinded = logins.blinded()
    for statement in (
        "SELECT * FROM unblinded.kit_content",
        "SELECT unblinded.open_calls('centre', 1)",
        "UPDATE public.dispensing_supplyrun SET status = 'done'",
        "UPDATE public.dispensing_kit SET status = 'retired'",
        "INSERT INTO public.dispensing_lot (study_id, number, expires_on) VALUES (1, 'x', now())",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            blinded.execute(statement)


def test_make_and_import_kits_by_command(committed_db: None, logins: Logins, tmp_path: Path):
    study = a_study(with_list=False)
    file = tmp_path / "kits.csv"
    arguments = ["--study", study.code, "--kits", "24", "--lots", "2", "--seed", "7"]
    out = StringIO()
    call_command("make_kits", str(file), *arguments, "--first-expiry", "2035-06-30", stdout=out)
    assert "24 kits in 2 lots" in out.getvalue()
    with pytest.raises(CommandError, match="exists"):
        call_command("make_kits", str(file), *arguments, "--first-expiry", "2035-06-30")
    process = manage(logins, "import_kits", str(file), "--study", study.code, "--by", "Sam")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert Kit.objects.filter(study=study).count() == 24
    process = manage(logins, "import_kits", str(file), "--study", study.code)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "row 2, kit_number: The study already has a kit of this number." in err
    assert "24 faults" in err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--study": "nowhere"}, "no study"),
        ({"--kits": "25"}, "multiple of 4"),
        ({"--lots": "0"}, "from 1 to 99"),
        ({"--skip": "-1"}, "from 0 on"),
    ],
)
def test_make_kits_says_what_is_wrong(db: None, tmp_path: Path, change: dict, said: str):
    study = a_study(with_list=False)
    options = {
        "--study": study.code,
        "--kits": "24",
        "--lots": "2",
        "--first-expiry": "2035-06-30",
        **change,
    }
    with pytest.raises(CommandError, match=said):
        call_command(
            "make_kits",
            str(tmp_path / "kits.csv"),
            *[part for item in options.items() for part in item],
        )
    assert not (tmp_path / "kits.csv").exists()


@pytest.mark.requirement("REQ-047")
def test_abandoned_calls_are_watched(committed_db: None):
    study = a_stocked_study()
    ask(study)
    with as_unblinded():
        work_supply_runs()
    centre = study.centres.get()
    with clock.at(START):
        a_randomized_subject(centre)
    with as_unblinded():
        assert watch_calls(study) == []
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE iwrs_owner")
        for _ in range(8):
            cursor.execute("SELECT unblinded.draw_call('centre', %s)", [centre.pk])
        cursor.execute("SET ROLE iwrs_blinded")
    with as_unblinded():
        (alarm,) = watch_calls()
    assert (alarm.kind, alarm.pk, alarm.abandoned, alarm.paused) == ("centre", centre.pk, 8, True)


def test_places_spoilt_by_abandoned_calls_are_supplied_again(committed_db: None):
    """Five calls rolled back leave one place of six: the next run sends a cohort."""
    study = a_stocked_study()
    with as_unblinded():
        supply.run_supply(study, START)
    centre = study.centres.get()
    cohort = centre.cohorts.get()
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE iwrs_owner")
        for _ in range(5):
            cursor.execute("SELECT unblinded.draw_call('cohort', %s)", [cohort.pk])
        cursor.execute("SET ROLE iwrs_blinded")
    with as_unblinded():
        assert supply.run_supply(study, START).cohorts == 1
    assert list(centre.cohorts.order_by("pk").values_list("served", flat=True)) == [5, 0]
