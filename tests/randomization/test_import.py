"""A list made outside: imported whole or not at all, every fault named by row."""

import csv
import io
import random
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from iwrs import clock
from iwrs.accounts.models import Role
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from randomization.listing.outside_file import Scheme, read_list
from randomization.models import ListCommitment
from randomization.unblinded import services as lists
from randomization.unblinded.bundle import bundle_of
from randomization.unblinded.checks import report
from randomization.unblinded.extension import extend_list
from randomization.unblinded.imported import import_list
from randomization.unblinded.models import ListEntry, RandomizationList
from randomization.unblinded.verification import faults_of
from tests import factories as make
from tests.randomization.test_verify import outside_faults
from tests.roles import Logins, as_unblinded
from tests.unblinded_site.conftest import Browser, unblinded_side  # noqa: F401

STRATA = tuple(f"visceral={v}|sensitive={s}" for v in ("yes", "no") for s in ("yes", "no"))
SCHEME = Scheme((("EVE", 2), ("PBO", 1)), STRATA, 9, (3, 6))
HEADER = ["id", "stratum", "block.id", "block.size", "treatment"]


def rows() -> list[list[str]]:
    """A good scheme as blockrand writes it: blocks of three, twelve places a stratum."""
    made, draw = [], random.Random(2011)
    for stratum in STRATA:
        for block in range(4):
            arms = ["EVE", "EVE", "PBO"]
            draw.shuffle(arms)
            for at, arm in enumerate(arms, 1):
                made.append([str(block * 3 + at), stratum, str(block + 1), "3", arm])
    return made


def written(table: list[list[str]], header: list[str] | None = None) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([header or HEADER, *table])
    return text.getvalue().encode()


def faults(content: bytes, names: str = "") -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        read_list(content, SCHEME, names)
    return refused.value.errors


class TestReading:
    def test_a_whole_scheme(self):
        entries = read_list(written(rows()), SCHEME)
        assert [e.stratum for e in entries[::12]] == list(STRATA)
        assert [(e.position, e.block) for e in entries[1:4]] == [(2, 1), (3, 1), (4, 2)]
        assert [e.arm for e in entries] == [row[4] for row in rows()]

    def test_rows_of_strata_may_be_mixed_and_names_be_others(self):
        table = sorted(rows(), key=lambda row: int(row[0]))
        words = {"EVE": "1", "PBO": "2", **{key: f"S{n}" for n, key in enumerate(STRATA)}}
        table = [[f"A-{row[0]:0>3}", words[row[1]], row[2], words[row[4]]] for row in table]
        names = "\n".join(
            ["column arm: TRTCODE", "arm 1: EVE", "arm 2: PBO", ""]
            + [f"stratum S{n}: {key}" for n, key in enumerate(STRATA)]
        )
        content = b"\xef\xbb\xbf" + written(table, ["SEQNO", "STRATA", "BLOCK", "TrtCode"])
        assert read_list(content, SCHEME, names) == read_list(written(rows()), SCHEME)

    @pytest.mark.parametrize(
        ("change", "where", "what"),
        [
            (lambda t: t.pop(4), "row 6, id", "6 is after a gap: 4 is before"),
            (lambda t: t.insert(5, t[4]), "row 7, id", "5 is given twice or out of order"),
            (lambda t: t.insert(0, t.pop(1)), "row 3, id", "1 is given twice or out of order"),
            (lambda t: t[4].__setitem__(4, "XYZ"), "row 6, arm", "XYZ is no arm. Arms: EVE, PBO."),
            (lambda t: t[4].__setitem__(4, ""), "row 6", "arm: empty"),
            (lambda t: t[4].__setitem__(1, "west"), "row 6, stratum", "west is no stratum"),
            (lambda t: t[4].__setitem__(0, "five"), "row 6, id", "does not end with a number"),
            (lambda t: t[4].__setitem__(3, "6"), "row 6, size", "It says 6, not 3."),
            (lambda t: t[4].append("x"), "row 6", "It has 6 cells; the header has 5."),
            (lambda t: [r.__setitem__(4, "EVE") for r in t[3:6]], "row 5, block",
             "not in the ratio: EVE 3, PBO 0"),
            (lambda t: t[2].__setitem__(2, "9"), "row 2, block", "2 rows; allowed are 3, 6."),
            (lambda t: [r.__setitem__(2, "1") for r in t[6:9]], "row 8, block",
             "Block 1 of stratum visceral=yes|sensitive=yes came before."),
            (lambda t: t.__delitem__(slice(36, None)), "stratum visceral=no|sensitive=no",
             "It has no row."),
            (lambda t: t.__delitem__(slice(42, None)), "stratum visceral=no|sensitive=no",
             "It has 6 rows; at least 9 needed."),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_named_by_row(self, change: Callable[[Any], Any], where, what):
        table = rows()
        change(table)
        assert what in faults(written(table))[where]

    def test_all_faults_at_once_and_the_first_fifty(self):
        table = rows()
        for row in table:
            row[4] = "?"
        table += [[f"{n}", "west", "1", "3", "?"] for n in range(20)]
        with pytest.raises(Invalid) as refused:
            read_list(written(table), SCHEME)
        assert "88 faults" in refused.value.title
        assert len(refused.value.errors) == 50 + 1
        assert "88 faults in all" in refused.value.errors["more"]

    @pytest.mark.parametrize(
        ("content", "what"),
        [
            (b"", "It is empty"),
            (b"id,stratum,treatment\n", "no header and rows"),
            (b"\xff\xfe", "not text in UTF-8"),
            (b'id,stratum,treatment\n"1,a,b\n', "not CSV"),
            (b"x" * (32 * 2**20 + 1), "larger than 32 MiB"),
        ],
    )
    def test_a_file_that_is_no_table(self, content, what):
        assert any(what in text for text in faults(content).values())

    def test_columns_missing_or_twice(self):
        assert "No column is arm" in faults(written(rows(), [*HEADER[:4], "drug"]))["header"]
        twice = faults(written(rows(), ["id", "strata", "stratum", "block", "arm"]))["header"]
        assert "2 columns could be stratum" in twice
        no_blocks = [[row[0], row[1], row[4]] for row in rows()]
        said = faults(written(no_blocks, ["id", "stratum", "arm"]))
        assert "needs a column of blocks" in said["row 2, block"]

    @pytest.mark.parametrize(
        ("names", "what"),
        [
            ("arm 1 EVE", "Write it like this"),
            ("column drug: X", "Columns are"),
            ("arm 1: EVE\narm 1: PBO", "given twice"),
        ],
    )
    def test_wrong_names(self, names, what):
        assert any(what in text for text in faults(written(rows()), names).values())


@pytest.fixture
def study(db) -> Study:
    return make.a_study(with_list=False, length=9)


def taken(study: Study, content: bytes) -> RandomizationList:
    with as_unblinded():
        return import_list(study, content, file_name="plan.csv", by=make.STATISTICIANS[0])


def in_use(made: RandomizationList) -> RandomizationList:
    with as_unblinded():
        for person in make.STATISTICIANS[1:]:
            signature = Signature(person.label, clock.now(), "I approve this list")
            made = lists.approve_list(made, by=person, signature=signature)
    return made


class TestList:
    def test_it_serves_subjects_in_the_order_of_the_file(self, study):
        made = in_use(taken(study, written(rows())))
        assert ListCommitment.objects.get(study=study).algorithm == "imported/1"
        centre = make.a_centre(study, cover=2)
        arms = [make.arm_of(make.a_randomized_subject(centre)) for _ in range(5)]
        assert arms == [row[4] for row in rows()[:5]]
        with as_unblinded():
            assert list(faults_of(study)) == []
            bundle = bundle_of(study)
            with pytest.raises(Problem) as refused:
                extend_list(made, length=50, by=make.STATISTICIANS[0])
        assert refused.value.code == "list_imported"
        assert bundle["lists"][0]["file"]["name"] == "plan.csv"
        assert outside_faults(bundle, made.merkle_root) == []
        bundle["lists"][0]["parts"][0]["entries"][3][3] = "EVE" if arms[3] == "PBO" else "PBO"
        assert any("do not give the root" in fault for fault in outside_faults(bundle))

    def test_its_report(self, study):
        made = taken(study, written(rows()))
        with as_unblinded():
            checks = {check.name: check for check in report(made)}
        assert not [name for name, check in checks.items() if check.passed is False]
        assert "plan.csv" in checks["Read again from the file"].said
        assert "made outside" in checks["Seed"].said

    def test_nothing_is_half_imported(self, study):
        with pytest.raises(Invalid):
            taken(study, written([*rows()[:-1], ["13", *rows()[-1][1:]]]))
        with as_unblinded():
            assert not RandomizationList.objects.exists()
            assert not ListEntry.objects.exists()

    def test_a_study_with_a_list_and_one_by_minimization_import_none(self, db):
        for study in (make.a_study(length=9), make.a_study(method="minimization", with_list=False)):
            with pytest.raises(Problem) as refused:
                taken(study, written(rows()))
            assert refused.value.code in {"list_exists", "no_list_to_import"}

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE unblinded.imported_file SET content = content || '\\x0a'",
            "UPDATE unblinded.imported_file SET sha256 = repeat('0', 64)",
            "UPDATE unblinded.list_entry SET block = 7 WHERE position = 2",
        ],
    )
    def test_a_change_afterwards_is_named(self, committed_db, logins: Logins, change):
        study = make.a_study(with_list=False, length=9)
        in_use(taken(study, written(rows())))
        logins.superuser().execute(change)
        with as_unblinded():
            assert any("is not what the imported file says" in fault for fault in faults_of(study))


def test_the_page(study, unblinded_side):  # noqa: F811
    with as_unblinded():
        people = [make.a_user(Role.UNBLINDED_STATISTICIAN, study=study) for _ in range(2)]
    browser = Browser(people[0])
    address = reverse("import-list", args=[study.code])
    assert address in browser.get("/").content.decode()
    table = rows()
    table[4][4] = "XYZ"
    wrong = SimpleUploadedFile("plan.csv", written(table), content_type="text/csv")
    refused = browser.post(address, file=wrong, names="arm 9: EVE")
    assert refused.status_code == 422
    text = refused.content.decode()
    assert "row 6, arm" in text
    assert "arm 9: EVE" in text  # what was typed stays
    good = SimpleUploadedFile("plan.csv", written(rows()), content_type="text/csv")
    assert browser.post(address, file=good).status_code == 302
    with as_unblinded():
        made = RandomizationList.objects.get()
    page = Browser(people[1]).get(reverse("approve-list", args=[study.code, made.pk]))
    assert "Read again from the file" in page.content.decode()
