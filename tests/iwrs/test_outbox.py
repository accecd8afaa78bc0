"""The outbox: with the act or not at all, at least once, later when it fails."""

import logging
import subprocess
import sys
from datetime import timedelta

import pytest
from django.core import mail
from django.core.mail.backends import locmem
from django.db import transaction
from django.utils import timezone

from iwrs import outbox
from iwrs.accounts.models import Role, StudyRole
from iwrs.actors import SYSTEM
from iwrs.acts import act
from iwrs.models import OutboxMessage, Study
from iwrs.outbox import Letter, NotNeeded, UnknownTopic
from tests import factories as make
from tests.dsmb.rows import as_owner

TO = ("someone@example.org",)


@pytest.fixture
def writers(monkeypatch):
    """Topics of this test: they come and go with it."""
    monkeypatch.setattr(outbox, "_writers", dict(outbox._writers))

    def add(topic, writer=None):
        outbox.writes(topic)(writer or (lambda message: Letter(TO, f"About {topic}", "Text")))

    add("hello")
    return add


@pytest.fixture
def study(db):
    return make.a_study(with_list=False)


def queue(study, topic="hello", key="1", **fields):
    with act("test", by=SYSTEM):
        outbox.queue(study, topic, key=key, refs={"visit": 1}, **fields)
    return OutboxMessage.objects.get(key=key)


def test_a_message_is_sent_once(study, writers):
    message = queue(study)
    assert outbox.deliver_due() == 1
    assert outbox.deliver_due() == 0
    message.refresh_from_db()
    assert message.sent_at is not None
    assert (message.attempts, message.last_error) == (1, "")
    [letter] = mail.outbox
    assert (letter.to, letter.subject, letter.body) == (list(TO), "About hello", "Text")
    assert letter.extra_headers["Message-ID"] == "<1@localhost>"


def test_a_key_is_queued_once(study, writers):
    queue(study)
    queue(study)
    assert OutboxMessage.objects.count() == 1


def test_a_message_waits_until_it_is_due(study, writers):
    queue(study, due_at=timezone.now() + timedelta(hours=1))
    assert outbox.deliver_due() == 0


def test_the_limit_is_kept(study, writers):
    for key in "123":
        queue(study, key=key)
    assert outbox.deliver_due(limit=2) == 2
    assert outbox.deliver_due(limit=2) == 1


def fail(error):
    def writer(message):
        raise error

    return writer


def test_one_that_fails_is_tried_later_and_stops_nobody(study, writers, caplog):
    writers("bad", fail(ValueError("subject 0101-001 has a secret")))
    bad, good = queue(study, "bad", key="bad"), queue(study, key="good")
    with caplog.at_level(logging.WARNING):
        assert outbox.deliver_due() == 2
    bad.refresh_from_db()
    good.refresh_from_db()
    assert good.sent_at is not None
    assert (bad.sent_at, bad.attempts, bad.last_error) == (None, 1, "ValueError")
    assert bad.due_at > timezone.now() + timedelta(seconds=100)
    assert "secret" not in caplog.text
    OutboxMessage.objects.filter(key="bad").update(due_at=timezone.now())
    writers("bad")
    assert outbox.deliver_due() == 1
    bad.refresh_from_db()
    assert (bad.attempts, bad.last_error) == (2, "")


def test_the_wait_doubles_up_to_six_hours(study, writers):
    writers("bad", fail(OSError()))
    queue(study, "bad")
    waits = []
    for _ in range(11):
        OutboxMessage.objects.update(due_at=timezone.now())
        outbox.deliver_due()
        wait = OutboxMessage.objects.get().due_at - timezone.now()
        waits.append(round(wait.total_seconds() / 60))
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360]


def test_a_mail_server_that_is_down_loses_nothing(study, writers, monkeypatch):
    def refuse(self, messages):
        raise ConnectionRefusedError

    message = queue(study)
    with monkeypatch.context() as down:
        down.setattr(locmem.EmailBackend, "send_messages", refuse)
        outbox.deliver_due()
    message.refresh_from_db()
    assert (message.sent_at, message.last_error) == (None, "ConnectionRefusedError")
    OutboxMessage.objects.update(due_at=timezone.now())
    outbox.deliver_due()
    assert len(mail.outbox) == 1


def test_a_query_that_fails_while_writing_leaves_the_message(study, writers):
    writers("bad", lambda message: Study.objects.raw("SELECT 1 / 0 AS id")[0])
    message = queue(study, "bad")
    outbox.deliver_due()
    message.refresh_from_db()
    assert (message.sent_at, message.last_error) == (None, "DataError")


@pytest.mark.parametrize(
    ("writer", "error", "closed"),
    [
        (fail(NotNeeded()), "NotNeeded", True),
        (lambda message: Letter((), "Nobody", "Text"), "NobodyToWriteTo", False),
    ],
)
def test_what_is_not_sent_says_why(study, writers, writer, error, closed):
    writers("special", writer)
    message = queue(study, "special")
    outbox.deliver_due()
    message.refresh_from_db()
    assert message.last_error == error
    assert (message.sent_at is not None) == closed
    assert mail.outbox == []


def test_a_topic_without_a_writer_waits(study):
    message = queue(study, "unheard-of")
    outbox.deliver_due()
    message.refresh_from_db()
    assert (message.sent_at, message.last_error) == (None, UnknownTopic.__name__)


def test_the_rooms_letters_are_found_without_being_imported():
    """In a fresh process, where no room's letters were imported yet."""
    program = (
        "import django; django.setup(); from iwrs import outbox; from iwrs.models import *; "
        "import contextlib;\n"
        "for topic in ('visit-reminder', 'visit-overdue', 'interim-notice'):\n"
        "    with contextlib.suppress(KeyError):\n"
        "        outbox._write(OutboxMessage(topic=topic, refs={}))\n"
        "print(sorted(outbox._writers))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    topics = [
        "access-review-due",
        "account-changed",
        "account-locked",
        "code-break-budget",
        "code-break-requested",
        "edc-client-refused",
        "interim-notice",
        "invitation",
        "password-link",
        "signing-locked",
    ]
    assert shown.stdout.strip() == str([*topics, "visit-overdue", "visit-reminder"])


def test_a_simulated_study_says_so_first(study, writers):
    with as_owner():
        Study.objects.update(simulated=True)
    queue(study)
    outbox.deliver_due()
    assert mail.outbox[0].body == f"{outbox.SIMULATED}\n\nText"


@pytest.mark.usefixtures("committed_db")
def test_a_message_belongs_to_an_act():
    study = make.a_study(with_list=False)
    with pytest.raises(RuntimeError, match="open act"):
        outbox.queue(study, "hello", key="1", refs={})

    def undone():
        with act("test", by=SYSTEM):
            outbox.queue(study, "hello", key="1", refs={})
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        undone()
    assert not OutboxMessage.objects.exists()


@pytest.mark.usefixtures("committed_db")
def test_two_workers_never_send_the_same_message(writers, logins):
    study = make.a_study(with_list=False)
    queue(study)
    other = logins.blinded()
    with other.transaction():
        other.execute("SELECT FROM iwrs_outboxmessage FOR UPDATE")
        assert outbox.deliver_due() == 0
    assert outbox.deliver_due() == 1


def test_letters_go_to_people_who_hold_the_role_today(study):
    holder = make.a_user(Role.ADMINISTRATOR, study=study)
    make.a_user(Role.MONITOR, study=study)
    make.a_user(Role.ADMINISTRATOR, study=make.a_study(with_list=False))
    past, future, gone = (make.a_user(Role.ADMINISTRATOR, study=study) for _ in range(3))
    today = timezone.now().date()
    StudyRole.objects.filter(user=past).update(until=today - timedelta(days=1))
    StudyRole.objects.filter(user=future).update(since=today + timedelta(days=1))
    gone.is_active = False
    gone.save()
    with transaction.atomic():
        assert outbox.addresses(study, Role.ADMINISTRATOR) == (holder.email,)
