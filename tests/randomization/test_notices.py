"""The unblinded statisticians get one letter for each thing that their list needs."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend

from iwrs import clock
from iwrs.accounts.models import Role
from iwrs.models import OutboxMessage, Study
from randomization.unblinded.models_life import ListNotice
from randomization.unblinded.notices import AGAIN_AFTER, work_notices
from tests import factories as make
from tests.randomization.test_extension import approve, propose, the_list
from tests.roles import as_unblinded

NOW = make.at(2026, 3, 2)


def with_people(study: Study) -> Study:
    with as_unblinded():
        for role in (Role.UNBLINDED_STATISTICIAN, Role.SUPPLY_MANAGER):
            make.a_user(role, study=study)
    return study


def a_low_study() -> Study:
    """A study whose list is so short that every stratum is low from the beginning."""
    return with_people(make.a_study(length=6))


def write(at: Any = NOW) -> int:
    with as_unblinded(), clock.at(at):
        return work_notices()


def test_nothing_is_written_while_there_are_places(db: None) -> None:
    with_people(make.a_study(length=60))
    assert write() == 0
    with as_unblinded():
        assert not ListNotice.objects.exists()


def test_one_letter_to_the_statisticians_alone(db: None) -> None:
    low = a_low_study()
    assert write() == 1
    assert write(NOW + timedelta(days=1)) == 0
    [letter] = mail.outbox
    with as_unblinded():
        notices = list(ListNotice.objects.all())
    assert {each.list_id for each in notices} == {the_list(low).pk}
    assert len(notices) == 4
    assert all(each.told_at for each in notices)
    assert low.code in letter.subject
    assert len(letter.to) == 1
    told = letter.subject + letter.body
    assert not [each for each in notices if each.stratum_key in told]
    assert "visceral" not in told
    assert not any(f" {n} " in told for n in range(3, 7))
    assert not OutboxMessage.objects.exists(), "the blinded side's queue holds nothing of it"


def test_its_words_are_always_the_same(db: None) -> None:
    """Nothing that the unblinded side knows can leave in it."""
    few, many = a_low_study(), with_people(make.a_study(length=12, method="complete"))
    assert write() == 2
    words = {
        letter.subject.replace(study.code, "") + letter.body.replace(study.code, "")
        for letter, study in zip(mail.outbox, (few, many), strict=True)
    }
    assert len(words) == 1


def test_low_again_after_an_extension_is_another_letter(db: None) -> None:
    # Of this method every stratum has six places. One in blocks of 3 and 6 may have nine already.
    low = with_people(make.a_study(length=6, method="complete"))
    write()
    approve(propose(low, 9))
    assert write() == 1
    approve(propose(low, 200))
    assert write() == 0
    assert len(mail.outbox) == 2


def test_a_stratum_that_is_missing_is_told_too(db: None) -> None:
    study = make.a_study(length=60, keys='stratify_by = ["centre"]', with_list=False)
    make.a_centre(study, cover=0)
    make.an_active_list(study)
    with as_unblinded():
        make.a_user(Role.UNBLINDED_STATISTICIAN, study=study)
    assert write() == 0
    make.a_centre(study, cover=0)
    assert write() == 1
    with as_unblinded():
        assert set(ListNotice.objects.values_list("length", flat=True)) == {0}


def test_a_letter_that_cannot_be_sent_waits_and_stops_no_other(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_low_study()
    second = a_low_study()
    deliver = EmailBackend.send_messages

    def refusing(self: EmailBackend, messages: list[Any]) -> int:
        if second.code not in messages[0].subject:
            raise OSError("no mail server at secret.example")
        return deliver(self, messages)

    with monkeypatch.context() as patch:
        patch.setattr(EmailBackend, "send_messages", refusing)
        assert write() == 1
    assert write(NOW + AGAIN_AFTER / 2) == 0
    assert write(NOW + AGAIN_AFTER * 2) == 1
    assert write(NOW + AGAIN_AFTER * 4) == 0


def test_a_study_that_cannot_be_read_stops_no_other(db: None) -> None:
    broken = a_low_study()
    a_low_study()
    Study.objects.filter(pk=broken.pk).update(definition_sha256="x")
    assert write() == 1


def test_without_a_statistician_it_waits_for_one(db: None) -> None:
    low = make.a_study(length=6)
    assert write() == 0
    with as_unblinded():
        make.a_user(Role.UNBLINDED_STATISTICIAN, study=low)
    assert write() == 1
