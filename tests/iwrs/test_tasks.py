"""Tasks and wake-ups without a worker: routing, timetable, errors that stay inside."""

import logging
import time
from datetime import UTC, datetime

import pytest
import redis
from celery import current_app
from django.conf import settings
from kombu import Connection

import assessments.tasks
import dispensing.tasks
import dsmb.tasks
from dispensing.models import SupplyRun
from iwrs import tasks
from iwrs.celery import app
from iwrs.models import Study
from iwrs.processes import broker_transport_options
from tests import factories as make
from tests.blinding.broker import broker
from tests.roles import as_unblinded

__all__ = ["broker"]
OURS = ("iwrs.", "enrolment.", "randomization.", "dispensing.", "assessments.", "dsmb.", "trial.")


def our_tasks():
    app.loader.import_default_modules()
    return {name: task for name, task in app.tasks.items() if name.startswith(OURS)}


def test_unblinded_work_goes_to_its_own_queue_and_nothing_else_does():
    for name in our_tasks():
        queue = app.amqp.router.route({}, name)["queue"].name
        expected = "unblinded" if ".unblinded_" in name else "blinded"
        assert queue == expected, name


def test_every_entry_of_the_timetable_and_wake_up_is_a_task():
    known = our_tasks()
    for name, entry in app.conf.beat_schedule.items():
        assert entry["task"] in known, name
        assert entry["options"]["expires"] > 0
        assert "args" not in entry
    assert set(tasks.UNBLINDED_WORK) <= {entry["task"] for entry in app.conf.beat_schedule.values()}


def test_results_are_kept_nowhere():
    assert current_app.conf.result_backend is None
    assert all(task.ignore_result for task in our_tasks().values())


def test_an_error_of_unblinded_work_stays_in_the_log_without_values(caplog):
    def unblinded_secret():
        raise ValueError("subject 0101-001 has EVE")

    task = tasks.unblinded_task(unblinded_secret)
    with caplog.at_level(logging.ERROR):
        assert task() is None
    assert "ValueError" in caplog.text
    assert "test_tasks.py" in caplog.text
    assert "unblinded_secret" in caplog.text
    assert "EVE" not in caplog.text
    assert "0101" not in caplog.text


@pytest.fixture
def queue(broker):
    """A reader of the queue `unblinded` of a Redis in which nobody else wakes a worker."""
    options = broker_transport_options("unblinded")
    with Connection(broker.url("unblinded"), transport_options=options) as connection:
        queue = connection.SimpleQueue("unblinded")
        queue.clear()
        yield queue
        queue.clear()
        queue.close()


@pytest.mark.requirement("REQ-056")
def test_a_wake_up_carries_nothing_but_names(queue):
    tasks.wake_unblinded()
    seen = []
    for _ in tasks.UNBLINDED_WORK:
        message = queue.get(timeout=5)
        seen.append(message.headers["task"])
        assert message.payload[:2] == [[], {}]
        assert message.headers["expires"]
        message.ack()
    assert tuple(seen) == tasks.UNBLINDED_WORK


def test_redis_that_is_down_costs_little_and_fails_nothing(caplog, monkeypatch):
    monkeypatch.setattr(
        app,
        "connection_for_write",
        lambda **options: Connection("redis://blinded:x@127.0.0.1:1/0", **options),
    )
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        tasks.wake_unblinded()
    assert time.monotonic() - began < 3
    assert "unblinded worker not woken" in caplog.text
    assert "OperationalError" in caplog.text


def test_a_process_without_redis_says_so(settings, caplog):
    settings.REDIS_URL = ""
    with caplog.at_level(logging.WARNING):
        tasks.wake_unblinded()
    assert "ConnectionError" in caplog.text


def test_the_blinded_side_cannot_read_wake_ups_in_progress(queue, broker):
    tasks.wake_unblinded()
    message = queue.get(timeout=5)
    with (
        redis.Redis.from_url(broker.url("blinded")) as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        client.hgetall("unblinded:unacked")
    message.ack()


@pytest.mark.django_db
def test_each_running_study_gets_a_task_of_its_own(monkeypatch):
    open_, paused = make.a_study(with_list=False), make.a_study(with_list=False, status="paused")
    make.a_study(with_list=False, status="draft")
    Study.objects.create(code="empty", title="Nothing loaded", status="open")
    sent = []
    monkeypatch.setattr(assessments.tasks.sweep_study, "delay", sent.append)
    assessments.tasks.sweep_studies()
    assert sent == [open_.pk, paused.pk]


@pytest.mark.django_db
@pytest.mark.parametrize("task", [assessments.tasks.sweep_study, dsmb.tasks.watch_study])
def test_a_task_takes_a_key_and_gives_nothing(task):
    assert task(make.a_study(with_list=False).pk) is None


@pytest.mark.django_db
def test_supply_is_asked_for_once_a_business_day():
    study = make.a_study(with_list=False)
    for day, runs in [(1, 1), (1, 1), (2, 2)]:
        Study.objects.update(replay_now=datetime(2010, 3, day, 9, tzinfo=UTC))
        dispensing.tasks.request_supply_of_today(study.pk)
        with as_unblinded():
            SupplyRun.objects.update(status="done")
        assert SupplyRun.objects.count() == runs
    assert SupplyRun.objects.last().as_of == datetime(2010, 3, 2, 9, tzinfo=UTC)


def test_the_broker_keys_are_the_sides_own():
    assert broker_transport_options("blinded") == settings.CELERY_BROKER_TRANSPORT_OPTIONS
