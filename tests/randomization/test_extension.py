"""A list in use is extended: the same stream goes on, two people approve, the root is published."""

from collections import Counter

import psycopg
import pytest
from django.urls import reverse

from iwrs import clock
from iwrs.accounts.models import Role
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from randomization.models import ListCommitment
from randomization.unblinded import extension as extensions
from randomization.unblinded.bundle import bundle_of
from randomization.unblinded.models import ListEntry, RandomizationList, StratumCursor
from randomization.unblinded.models_life import ListExtension
from randomization.unblinded.parts import stored_entries
from randomization.unblinded.verification import faults_of
from tests import factories as make
from tests.randomization.test_verify import outside_faults
from tests.roles import Logins, as_unblinded
from tests.signing import components
from tests.unblinded_site.conftest import Browser, unblinded_side  # noqa: F401
from trial.services import randomize

PROPOSER, FIRST, SECOND = make.STATISTICIANS


def the_list(study: Study) -> RandomizationList:
    with as_unblinded():
        return RandomizationList.objects.get(study=study, status="active")


def propose(study: Study, length: int) -> ListExtension:
    made = the_list(study)
    with as_unblinded():
        return extensions.extend_list(made, length=length, by=PROPOSER)


def approve(extension: ListExtension, *people) -> ListExtension:
    with as_unblinded():
        for person in people or (FIRST, SECOND):
            signature = Signature(person.label, clock.now(), "I approve")
            extension = extensions.approve_extension(extension, by=person, signature=signature)
    return extension


def refusal(act, *given, **named) -> str:
    with pytest.raises(Problem) as refused:
        act(*given, **named)
    return refused.value.code


@pytest.fixture
def study(db):
    return make.a_study(length=6)


@pytest.mark.parametrize("method", make.METHODS)
def test_each_method_goes_on_from_the_same_stream(db, method):
    study = make.a_study(length=6, method=method)
    centre = make.a_centre(study, cover=3)
    long = {"minimization": make.DYNAMIC_LENGTH + 9}.get(method, 14)
    made = the_list(study)
    with as_unblinded():
        first = stored_entries(made)
    for _ in range(4):
        make.a_randomized_subject(centre)
    assert approve(propose(study, long)).status == "active"
    with as_unblinded():
        longer = stored_entries(made)
        lengths = Counter(entry.stratum for entry in longer)
        assert min(lengths.values()) >= long
        for stratum in lengths:
            was = [entry for entry in first if entry.stratum == stratum]
            assert [e for e in longer if e.stratum == stratum][: len(was)] == was
        for cursor in StratumCursor.objects.filter(list__study=study):
            assert cursor.length == lengths[cursor.stratum_key]
        roots = ListCommitment.objects.filter(study=study, active=True).order_by("part")
        assert [each.part for each in roots] == [0, 1]
        assert list(faults_of(study)) == []
        assert outside_faults(bundle_of(study), *[each.merkle_root for each in roots]) == []
        if method == "permuted-blocks":
            lengths_of_blocks = Counter((e.stratum, e.block) for e in longer).values()
            assert set(lengths_of_blocks) <= {3, 6}


def test_subjects_get_places_beyond_the_first_list(study):
    centre = make.a_centre(study, cover=3)
    before = the_list(study)
    with as_unblinded():
        length = StratumCursor.objects.get(
            list=before, stratum_key="visceral=yes|sensitive=yes"
        ).length
    for _ in range(length):
        make.a_randomized_subject(centre)
    subject = make.a_subject(centre)
    with pytest.raises(Problem) as refused:
        randomize(subject, by=make.TESTER)
    assert refused.value.code == "no_place"
    approve(propose(study, 20))
    approve(propose(study, 26))  # twice
    randomize(subject, by=make.TESTER)
    with as_unblinded():
        assert list(faults_of(study)) == []
        made = bundle_of(study)
    assert [len(part["entries"]) > 0 for part in made["lists"][0]["parts"]] == [True, True, True]
    assert outside_faults(made) == []
    made["lists"][0]["parts"][1]["entries"][0][3] = "XXX"
    assert any("list 1, part 1" in fault for fault in outside_faults(made))


def test_nothing_is_stored_or_published_before_the_second_approval(study):
    with as_unblinded():
        places = ListEntry.objects.count()
    extension = approve(propose(study, 20), FIRST)
    with as_unblinded():
        assert ListEntry.objects.count() == places
        assert ListCommitment.objects.filter(study=study).count() == 1
        assert all(check.passed is not False for check in extensions.report(extension))
    assert refusal(approve, extension, FIRST) == "same_person"
    assert refusal(approve, extension, PROPOSER) == "same_person"
    assert refusal(propose, study, 30) == "extension_open"
    approve(extension, SECOND)
    assert refusal(approve, extension, SECOND) == "extension_closed"


def test_an_extension_that_adds_nothing_or_too_much(study):
    for length in (3, 6, 10_000_000):
        with pytest.raises(Invalid) as refused:
            propose(study, length)
        assert set(refused.value.errors) == {"length"}
    with as_unblinded():
        assert not ListExtension.objects.exists()


def test_a_withdrawn_extension_makes_room_for_another(study):
    extension = propose(study, 20)
    with as_unblinded():
        with pytest.raises(Invalid):
            extensions.withdraw_extension(extension, by=FIRST, why=" ")
        extensions.withdraw_extension(extension, by=FIRST, why="Too short")
    assert refusal(approve, extension) == "extension_closed"
    assert approve(propose(study, 40)).part == 1


def test_a_country_that_came_later_is_added(db):
    study = make.a_study(length=6, keys='stratify_by = ["country"]', with_list=False)
    make.a_centre(study, country_code="DE")
    make.an_active_list(study)
    here = make.a_centre(study, country_code="JP")
    subject = make.a_subject(here)
    with pytest.raises(Problem) as refused:
        randomize(subject, by=make.TESTER)
    assert refused.value.code == "no_place"
    made = the_list(study)
    with as_unblinded():
        assert len(extensions.missing_strata(made)) == 4
    with pytest.raises(Invalid) as short:
        propose(study, 5)  # the list would not begin as it does
    assert set(short.value.errors) == {"length"}
    approve(propose(study, 6))  # no longer than before: only what is missing
    with as_unblinded():
        assert extensions.missing_strata(made) == []
    assert randomize(subject, by=make.TESTER).first_time
    with as_unblinded():
        assert list(faults_of(study)) == []
        assert outside_faults(bundle_of(study)) == []


def test_low_strata_are_known_to_unblinded_staff_and_to_nobody_else(study, unblinded_side):  # noqa: F811
    made = the_list(study)
    with as_unblinded():
        low = extensions.low_strata(made)
        assert len(low) == 4
        assert low[0].left == min(each.left for each in low)
        statistician = make.a_user(Role.UNBLINDED_STATISTICIAN, study=study)
        supplier = make.a_user(Role.SUPPLY_MANAGER, study=study)
    page = Browser(statistician).get("/").content.decode()
    assert f"{low[0].left} of {low[0].length} places left" in page
    assert "places left" not in Browser(supplier).get("/").content.decode()
    approve(propose(study, 200))
    assert "places left" not in Browser(statistician).get("/").content.decode()


def test_the_pages(study, unblinded_side):  # noqa: F811
    with as_unblinded():
        people = [make.a_user(Role.UNBLINDED_STATISTICIAN, study=study) for _ in range(3)]
    first, second, third = (Browser(each) for each in people)
    address = reverse("extend-list", args=[study.code, the_list(study).pk])
    assert address in first.get("/").content.decode()
    assert first.post(address, length="many").status_code == 422
    refused = first.post(address, length=2)
    assert refused.status_code == 422
    assert "so many places already" in refused.content.decode()
    assert first.post(address, length=24).status_code == 302
    with as_unblinded():
        extension = ListExtension.objects.get()
    page = reverse("approve-extension", args=[study.code, extension.pk])
    assert page not in first.get("/").content.decode()
    assert page in second.get("/").content.decode()
    text = second.get(page).content.decode()
    assert "Goes on where the list ends" in text
    assert "Failed" not in text
    assert first.post(page, **components(people[0], first.get(page))).status_code == 409
    for user, browser in ((people[1], second), (people[2], third)):
        signed = browser.post(page, **components(user, browser.get(page)))
        assert signed.status_code == 302, signed.content.decode()
    assert "Extension 1 of list 1" in third.get(page).content.decode()  # read afterwards too
    withdraw = reverse("withdraw-extension", args=[study.code, extension.pk])
    assert first.post(withdraw, why="Late").status_code == 409
    report = reverse("approve-list", args=[study.code, extension.list_id])
    assert "Failed" not in first.get(report).content.decode()
    other = make.a_study(with_list=False)
    with as_unblinded():
        stranger = Browser(make.a_user(Role.UNBLINDED_STATISTICIAN, study=other))
    assert stranger.get(page).status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE unblinded.stratum_cursor SET length = length - 1",
        "UPDATE unblinded.stratum_cursor SET length = length + 1",
        "UPDATE unblinded.stratum_cursor SET used = used + 1",
        "UPDATE unblinded.list_extension SET merkle_root = repeat('0', 64)",
        "UPDATE unblinded.list_extension SET length = 9",
    ],
)
def test_the_database_lets_a_list_only_grow_with_its_places(committed_db, logins: Logins, change):
    propose(make.a_study(length=6), 20)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        logins.unblinded().execute(change)


def test_an_extension_is_never_approved_by_one_person(committed_db, logins: Logins):
    propose(make.a_study(length=6), 20)
    with pytest.raises(psycopg.errors.CheckViolation):
        logins.unblinded().execute(
            "UPDATE unblinded.list_extension SET status = 'active', first_approved_by = 'A',"
            " second_approved_by = 'A'"
        )
