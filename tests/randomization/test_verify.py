"""`list verify` and the stand-alone program: one changed byte is found, and named, by both."""

import ast
import json
import random
import runpy
import subprocess
import sys
import zipfile
from contextlib import redirect_stdout, suppress
from functools import cache
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from iwrs.audit_trail.models import Access
from iwrs.models import Study
from randomization.unblinded.bundle import SCRIPT, bundle_of, own_sha256, write_bundle
from randomization.unblinded.models import Allocation, RandomizationList
from randomization.unblinded.verification import faults_of
from tests import factories as make
from tests.roles import Logins, as_unblinded

pytestmark = pytest.mark.requirement("REQ-057")


@cache
def outside() -> SimpleNamespace:
    """The functions of the stand-alone program."""
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


def outside_faults(bundle: dict[str, Any], *roots: str) -> list[str]:
    return list(outside().check(bundle, roots))


def run(path: Path, *roots: str) -> subprocess.CompletedProcess[str]:
    """The program as a stranger runs it: another process, isolated from every installed package."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT), str(path), *roots],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )


@pytest.fixture
def study(committed_db: None) -> Study:
    """A list whose seed two people made, and seven subjects in two strata."""
    study = make.a_listed_study(length=6, split=True)
    centre = make.a_centre(study, cover=2)
    last = {factor.key: factor.levels[-1].key for factor in study.definition.factors}
    for turn in range(7):
        make.a_randomized_subject(centre, **({"strata": last} if turn % 3 == 2 else {}))
    return study


def bundle(study: Study) -> dict[str, Any]:
    with as_unblinded():
        made: dict[str, Any] = json.loads(json.dumps(bundle_of(study)))
    return made


def inside_faults(study: Study) -> list[str]:
    with as_unblinded():
        return list(faults_of(study))


class TestProgram:
    def test_it_is_one_short_page_of_plain_python(self):
        text = SCRIPT.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 200
        imports = [
            n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Import | ast.ImportFrom)
        ]
        names = {alias.name for each in imports for alias in each.names}
        assert names <= set(sys.stdlib_module_names)

    def test_its_cipher_is_the_standards(self):
        """RFC 8439, 2.3.2 and 2.4.2: a block, and a text over two blocks enciphered."""
        block = outside().chacha20_block
        key, nonce = bytes(range(32)), bytes.fromhex("000000090000004a00000000")
        assert block(key, 1, nonce).hex() == (
            "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
            "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
        )
        text = (
            b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the"
            b" future, sunscreen would be it."
        )
        stream = b"".join(block(key, n, bytes.fromhex("000000000000004a00000000")) for n in (1, 2))
        enciphered = bytes(a ^ b for a, b in zip(text, stream, strict=False)).hex()
        assert enciphered.startswith(
            "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b"
        )
        assert enciphered.endswith("874d")

    def test_it_makes_the_vectors_of_the_description(self):
        from tests.randomization.test_listing import VECTORS

        design, seed = VECTORS["design"], bytes.fromhex(VECTORS["seed"])
        made = list(outside().generate("permuted-blocks/1", design, seed))
        for each in VECTORS["strata"]:
            arms = "".join(arm for stratum, _, _, arm in made if stratum == each["stratum"])
            assert arms == "".join(each["blocks"])

    def test_an_unknown_algorithm_is_no_list(self):
        design = {"study": "s", "strata": ["x"], "length": 1, "arms": [["A", 1], ["B", 1]]}
        with pytest.raises(KeyError):
            list(outside().generate("other/1", design, bytes(32)))


class TestBundle:
    def test_an_honest_bundle_is_right_for_both(self, study, tmp_path):
        made = bundle(study)
        assert len(made["allocations"]) == 7
        assert {each["stratum"] for each in made["allocations"]} == {
            "visceral=yes|sensitive=yes",
            "visceral=no|sensitive=no",
        }
        assert outside_faults(made, made["lists"][0]["parts"][0]["root"].upper()) == []
        assert inside_faults(study) == []
        with as_unblinded():
            write_bundle(study, tmp_path / "bundle.zip")
        assert zipfile.ZipFile(tmp_path / "bundle.zip").namelist() == [
            "bundle.json",
            "verify_list.py",
        ]
        assert (tmp_path / "bundle.zip").stat().st_mode & 0o077 == 0
        ran = run(tmp_path / "bundle.zip")
        assert (ran.returncode, ran.stderr) == (0, "")
        verdict, rule, named, told = ran.stdout.splitlines()
        assert verdict == "Everything agrees."
        assert rule.startswith("List 1, permuted-blocks/1: {")
        shown = json.loads(rule.partition(": ")[2])
        assert (shown["arms"], shown["block_sizes"]) == ([["EVE", 2], ["PBO", 1]], [3, 6])
        assert shown["root"] == made["lists"][0]["parts"][0]["root"]
        assert named == "Arms not of the own place: 0"
        assert told == "Places told on paper and accepted: []"

    def test_a_root_that_was_not_published(self, study, tmp_path):
        with as_unblinded():
            write_bundle(study, tmp_path / "b.json")
        ran = run(tmp_path / "b.json", "ab" * 32)
        assert ran.returncode == 1
        with as_unblinded():
            root = RandomizationList.objects.get().merkle_root
        assert ran.stdout.splitlines()[:2] == [
            f"WRONG  no list has the root {'ab' * 32}",
            f"WRONG  you did not note the root {root}",
        ]

    def test_a_part_that_gives_places_again_is_found(self, study):
        """An imported list is not made again from its seed: a later part could replace places."""
        made = bundle(study)
        listed = made["lists"][0]
        listed["algorithm"] = "imported/1"
        again = json.loads(json.dumps(listed["parts"][0]))
        sha256, salts = outside().sha256, []
        for entry in again["entries"]:
            entry[3] = changed(entry[3])
            text = "\n".join(str(each) for each in (entry[0], entry[1], entry[2], entry[3]))
            salts.append(sha256(b"\0", bytes.fromhex(entry[4]), text))
        again["root"] = again["published"] = outside().merkle_root(salts)
        listed["parts"].append(again)
        for each in made["allocations"]:
            each["arm"] = changed(each["arm"])
        made["sha256"] = own_sha256(made)
        faults = outside_faults(made)
        assert len(faults) == len(again["entries"])
        assert all("list 1, part 1: gives place" in fault for fault in faults), faults

    @pytest.mark.parametrize(
        ("where", "named"),
        [
            (("lists", 0, "seed"), "places are not what design and seed give"),
            (("lists", 0, "split", "shares", 0), "list 1: the seed is not that of two shares"),
            (("lists", 0, "split", "commitments", 1), "list 1: the seed is not that of two shares"),
            (("lists", 0, "parts", 0, "entries", 4, 4), "the salt of visceral=yes|sensitive=yes 5"),
            (("lists", 0, "parts", 0, "entries", 4, 3), "first ('visceral=yes|sensitive=yes', 5)"),
            (("lists", 0, "parts", 0, "entries", 2, 2), "first ('visceral=yes|sensitive=yes', 3)"),
            (("lists", 0, "parts", 0, "entries", 1, 1), "places are not what design and seed give"),
            (("lists", 0, "parts", 0, "root"), "the places do not give the root"),
            (("lists", 0, "parts", 0, "published"), "list 1, part 0: published was the root"),
            (("lists", 0, "parts", 0, "design", "arms", 0, 1), "places are not what design"),
            (("allocations", 3, "arm"), "the arm is not that of place"),
            (("allocations", 3, "position"), "was next"),
            (("allocations", 3, "asked"), "was in stratum"),
            (("allocations", 3, "stratum"), "has a place of"),
            (("allocations", 3, "subject"), "the bundle was changed after it was written"),
        ],
    )  # fmt: skip
    def test_one_changed_value_is_named(self, study, where, named: str):
        made = bundle(study)
        holder: Any = made
        for step in where[:-1]:
            holder = holder[step]
        holder[where[-1]] = changed(holder[where[-1]])
        faults = outside_faults(made)
        assert "the bundle was changed after it was written" in faults
        assert any(named in fault for fault in faults), faults
        # Somebody who also renews the bundle's own hash is found out by the rest.
        made["sha256"] = own_sha256(made)
        if where[-1] != "subject":
            assert any(named in fault for fault in outside_faults(made)), faults

    def test_one_changed_byte_anywhere(self, study, tmp_path):
        """Whoever changes a byte renews the hash too: what the program works out must find it."""
        with as_unblinded():
            write_bundle(study, tmp_path / "b.json")
        content = (tmp_path / "b.json").read_bytes()
        told = worked_out(json.loads(content))
        draw, found = random.Random(7), 0
        for turn in range(200):
            at = draw.randrange(len(content))
            new = draw.choice([b for b in b'0123456789abcdefEVEPBO"{},' if b != content[at]])
            broken = content[:at] + bytes([new]) + content[at + 1 :]
            renewed = False
            with suppress(ValueError):
                made = json.loads(broken)
                if worked_out(made) == told:
                    continue  # nothing follows from this byte: a moment, a file's name
                renewed = "sha256" in made
                broken = json.dumps(made | {"sha256": own_sha256(made)}).encode()
            (tmp_path / "broken.json").write_bytes(broken)
            with redirect_stdout(StringIO()) as said:
                status = outside().main(str(tmp_path / "broken.json"))
            assert status == 1, f"turn {turn}: byte {at}"
            assert said.getvalue().startswith("WRONG  ")
            assert "changed after it was written" not in said.getvalue()
            found += renewed
        assert found > 100  # the others are no JSON any more

    def test_a_subject_left_out_and_one_twice(self, study):
        made = bundle(study)
        left = made["allocations"].pop(0)
        assert any("was next" in fault for fault in outside_faults(made))
        made["allocations"] += [left, left]
        assert any("allocated twice" in fault for fault in outside_faults(made))


def worked_out(bundle: dict[str, Any]) -> Any:
    """What the program compares with something else; None where nothing can be worked out.

    Of a design that is the places which it gives: with a length of 5, or blocks of 3 and 7, they
    are those of the true one, and the program prints designs without judging them.
    """
    lists = ("number", "algorithm", "seed", "split")
    places = ("list", "asked", "stratum", "position", "arm", "forced", "decision")
    try:
        return (
            bundle["study"],
            [[each[key] for key in lists] for each in bundle["lists"]],
            [
                [part["root"], part["published"], part["entries"], made_again(each, part)]
                for each in bundle["lists"]
                for part in each["parts"]
            ],
            [[each[key] for key in places] for each in bundle["allocations"]],
        )
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


def made_again(listed: dict[str, Any], part: dict[str, Any]) -> list[Any]:
    seed = bytes.fromhex(listed["seed"])
    return list(outside().generate(listed["algorithm"], part["design"], seed))


def changed(value: Any) -> Any:
    """The smallest other value: one more, another arm, one hexadecimal digit, one letter."""
    if isinstance(value, int):
        return value + 1
    if value in {"EVE", "PBO"}:
        return {"EVE": "PBO", "PBO": "EVE"}[value]
    last = "1" if value[-1] == "0" else "0"
    return value[:-1] + last


class TestDatabase:
    """The same in the database, written past every privilege, trigger and constraint."""

    OTHER = "CASE arm WHEN 'EVE' THEN 'PBO' ELSE 'EVE' END"
    FIRST = "(SELECT min(id) FROM unblinded.allocation)"

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            (f"UPDATE unblinded.list_entry SET arm = {OTHER} WHERE position = 2",
             "list 1: place 2 of visceral=yes|sensitive=yes is not what design and seed give"),
            ("UPDATE unblinded.list_entry SET block = 9 WHERE position = 3",
             "list 1: place 3 of visceral=no|sensitive=no is not what design and seed give"),
            ("DELETE FROM unblinded.list_entry WHERE position = 6",
             "list 1: place 6 of visceral=yes|sensitive=no is not what design and seed give"),
            ("UPDATE unblinded.list SET seed = set_byte(seed, 0, get_byte(seed, 0) # 1)",
             "list 1: the seed is not that of the two shares"),
            ("UPDATE unblinded.list SET design = jsonb_set(design, '{study}', '\"other\"')",
             "is not what design and seed give"),
            ("UPDATE unblinded.list SET merkle_root = overlay(merkle_root placing 'x' from 5)",
             "list 1: the root is not the one that was published"),
            ("UPDATE randomization_listcommitment SET merkle_root = repeat('0', 64)",
             "list 1: the stored places do not give the root that was published"),
            ("UPDATE randomization_listcommitment SET merkle_root = repeat('0', 64)",
             "list 1: no proof of place 1 of visceral=yes|sensitive=yes"),
            ("DELETE FROM randomization_listcommitment",
             "list 1: the root is not the one that was published"),
            (f"UPDATE unblinded.allocation SET arm = {OTHER} WHERE id = {FIRST}",
             "the arm is not that of place 1 of visceral=yes|sensitive=yes"),
            ("UPDATE unblinded.stratum_cursor SET used = used + 1 WHERE used = 2",
             "list 1: 3 places of visceral=no|sensitive=no are counted as used, and 2 subjects"),
            (f"DELETE FROM unblinded.allocation WHERE id = {FIRST}",
             "was randomized and has no place"),
            ("UPDATE randomization_randomization SET stratum_key = 'visceral=no|sensitive=no'",
             "was in stratum visceral=no|sensitive=no, has a place of visceral=yes|sensitive=yes"),
            ("UPDATE unblinded.list SET status = 'generated'",
             "list 1: it is published or has subjects, and was never in use"),
            ("UPDATE unblinded.list SET dynamic = true",
             "list 1: when arms are decided is not as the method says"),
            ("UPDATE unblinded.list_origin SET definition_sha256 = repeat('0', 64)",
             "list 1: the study has no definition that it was made for"),
            # No list of 3 and 6 is one of 9 too; one in 256 is a list of 3 alone.
            ("UPDATE unblinded.list SET design = jsonb_set(design, '{block_sizes}', '[9]')",
             "list 1: the design is not that of the definition it was made for"),
            ("UPDATE randomization_listcommitment SET list_number = 2",
             "list 2: was published and is not there"),
        ],
    )  # fmt: skip
    def test_one_change_is_named(self, study, logins: Logins, change: str, named: str):
        logins.superuser().execute(change)
        faults = inside_faults(study)
        assert any(named in fault for fault in faults), faults
        with as_unblinded():
            seed = bytes(RandomizationList.objects.get().seed).hex()
        assert not any(seed[:16] in fault or "EVE" in fault for fault in faults)
        if not any(
            words in named
            for words in ("counted", "no place", "no definition", "never in use", "are decided")
        ):
            assert outside_faults(bundle(study)), "the stand-alone program found nothing"

    def test_two_subjects_who_changed_places_are_named(self, study, logins: Logins):
        with as_unblinded():
            rows = Allocation.objects.filter(entry__stratum_key="visceral=yes|sensitive=yes")
            two = list(rows.filter(entry__position__in=[2, 4]).order_by("pk"))
        first, second = two
        owner = logins.superuser()
        owner.execute("SET session_replication_role = replica")  # no trigger, no foreign key
        for row, subject in ((first, -1), (second, first.subject_id), (first, second.subject_id)):
            owner.execute(
                "UPDATE unblinded.allocation SET subject_id = %s WHERE id = %s", [subject, row.pk]
            )
        faults = inside_faults(study)
        assert any("was randomized before another subject" in fault for fault in faults), faults


class TestCommand:
    def call(self, *words: str) -> str:
        out = StringIO()
        with as_unblinded():
            call_command("list", *words, stdout=out)
        return out.getvalue()

    def test_verify_and_bundle(self, study, settings, tmp_path, logins):
        settings.SIDE = "unblinded"
        assert "Everything agrees" in self.call("verify", study.code)
        file = tmp_path / "b.zip"
        assert "1 lists, 7 allocations" in self.call("bundle", study.code, "--out", str(file))
        with as_unblinded():
            look = Access.objects.get()
        assert (look.page, look.copied, look.study_code) == (
            "the bundle of the lists",
            True,
            study.code,
        )
        with pytest.raises(CommandError, match="cannot be written"):
            self.call("bundle", study.code, "--out", str(file))
        logins.superuser().execute("DELETE FROM unblinded.list_entry WHERE position = 6")
        with pytest.raises(CommandError, match="faults in study"):
            self.call("verify", study.code)

    def test_bad_words(self, study, settings, tmp_path):
        with pytest.raises(CommandError, match="Set IWRS_SIDE=unblinded"):
            self.call("verify", study.code)
        settings.SIDE = "unblinded"
        with pytest.raises(CommandError, match="no study with the code none"):
            self.call("verify", "none")
        with pytest.raises(CommandError, match=r"must end in \.zip or \.json"):
            self.call("bundle", study.code, "--out", str(tmp_path / "b.txt"))
        assert list(tmp_path.iterdir()) == []
