"""A seed made by two people: neither alone knows it or steers it, and it serves one list."""

import hashlib
import json
import re
from pathlib import Path

import psycopg
import pytest

from iwrs import clock
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from randomization.listing import generate
from randomization.listing.split import ShareError, commitment_of, share_text, split_seed
from randomization.unblinded import seeds
from randomization.unblinded import services as lists
from randomization.unblinded.checks import report
from randomization.unblinded.models import RandomizationList
from randomization.unblinded.models_life import SeedShare, SplitSeed
from randomization.unblinded.parts import design_of, stored_entries
from tests import factories as make
from tests.roles import Logins, as_unblinded

DOCS = Path(__file__).resolve().parents[2] / "docs" / "algorithms" / "list.md"
FIRST, SECOND = make.STATISTICIANS[1:]
SHARES = [hashlib.sha256(text).hexdigest() for text in (b"one", b"two")]


def commit(study, person, share: str) -> SeedShare:
    with as_unblinded():
        return seeds.commit_share(study, commitment_of(share), by=person)


def reveal(split, person, share: str) -> SeedShare:
    signature = Signature(person.label, clock.now(), "I drew this share")
    with as_unblinded():
        return seeds.open_share(split, share, by=person, signature=signature)


def refusal(act, *given) -> str:
    with pytest.raises(Problem) as refused:
        act(*given)
    return refused.value.code


@pytest.fixture
def study(db):
    return make.a_study(with_list=False)


def test_the_vectors_of_the_description():
    [text] = re.findall(
        r"```json\n(\{\s*\"algorithm\": \"split-seed/1\".*?)```", DOCS.read_text(), re.S
    )
    vectors = json.loads(text)
    first, second = vectors["shares"]
    assert [hashlib.sha256(s.encode()).hexdigest() for s in (first, second)] == vectors[
        "commitments"
    ]
    by_hand = f"iwrs split-seed/1 seed\n{vectors['study']}\n{vectors['number']}\n{first}\n{second}"
    assert hashlib.sha256(by_hand.encode()).hexdigest() == vectors["seed"]
    assert split_seed(vectors["study"], vectors["number"], (first, second)).hex() == vectors["seed"]


@pytest.mark.parametrize("wrong", ["", "00", "g" * 64, "0" * 64, "ab" * 32, "é" * 64])
def test_a_text_that_is_no_share(wrong: str):
    with pytest.raises(ShareError) as refused:
        share_text(wrong)
    assert wrong == "" or wrong not in str(refused.value)


def test_a_share_may_be_typed_in_groups():
    spaced = " ".join(re.findall("....", SHARES[0].upper()))
    assert share_text(spaced) == SHARES[0]


def test_each_share_and_its_place_change_the_seed():
    base = split_seed("s", 1, (SHARES[0], SHARES[1]))
    others = [
        split_seed("t", 1, (SHARES[0], SHARES[1])),
        split_seed("s", 2, (SHARES[0], SHARES[1])),
        split_seed("s", 1, (SHARES[1], SHARES[0])),
        split_seed("s", 1, (SHARES[0], SHARES[0])),
    ]
    assert len({base, *others}) == 5


class TestOrder:
    def test_no_share_is_taken_before_both_commitments_stand(self, study):
        split = commit(study, FIRST, SHARES[0]).split
        assert refusal(reveal, split, FIRST, SHARES[0]) == "share_too_early"
        commit(study, SECOND, SHARES[1])
        assert reveal(split, FIRST, SHARES[0]).opened_at is not None
        assert refusal(reveal, split, FIRST, SHARES[0]) == "share_opened"

    def test_a_share_that_was_not_committed_to(self, study):
        split = commit(study, FIRST, SHARES[0]).split
        commit(study, SECOND, SHARES[1])
        assert refusal(reveal, split, FIRST, SHARES[1]) == "invalid"
        assert refusal(reveal, split, make.STATISTICIANS[0], SHARES[1]) == "share_too_early"
        with as_unblinded():
            assert not SeedShare.objects.exclude(share="").exists()

    def test_one_person_gives_one_commitment_and_a_third_none(self, study):
        commit(study, FIRST, SHARES[0])
        assert refusal(commit, study, FIRST, SHARES[1]) == "same_person"
        assert refusal(commit, study, SECOND, SHARES[0]) == "invalid"  # a copied commitment
        commit(study, SECOND, SHARES[1])
        third = hashlib.sha256(b"three").hexdigest()
        assert refusal(commit, study, make.STATISTICIANS[0], third) == "seed_has_two_shares"

    def test_a_seed_is_given_up_with_a_reason_and_its_shares_serve_never_again(self, study):
        split = commit(study, FIRST, SHARES[0]).split
        with as_unblinded():
            with pytest.raises(Invalid):
                seeds.end_split(split, by=SECOND, why="  ")
            seeds.end_split(split, by=SECOND, why="Share lost")
            assert seeds.current_split(study) is None
        assert refusal(reveal, split, FIRST, SHARES[0]) == "seed_used"
        assert refusal(commit, study, FIRST, SHARES[0]) == "invalid"
        fresh = hashlib.sha256(b"fresh").hexdigest()
        assert commit(study, FIRST, fresh).split.number == 2


class TestList:
    def test_a_study_with_real_subjects_takes_it(self, study):
        assert not study.simulated
        with as_unblinded():
            split = make.a_split(study, opened=2)
            made = lists.generate_list(study, by=make.STATISTICIANS[0], split=split)
            shares = [each.share for each in split.shares.order_by("place")]
            by_hand = "\n".join(["iwrs split-seed/1 seed", study.code, "1", *shares])
            assert bytes(made.seed) == hashlib.sha256(by_hand.encode()).digest()
            assert made.origin.get_source_display().startswith("Made by two people")
            assert all(check.passed is not False for check in report(made))

    def test_one_share_is_no_seed(self, study):
        with as_unblinded():
            split = make.a_split(study, opened=1)
            with pytest.raises(Problem) as refused:
                lists.generate_list(study, by=make.STATISTICIANS[0], split=split)
            assert refused.value.code == "seed_incomplete"
            assert not RandomizationList.objects.exists()

    def test_it_serves_one_list(self, study):
        with as_unblinded():
            split = make.a_split(study, opened=2)
            lists.generate_list(study, by=make.STATISTICIANS[0], split=split)
            with pytest.raises(Problem) as refused:
                lists.generate_list(study, by=make.STATISTICIANS[0], split=split)
            assert refused.value.code == "seed_used"
            assert RandomizationList.objects.count() == 1


class TestDatabase:
    """What holds when somebody with the unblinded login writes past the application."""

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ("share = repeat('0', 64), opened_at = now()", psycopg.errors.CheckViolation),
            ("commitment = repeat('0', 64)", psycopg.errors.InsufficientPrivilege),
            ("by = 'Somebody else'", psycopg.errors.InsufficientPrivilege),
            ("place = 2", psycopg.errors.InsufficientPrivilege),
        ],
    )
    def test_a_commitment_binds(self, committed_db, logins: Logins, change: str, error):
        commit(make.a_study(with_list=False), FIRST, SHARES[0])
        with pytest.raises(error):
            logins.unblinded().execute(f"UPDATE unblinded.seed_share SET {change}")

    def test_an_open_share_stays(self, committed_db, logins: Logins):
        study = make.a_study(with_list=False)
        with as_unblinded():
            make.a_split(study, opened=1)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            logins.unblinded().execute(
                "UPDATE unblinded.seed_share SET share = '', opened_at = NULL WHERE share <> ''"
            )

    def test_no_share_is_in_the_history(self, committed_db, logins: Logins):
        study = make.a_study(with_list=False)
        with as_unblinded():
            split = make.a_split(study, opened=2)
            share = split.shares.all()[0].share
        rows = logins.unblinded().execute(
            "SELECT to_jsonb(e)::text FROM unblinded.seed_share_event e"
        )
        texts = [row[0] for row in rows]
        assert len(texts) == 4
        assert not [text for text in texts if share in text]


class TestReport:
    """The report before approval names what is wrong with the stored places."""

    def failed(self, made) -> set[str]:
        with as_unblinded():
            return {check.name for check in report(made) if check.passed is False}

    @pytest.fixture
    def made(self, committed_db):
        study = make.a_study(with_list=False, length=12)
        with as_unblinded():
            return lists.generate_list(study, by=make.STATISTICIANS[0])

    def test_a_good_list_passes(self, made):
        assert self.failed(made) == set()
        with as_unblinded():
            assert stored_entries(made) == generate(design_of(made), bytes(made.seed))

    SAME = {"Made again from design and seed", "Merkle root"}

    @pytest.mark.parametrize(
        ("change", "names"),
        [
            (
                "UPDATE unblinded.list_entry SET arm = CASE arm WHEN 'EVE' THEN 'PBO'"
                " ELSE 'EVE' END WHERE position = 1",
                SAME | {"Blocks in the ratio"},
            ),
            ("UPDATE unblinded.list_entry SET position = 50 WHERE position = 3",
             SAME | {"Positions"}),
            (
                "DELETE FROM unblinded.list_entry WHERE stratum_key = 'visceral=no|sensitive=no'",
                SAME | {"Strata and lengths"},
            ),
            ("UPDATE unblinded.list_entry SET arm = 'XYZ' WHERE position = 2",
             SAME | {"Blocks in the ratio", "Places by arm"}),
            ("UPDATE unblinded.list SET seed = sha256(seed)", SAME),
            ("UPDATE unblinded.list SET merkle_root = repeat('0', 64)", {"Merkle root"}),
            ("DELETE FROM unblinded.list_origin", {"Seed"}),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_named(self, made, logins: Logins, change: str, names: set[str]):
        logins.superuser().execute(change)
        with as_unblinded():
            made = RandomizationList.objects.get(pk=made.pk)
        assert names <= self.failed(made)


def test_seeds_given_up_are_in_the_report(study):
    with as_unblinded():
        seeds.end_split(make.a_split(study), by=FIRST, why="Share lost")
        split = make.a_split(study, opened=2, fill="again")
        made = lists.generate_list(study, by=make.STATISTICIANS[0], split=split)
        [said] = [check.said for check in report(made) if check.name == "Seed"]
        assert "Split seeds of this study that were given up: 1." in said
        assert "Split seed 2" in said
        assert SplitSeed.objects.get(number=2).used_at is not None
