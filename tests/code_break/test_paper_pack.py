"""The sealed randomization pack: what it holds, when it is made, what it tells."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import psycopg
import pyrage
import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from dsmb.analysis import unseal
from dsmb.models import PaperPack
from dsmb.paper import newest_paper
from dsmb.unblinded import packs, paper
from dsmb.unblinded.models import PaperPlace
from dsmb.unblinded.paper import make_paper, renew_paper, work_papers
from dsmb.unblinded.paper_places import PLACES
from iwrs import clock
from iwrs.accounts.models import User
from iwrs.audit_trail.models import Access
from iwrs.models import Study
from iwrs.problems import Problem
from tests import factories as make
from tests.code_break.desk import Desk, a_desk, a_keyed_holder, a_keyed_study, opened, paper_made
from tests.dsmb.rows import as_owner
from tests.hostile.walk import undone
from tests.queries import queries_of
from tests.randomization.test_next_list import announce, fresh, next_list, one_to_one
from tests.roles import Logins, as_unblinded

pytestmark = pytest.mark.requirement("REQ-071")
DAY_ONE = make.at(2010, 3, 1)
SLACK = range(-40, 41, 10)  # bytes around the size at which a pack just fits


@pytest.mark.django_db
def test_each_stratum_and_each_active_centre_has_its_next_places() -> None:
    study, identity = a_keyed_study()
    here, there = make.a_centre(study, cover=2), make.a_centre(study, cover=1)
    closed = make.a_centre(study, active=False)
    make.a_randomized_subject(here)
    desk = a_desk(study, identity)
    strata = desk.table("strata.csv")
    assert [each["stratum"] for each in strata] == sorted(
        each.label for each in study.definition.strata()
    )
    assert [each["places"] for each in strata] == [str(PLACES)] * 4
    centres = {each["centre"]: each for each in desk.table("centres.csv")}
    assert set(centres) == {str(here), str(there)}
    assert str(closed) not in "".join(desk.files.values())
    assert centres[str(here)]["subjects randomized so far"] == "1"
    assert [centres[str(each)]["lines"] for each in (here, there)] == ["8", "6"]
    assert len([name for name in desk.files if "-place-" in name]) == 4 * PLACES
    labels = [arm.label for arm in study.definition.arms]
    told = "".join(text for name, text in desk.files.items() if "-place-" not in name)
    for each in study.definition.arms:
        assert f"TREATMENT:   {each.label}\r\n" in "".join(desk.files.values())
    assert "TREATMENT:" not in told
    assert [*desk.table(f"centre-{here.number}.csv")[0]][3:] == [f"kit of {x}" for x in labels]
    assert "Subjects randomized:  1\r\n" in desk.files["READ-ME.txt"]
    assert desk.files["log.csv"].count("\r\n") == 1


@pytest.mark.django_db
def test_the_holders_key_alone_opens_it() -> None:
    study, identity = a_keyed_study()
    pack = paper_made(study)
    assert bytes(pack.sealed).startswith(b"age-encryption.org/v1\n")
    assert opened(pack, identity)
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(bytes(pack.sealed), [pyrage.x25519.Identity.generate()])


@pytest.mark.django_db
def test_a_later_pack_keeps_the_codes_of_places_that_are_not_used() -> None:
    study, identity = a_keyed_study()
    centre = make.a_centre(study, cover=2)
    first = a_desk(study, identity)
    make.a_randomized_subject(centre)
    second = a_desk(study, identity)

    def places(desk: Desk) -> list[str]:
        stratum = desk.table("strata.csv")[-1]["stratum"]  # a subject's own by default: yes, yes
        return [_code(desk.next_place(stratum)) for _ in range(PLACES)]

    def lines(desk: Desk) -> list[str]:
        return [each["cover code"] for each in desk.table(f"centre-{centre.number}.csv")]

    before, after = places(first), places(second)
    assert before[1:] == after[:-1]
    assert len({*before, *after}) == PLACES + 1
    assert lines(first)[1:] == lines(second)[:-1]


@pytest.mark.django_db
def test_cover_that_is_too_old_is_left_out_and_each_line_says_its_last_day() -> None:
    study, identity = a_keyed_study()
    centre = make.a_centre(study, cover=0)
    rules = study.definition
    used_for = timedelta(days=rules.kits.days + rules.schedule.window_after_days)
    today = clock.today()
    for days in (-2, 3, 400):  # yesterday is today somewhere
        make.a_cohort(centre, size=3, expires_on=today + used_for + timedelta(days=days))
    desk = a_desk(study, identity)
    days = [each["use until"] for each in desk.table(f"centre-{centre.number}.csv")]
    last = [(today + timedelta(days=each)).isoformat() for each in (3, 400)]
    assert days == [last[0]] * 3 + [last[1]] * 3
    assert desk.next_line(centre, today + timedelta(days=4))["line"] == "4"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"method": "minimization"}, "decides when a subject comes"),
        ({"keys": "forced_allocation = true"}, "may be named beforehand"),
        ({"with_list": False, "status": "draft"}, "No randomization list is in use."),
    ],
)
def test_where_there_is_no_next_place_there_is_no_pack_and_the_page_says_why(
    more: dict[str, object], why: str, signed_in: Callable[[User], Client]
) -> None:
    study, _ = a_keyed_study(**more)
    with as_unblinded():
        assert make_paper(study, by=make.STATISTICIANS[0]) is None
        assert work_papers() == 0
    browser = signed_in(make.a_user("study_manager", study=study))
    assert why in browser.get(reverse("packs", args=[study.code])).content.decode()
    refused = browser.post(reverse("download-paper", args=[study.code]))
    assert refused.status_code == 409
    assert why in refused.content.decode()


@pytest.mark.django_db
def test_it_is_made_again_when_facts_changed_and_at_no_other_time() -> None:
    with clock.at(DAY_ONE):
        study, _ = a_keyed_study()
        centre = make.a_centre(study)

    def renewed(minutes: int) -> bool:
        with clock.at(DAY_ONE + timedelta(minutes=minutes)), as_unblinded():
            return renew_paper(study) is not None

    assert renewed(0)
    assert not renewed(90)
    with clock.at(DAY_ONE + timedelta(minutes=100)):
        make.a_randomized_subject(centre)
    assert renewed(101), "the newest is more than an hour old"
    with clock.at(DAY_ONE + timedelta(minutes=102)):
        make.a_cohort(centre)
    assert not renewed(110)
    assert renewed(162)
    with undone(), clock.at(DAY_ONE + timedelta(minutes=163)):
        make.a_randomized_subject(centre)
    assert renewed(230), "a call that was rolled back used a line up"
    a_keyed_holder(study)
    assert renewed(231), "who can open it changed"
    assert not renewed(300)


@pytest.mark.django_db
def test_another_list_gets_its_own_pack_at_once_and_the_old_one_is_no_more_offered() -> None:
    study, identity = a_keyed_study(length=12)
    old = opened(paper_made(study), identity)
    announce(study, one_to_one(study))
    next_list(study)
    study = fresh(study)
    with pytest.raises(Problem, match="has no randomization pack"):
        newest_paper(study)
    with as_unblinded():
        made = renew_paper(study)
    assert newest_paper(study) == made
    assert made.list_number == 2
    new = opened(made, identity)
    assert "Randomization list:   number 2" in new["READ-ME.txt"]
    places = [name for name in old if "-place-" in name]
    assert {_code(old[each]) for each in places} != {_code(new[each]) for each in places}


@pytest.mark.django_db
def test_without_a_holder_none_is_made() -> None:
    study = make.a_study()
    with as_unblinded():
        with pytest.raises(Problem) as refused:
            make_paper(study, by=make.STATISTICIANS[0])
        assert renew_paper(study) is None
    assert refused.value.code == "no_emergency_holder"


@pytest.mark.django_db
def test_a_study_that_fails_does_not_stop_the_others_and_the_log_says_no_value(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = a_keyed_study()[0], a_keyed_study()[0]

    def fails(study: Study) -> PaperPack | None:
        if study == bad:
            raise KeyError("EVE of 0101-001")
        return renew_paper(study)

    monkeypatch.setattr(paper, "renew_paper", fails)
    with as_unblinded():
        assert work_papers() == 1
    assert PaperPack.objects.get().study == good
    assert "randomization pack failed" in caplog.text
    assert "EVE" not in caplog.text


def outcome(study: Study, arm: str, *, used: int = 0) -> list[tuple[object, ...]]:
    """What the blinded side sees after a beat when the whole list is of one arm. It is undone."""
    before = transaction.savepoint()
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("UPDATE unblinded.list_entry SET arm = %s", [arm])
        cursor.execute("UPDATE unblinded.stratum_cursor SET used = %s", [used])
    with as_unblinded():
        work_papers()
        codes = PaperPlace.objects.count()
    seen = PaperPack.objects.filter(study=study).values_list(
        "size", "subjects", "list_number", "facts_sha256", "keys_sha256"
    )
    told = [*seen, codes] if not used else [*seen]
    transaction.savepoint_rollback(before)
    return told


def sizes_around(study: Study, monkeypatch: pytest.MonkeyPatch) -> list[list[object]]:
    """For each slack, what is seen under two lists. The smallest size moves the boundary."""
    needs: list[int] = []
    measured = paper.one_size
    with monkeypatch.context() as spied:
        spied.setattr(paper, "one_size", lambda need: needs.append(need) or measured(need))
        outcome(study, "EVE")
    seen: list[list[object]] = []
    for slack in SLACK:
        monkeypatch.setattr(packs, "SMALLEST", needs[0] + slack)
        seen.append([outcome(study, arm) for arm in ("EVE", "PBO")])
    return seen


@pytest.mark.requirement("REQ-043")
@pytest.mark.django_db
def test_size_and_moment_are_the_same_under_every_list(monkeypatch: pytest.MonkeyPatch) -> None:
    study, _ = a_keyed_study()
    make.a_centre(study)
    seen = sizes_around(study, monkeypatch)
    assert all(one == other for one, other in seen)
    assert len({one[0][0] for one, _ in seen}) == len(SLACK)  # on both sides of the boundary


@pytest.mark.django_db
def test_measured_by_its_own_places_the_boundary_would_tell_the_arm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The twin: labels have different lengths."""
    study, _ = a_keyed_study()
    make.a_centre(study)
    monkeypatch.setattr(paper, "_fullest", lambda content: content)
    differs = []
    for arm in ("EVE", "PBO"):
        needs: list[int] = []
        measured = packs.one_size
        monkeypatch.setattr(
            paper, "one_size", lambda need, n=needs, m=measured: n.append(need) or m(need)
        )
        outcome(study, arm)
        differs.append(needs[0])
    assert differs[0] != differs[1]


@pytest.mark.requirement("REQ-082")
@pytest.mark.django_db
def test_a_list_that_runs_out_moves_no_size(monkeypatch: pytest.MonkeyPatch) -> None:
    study, _ = a_keyed_study()
    make.a_centre(study)
    monkeypatch.setattr(packs, "SMALLEST", 1)
    assert len({outcome(study, "EVE", used=used)[0][0] for used in (0, 1, 29, 30)}) == 1


@pytest.mark.requirement("REQ-042")
def test_the_blinded_login_neither_makes_nor_reads_nor_exchanges_one(
    committed_db: None, logins: Logins
) -> None:
    study, _ = a_keyed_study()
    make.a_centre(study)
    pack = paper_made(study)
    for arm in study.definition.arms:
        assert arm.label.encode() not in bytes(pack.sealed)
    eve, bob = logins.blinded(), logins.unblinded()
    for caller, statement in (
        (eve, "SELECT code FROM unblinded.paper_place"),
        (eve, "SELECT code FROM unblinded.paper_cover"),
        (eve, "INSERT INTO unblinded.paper_place (entry_id, code) VALUES (1, '0000')"),
        (eve, "UPDATE dsmb_paperpack SET sealed = ''"),
        (eve, "DELETE FROM dsmb_paperpack"),
        (eve, "INSERT INTO dsmb_paperpack SELECT * FROM dsmb_paperpack"),
        (bob, "UPDATE public.dsmb_paperpack SET sealed = 'another'"),
        (bob, "UPDATE public.dsmb_paperpack SET sha256 = ''"),
        (bob, "DELETE FROM public.dsmb_paperpack"),
        (bob, "UPDATE unblinded.paper_place SET code = '0000'"),
        (bob, "DELETE FROM unblinded.paper_cover"),
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            caller.execute(statement)


@pytest.mark.django_db
def test_only_the_newest_files_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paper, "FILES_KEPT", 3)
    study, identity = a_keyed_study()
    made = [paper_made(study) for _ in range(5)]
    kept = list(PaperPack.objects.order_by("pk"))
    assert [bool(each.sealed) for each in kept] == [False, False, True, True, True]
    assert [each.sha256 for each in kept] == [each.sha256 for each in made]
    assert unseal(bytes(newest_paper(study).sealed), str(identity))


def test_the_study_manager_downloads_it_and_the_download_is_recorded(
    site: SimpleNamespace, signed_in: Callable[[User], Client]
) -> None:
    identity = a_keyed_holder(site.study)
    page, file = (reverse(name, args=[site.study.code]) for name in ("packs", "download-paper"))
    browser = signed_in(site.study_manager)
    assert "No randomization pack was made yet." in browser.get(page).content.decode()
    assert browser.post(file).status_code == 409
    pack = paper_made(site.study)
    assert "None since" in browser.get(page).content.decode()
    make.a_randomized_subject(site.here)
    shown = browser.get(page).content.decode()
    assert pack.sha256 in shown
    assert "1 since: do not use it" in shown
    answer = browser.post(file)
    assert answer.content == bytes(pack.sealed)
    assert unseal(answer.content, str(identity))
    name = f"{site.study.code}-randomization-pack-"
    assert name in answer.headers["Content-Disposition"]
    [look] = Access.objects.filter(page="a sealed randomization pack")
    assert (look.by, look.copied) == (str(site.study_manager), True)
    assert browser.get(file).status_code == 405
    for role, code in (("investigator", 404), ("administrator", 403), ("auditor", 403)):
        assert signed_in(getattr(site, role)).post(file).status_code == code, role


def test_the_page_asks_the_same_of_the_database_however_many_packs_there_are(
    site: SimpleNamespace, signed_in: Callable[[User], Client]
) -> None:
    a_keyed_holder(site.study)
    browser, page = signed_in(site.study_manager), reverse("packs", args=[site.study.code])
    paper_made(site.study)
    one = queries_of(browser, page)
    paper_made(site.study)
    many = queries_of(browser, page)
    assert len(many) == len(one)
    assert not any('"dsmb_paperpack"."sealed"' in each for each in many)


@pytest.mark.django_db
def test_the_command_writes_it_too(settings: SimpleNamespace, tmp_path: object) -> None:
    study, identity = a_keyed_study()
    settings.SIDE = "unblinded"
    with as_unblinded():
        call_command("code_break_packs", "make", "--study", study.code, "--out", str(tmp_path))
    [written] = tmp_path.glob("*-randomization-pack-*.age")  # type: ignore[attr-defined]
    assert "READ-ME.txt" in unseal(written.read_bytes(), str(identity))


def _code(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("Place code:"))[-4:]
