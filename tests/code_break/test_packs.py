"""Sealed packs: who can open them, what they hold, when they are made, what they tell."""

import io
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pyrage
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from dsmb.analysis import unseal
from dsmb.models import SealedPack
from dsmb.packs import newest_packs, rows
from dsmb.unblinded.holders import current_holders, end_holder, register_holder
from dsmb.unblinded.models import EmergencyHolder
from dsmb.unblinded.packs import make_packs, renew_packs, work_packs
from enrolment.models import Centre
from iwrs import clock
from iwrs.accounts.models import User
from iwrs.audit_trail.models import Access
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from tests import factories as make
from tests.roles import Logins, as_unblinded

DAY_ONE = make.at(2010, 3, 1)


def a_holder(study: Study, **more: object) -> pyrage.x25519.Identity:
    """A registered emergency holder; the secret key comes back."""
    identity = pyrage.x25519.Identity.generate()
    with as_unblinded():
        make.a_holder(study, str(identity.to_public()), **more)
    return identity


def packs_made(study: Study) -> dict[int, SealedPack]:
    with as_unblinded():
        make_packs(study, by=make.STATISTICIANS[0])
    return {each.centre_id: each for each in newest_packs(study)}


def opened(pack: SealedPack, identity: pyrage.x25519.Identity) -> dict[str, str]:
    files = unseal(bytes(pack.sealed), str(identity))
    return {name: content.decode() for name, content in files.items()}


def label_of(subject) -> str:
    labels = {arm.code: arm.label for arm in subject.study.definition.arms}
    return labels[make.arm_of(subject)]


@pytest.mark.requirement("REQ-079")
def test_the_holders_key_alone_opens_a_pack_and_one_file_has_one_treatment(
    site: SimpleNamespace,
) -> None:
    subjects = [make.a_randomized_subject(site.here) for _ in range(3)]
    elsewhere = make.a_randomized_subject(site.there)
    waiting = make.a_subject(site.here)
    identity = a_holder(site.study)
    pack = packs_made(site.study)[site.here.pk]

    plain = pyrage.decrypt(bytes(pack.sealed), [identity])
    with zipfile.ZipFile(io.BytesIO(plain)) as archive:
        assert archive.testzip() is None
    files = opened(pack, identity)
    assert set(files) == {"READ-ME.txt", "subjects.csv", *(f"{s.number}.txt" for s in subjects)}
    for each in subjects:
        text = files[f"{each.number}.txt"]
        kit = each.dispensations.get(number=0).kit.grouped
        assert f"TREATMENT:             {label_of(each)}" in text
        assert each.randomization.number in text
        assert kit in text
        assert f"{each.number},{each.randomization.number},{kit}" in files["subjects.csv"]
    labels = {arm.label for arm in site.study.definition.arms}
    assert not any(label in files["subjects.csv"] + files["READ-ME.txt"] for label in labels)
    read_me = files["READ-ME.txt"]
    assert str(site.here) in read_me
    assert "Randomization list:  number 1, in use since" in read_me
    assert read_me.count(" UTC") == 2
    for other in (elsewhere, waiting):
        assert other.number not in "".join(files.values())
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(bytes(pack.sealed), [pyrage.x25519.Identity.generate()])


@pytest.mark.requirement("REQ-079", "REQ-043")
def test_all_centres_and_both_lists_give_packs_of_one_size(site: SimpleNamespace) -> None:
    a_holder(site.study)
    for _ in range(5):
        make.a_randomized_subject(site.here)
    empty = make.a_centre(site.study, active=False, cover=0)
    first = packs_made(site.study)
    assert set(first) == {site.here.pk, site.there.pk, empty.pk}
    another = make.a_study()
    a_holder(another)
    make.a_randomized_subject(make.a_centre(another))
    sizes = {len(each.sealed) for each in [*first.values(), *packs_made(another).values()]}
    assert len(sizes) == 1
    assert sizes == {each.size for each in first.values()}


@pytest.mark.requirement("REQ-079")
def test_the_size_follows_the_longest_label_whoever_has_which_arm(
    site: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a label's length would tell how many have it."""
    from dsmb.unblinded import packs

    monkeypatch.setattr(packs, "SMALLEST", 1)
    a_holder(site.study)
    for _ in range(4):
        make.a_randomized_subject(site.here)
    asked = []
    original = packs.pack_files
    monkeypatch.setattr(
        packs, "pack_files", lambda about, codes: asked.append(codes) or original(about, codes)
    )
    packs_made(site.study)
    longest = max((arm.label for arm in site.study.definition.arms), key=len)
    sizing = asked[:2]
    assert {code.treatment for codes in sizing for code in codes} == {longest}


@pytest.mark.requirement("REQ-079")
def test_without_a_holder_no_pack_is_made_and_the_text_says_what_to_do(
    site: SimpleNamespace,
) -> None:
    with as_unblinded():
        with pytest.raises(Problem) as refused:
            make_packs(site.study, by=make.STATISTICIANS[0])
        assert renew_packs(site.study) == []
    assert refused.value.code == "no_emergency_holder"
    assert "Register the public key" in refused.value.action
    assert not SealedPack.objects.exists()


def test_a_wrong_key_is_refused_without_repeating_it(site: SimpleNamespace) -> None:
    secret = str(pyrage.x25519.Identity.generate())
    with as_unblinded(), pytest.raises(Invalid) as refused:
        register_holder(site.study, name="", who=" ", public_key=secret, by=make.STATISTICIANS[0])
    assert set(refused.value.errors) == {"name", "who", "public_key"}
    assert secret not in str(refused.value)


@pytest.mark.requirement("REQ-079")
def test_a_replaced_holder_opens_no_new_pack_and_stays_on_record(site: SimpleNamespace) -> None:
    old = a_holder(site.study)
    packs_made(site.study)
    with as_unblinded():
        first = current_holders(site.study).get()
    new = a_holder(site.study, replaces=first)
    with as_unblinded():
        assert len(renew_packs(site.study)) == 2
        ended = EmergencyHolder.objects.get(pk=first.pk)
        assert (ended.ended_by, ended.ended_at is None) == (make.STATISTICIANS[0].label, False)
        with pytest.raises(Problem, match="no emergency holder of the study any more"):
            end_holder(first, by=make.STATISTICIANS[0], why="Left")
    pack = newest_packs(site.study)[0]
    assert opened(pack, new)
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(bytes(pack.sealed), [old])


def test_two_holders_open_the_same_packs(site: SimpleNamespace) -> None:
    keys = [a_holder(site.study), a_holder(site.study)]
    pack = packs_made(site.study)[site.here.pk]
    assert opened(pack, keys[0]) == opened(pack, keys[1])


@pytest.mark.requirement("REQ-079")
def test_a_pack_is_made_again_the_day_after_new_facts_and_at_no_other_time(db: None) -> None:
    with clock.at(DAY_ONE):
        study = make.a_study()
        here, there = make.a_centre(study), make.a_centre(study)
        identity = a_holder(study)

    def renewed(hours: int) -> list[str]:
        with clock.at(DAY_ONE + timedelta(hours=hours)), as_unblinded():
            return [each.centre.number for each in renew_packs(study)]

    assert sorted(renewed(0)) == sorted([here.number, there.number])
    assert renewed(1) == []
    with clock.at(DAY_ONE + timedelta(hours=2)):
        subject = make.a_randomized_subject(here)
    assert renewed(3) == []  # once a day is enough; the page says what is missing
    with clock.at(DAY_ONE + timedelta(hours=4)):
        [row] = [each for each in rows(study) if each.centre == here]
        assert (row.subjects_missing, row.kits_missing, row.days_old) == (1, 1, 0)
    assert renewed(24) == [here.number]
    assert renewed(48) == []
    files = opened(newest_packs(study).get(centre=here), identity)
    assert f"{subject.number}.txt" in files


def test_when_the_size_grows_all_centres_get_a_new_pack(
    site: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_holder(site.study)
    packs_made(site.study)
    monkeypatch.setattr("dsmb.unblinded.packs.SMALLEST", 64 * 1024)
    make.a_centre(site.study, cover=0)  # without a pack, so due
    with as_unblinded():
        assert len(renew_packs(site.study)) == 3
    assert len({each.size for each in newest_packs(site.study)}) == 1


def test_a_study_that_fails_does_not_stop_the_others_and_the_log_says_no_value(
    site: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = make.a_study()
    make.a_centre(other)
    for study in (site.study, other):
        a_holder(study)
    from dsmb.unblinded import packs

    original = packs.renew_packs

    def fails(study: Study) -> list[SealedPack]:
        if study == site.study:
            raise KeyError("EVE of 0101-001")
        return original(study)

    monkeypatch.setattr(packs, "renew_packs", fails)
    with as_unblinded():
        assert work_packs() == 1
    assert "sealed packs failed" in caplog.text
    assert "EVE" not in caplog.text


@pytest.mark.requirement("REQ-079", "REQ-042")
def test_the_blinded_login_neither_makes_nor_opens_nor_exchanges_a_pack(
    committed_site: SimpleNamespace, logins: Logins
) -> None:
    subject = make.a_randomized_subject(committed_site.here)
    a_holder(committed_site.study)
    pack = packs_made(committed_site.study)[committed_site.here.pk]
    assert bytes(pack.sealed).startswith(b"age-encryption.org/v1\n")
    for arm in committed_site.study.definition.arms:
        assert arm.label.encode() not in bytes(pack.sealed)
    assert subject.number.encode() not in bytes(pack.sealed)
    eve = logins.blinded()
    for statement in (
        "SELECT public_key FROM unblinded.emergency_holder",
        "UPDATE dsmb_sealedpack SET sealed = ''",
        "DELETE FROM dsmb_sealedpack",
        "INSERT INTO dsmb_sealedpack (centre_id, made_at, subjects, kits, size, sha256,"
        " keys_sha256, sealed) SELECT centre_id, made_at, 1, 1, 1, 'x', 'x', '' FROM"
        " dsmb_sealedpack",
        "INSERT INTO unblinded.emergency_holder (name) VALUES ('Eve')",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            eve.execute(statement)
    bob = logins.unblinded()
    for statement in (
        "UPDATE public.dsmb_sealedpack SET sealed = ''",
        "DELETE FROM public.dsmb_sealedpack",
        "UPDATE unblinded.emergency_holder SET public_key = 'age1x'",
        "DELETE FROM unblinded.emergency_holder",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            bob.execute(statement)


@pytest.mark.requirement("REQ-079")
def test_the_study_manager_downloads_a_sealed_file_and_the_download_is_recorded(
    site: SimpleNamespace, signed_in: Callable[[User], Client]
) -> None:
    identity = a_holder(site.study)
    make.a_randomized_subject(site.here)
    address = reverse("download-pack", args=[site.here.pk])
    for person in (site.study_manager, site.safety_physician):
        browser = signed_in(person)
        page = browser.get(reverse("packs", args=[site.study.code])).content.decode()
        assert page.count("No pack yet") == 2
        refused = browser.post(address)
        assert refused.status_code == 409
        assert "has no sealed pack yet" in refused.content.decode()
    pack = packs_made(site.study)[site.here.pk]
    page = signed_in(site.study_manager).get(reverse("packs", args=[site.study.code]))
    assert pack.sha256 in page.content.decode()
    answer = signed_in(site.study_manager).post(address)
    assert answer.content == bytes(pack.sealed)
    assert (
        f"{site.study.code}-{site.here.number}-code-break-pack-"
        in answer.headers["Content-Disposition"]
    )
    assert unseal(answer.content, str(identity))
    [look] = Access.objects.filter(page="a sealed code-break pack")
    assert (look.by, look.copied) == (str(site.study_manager), True)
    assert look.about == f"centre {site.here.number}"


def test_an_auditor_reads_the_facts_and_is_offered_no_file(
    site: SimpleNamespace, signed_in: Callable[[User], Client]
) -> None:
    a_holder(site.study)
    make.a_randomized_subject(site.here)
    pack = packs_made(site.study)[site.here.pk]
    browser, address = signed_in(site.auditor), reverse("packs", args=[site.study.code])
    page = browser.get(address).content.decode().split("</header>")[-1]
    assert pack.sha256 in page
    assert "Nothing</span>" in page
    assert "No randomization pack was made" in page
    assert "<form" not in page
    assert "Download" not in page
    assert "Steps" not in page
    assert address in browser.get(reverse("code-breaks", args=[site.study.code])).content.decode()
    kept = signed_in(site.study_manager).get(address).content.decode()
    assert "Download the pack of centre" in kept


def test_nobody_else_finds_or_downloads_packs(
    site: SimpleNamespace, signed_in: Callable[[User], Client]
) -> None:
    a_holder(site.study)
    packs_made(site.study)
    page, file = (
        reverse("packs", args=[site.study.code]),
        reverse("download-pack", args=[site.here.pk]),
    )
    for role, sees, takes in [
        ("investigator", 404, 403),
        ("pharmacist", 404, 403),
        ("administrator", 403, 403),
        ("auditor", 200, 403),
    ]:
        browser = signed_in(getattr(site, role))
        assert browser.get(page).status_code == sees, role
        assert browser.post(file).status_code == takes, role
    assert (
        signed_in(site.investigator)
        .post(reverse("download-pack", args=[site.there.pk]))
        .status_code
        == 404
    )


@pytest.mark.requirement("REQ-079")
def test_the_command_registers_a_holder_and_writes_the_files(
    site: SimpleNamespace, settings: SimpleNamespace, tmp_path: Path
) -> None:
    identity = pyrage.x25519.Identity.generate()
    out = tmp_path / "packs"
    make_now = ["make", "--study", site.study.code, "--out", str(out)]
    with pytest.raises(CommandError, match="unblinded side"):
        call_command("code_break_packs", *make_now)
    settings.SIDE = "unblinded"
    with as_unblinded():
        with pytest.raises(CommandError, match="no emergency holder"):
            call_command("code_break_packs", *make_now)
        call_command(
            "code_break_packs", "register", "--study", site.study.code, "--name", "Desk",
            "--who", "Night desk", "--public-key", str(identity.to_public()),
        )  # fmt: skip
        call_command("code_break_packs", *make_now)
        with pytest.raises(CommandError, match="no study with the code nowhere"):
            call_command("code_break_packs", "make", "--study", "nowhere", "--out", str(out))
    written = sorted(out.glob("*-code-break-pack-*.age"))
    assert [path.name.split("-")[1] for path in written] == sorted(
        Centre.objects.values_list("number", flat=True)
    )
    assert all(unseal(path.read_bytes(), str(identity)) for path in written)
