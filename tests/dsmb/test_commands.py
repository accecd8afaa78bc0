"""What a committee member runs (unseal, a pair of keys) and how a key and a study are loaded."""

import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest
from django.core.management import CommandError, call_command

from dsmb import analysis
from dsmb.opening import OpeningError, new_identity, open_package
from dsmb.unblinded.models import RecipientKey
from iwrs import studies
from iwrs.models import Study
from tests import factories as make
from tests.roles import as_unblinded

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key.txt"
    return path, new_identity(path)


def sealed(tmp_path, public, **changes):
    arm = analysis.Arm("EVE", "Everolimus", control=True)
    course = analysis.Course("0101-001", "0101", "FR", {}, make.at(2010, 1, 4).date())
    records = [analysis.SubjectRecord(course, arm)]
    files = analysis.build_package(records, make.at(2011, 2, 11).date(), study_title="Study")
    payload = analysis.pad(analysis.pack({**files, **changes}), size=64 * 1024)
    path = tmp_path / "package.age"
    path.write_bytes(analysis.seal(payload, [public]))
    return path, files


def manage(*words, cwd):
    """manage.py with an environment that knows no site."""
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={"PATH": os.environ["PATH"]},
    )


def test_a_committee_member_needs_no_site(tmp_path):
    made = manage("dsmb_key", "new", "--out", "key.txt", cwd=tmp_path)
    public = made.stdout.strip()
    assert public.startswith("age1")
    assert "AGE-SECRET" not in made.stdout + made.stderr
    assert stat.S_IMODE((tmp_path / "key.txt").stat().st_mode) == 0o600
    _, files = sealed(tmp_path, public)
    opened = manage(
        "unseal", "package.age", "--identity", "key.txt", "--out", "opened", cwd=tmp_path
    )
    assert opened.returncode == 0, opened.stderr
    assert "agrees with the manifest" in opened.stdout
    folder = tmp_path / "opened"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_key_is_never_replaced(key):
    before = key[0].read_text()
    with pytest.raises(OpeningError, match="never replaced"):
        new_identity(key[0])
    assert key[0].read_text() == before


def test_an_empty_directory_may_be_used(tmp_path, key):
    path, files = sealed(tmp_path, key[1])
    (tmp_path / "out").mkdir()
    assert len(open_package(path, key[0], tmp_path / "out")) == len(files)


@pytest.mark.parametrize("name", ["../outside.txt", "/tmp/outside.txt", ".hidden"])
def test_a_package_that_leaves_its_directory_is_refused(tmp_path, key, name, monkeypatch):
    path, files = sealed(tmp_path, key[1])
    monkeypatch.setattr("dsmb.opening.unseal", lambda *_: {**files, name: b"x"})
    monkeypatch.setattr("dsmb.opening.check_manifest", lambda _: [])
    with pytest.raises(OpeningError, match="not allowed"):
        open_package(path, key[0], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_opened_says_why_and_writes_nothing(tmp_path, key):
    out = tmp_path / "out"
    path, _ = sealed(tmp_path, key[1])
    stranger = tmp_path / "stranger.txt"
    new_identity(stranger)
    changed, _ = sealed(tmp_path, key[1], **{"adsl.csv": b"USUBJID\n"})
    full = tmp_path / "full"
    full.mkdir()
    (full / "kept").touch()
    for arguments, text in [
        ((path, stranger, out), "sealed to other recipients"),
        ((changed, key[0], out), "differ from the manifest.*adsl.csv"),
        ((tmp_path / "missing", key[0], out), "cannot be read"),
        ((path, tmp_path / "missing", out), "cannot be read"),
        ((path, path, out), "no age secret key|not an age secret key"),
        ((path, key[0], full), "not empty"),
    ]:
        with pytest.raises(OpeningError, match=text):
            open_package(*arguments)
        assert not out.exists()
    assert [each.name for each in full.iterdir()] == ["kept"]
    assert not list(tmp_path.glob(".unseal-*"))


@pytest.mark.django_db
def test_a_key_is_registered_on_the_unblinded_side_only(settings):
    study = make.a_study(with_list=False)
    public = str(pyrage.x25519.Identity.generate().to_public())
    words = ["dsmb_key", "register", "--study", study.code, "--recipient", "dsmb"]
    with pytest.raises(CommandError, match="unblinded side"):
        call_command(*words, "--public-key", public)
    settings.SIDE = "unblinded"
    with as_unblinded():
        with pytest.raises(CommandError, match="must start with age1"):
            call_command(*words, "--public-key", "ssh-rsa")
        call_command(*words, "--public-key", public, stdout=io.StringIO())
        assert RecipientKey.objects.get(study=study).public_key == public
        with pytest.raises(CommandError, match="no study"):
            call_command(*words[:3], "none", *words[4:], "--public-key", public)


@pytest.fixture
def study_file(tmp_path):
    def write(**changes):
        text = make.small_definition("a_study").text
        for old, new in changes.values():
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "study.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def load(path, *words):
    out = io.StringIO()
    call_command("study", "load", str(path), *words, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_a_study_is_loaded_after_the_plan_and_a_yes(study_file, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: "no")
    with pytest.raises(CommandError, match="Nothing was changed"):
        load(study_file())
    assert not Study.objects.exists()
    monkeypatch.setattr("builtins.input", lambda _: "yes")
    assert "Stored as version 1 of a_study" in load(study_file())
    assert "No changes" in load(study_file())
    changed = study_file(window=("window_after_days = 7", "window_after_days = 6"))
    shown = load(changed, "--yes")
    assert "schedule.window_after_days: 7 -> 6" in shown
    assert "version 2" in shown
    out = io.StringIO()
    call_command("study", "show", "a_study", stdout=out)
    assert "Version 2" in out.getvalue()
    assert "window_after_days = 6" in out.getvalue()


@pytest.mark.django_db
def test_what_the_list_was_made_from_stays(study_file):
    study = make.a_study(code="a_study")
    with pytest.raises(CommandError, match="undo the refused changes"):
        load(study_file(blocks=("block_sizes = [3, 6]", "block_sizes = [6]")), "--yes")
    with pytest.raises(CommandError, match="cannot be used"):
        load(study_file(broken=("ratio = 2", "ratio = ")), "--yes")
    assert study.versions.count() == 1
    with pytest.raises(CommandError, match="no study"):
        call_command("study", "show", "none")


@pytest.mark.django_db
def test_a_file_that_differs_in_comments_only_is_a_version_too(study_file):
    load(study_file(), "--yes")
    assert "version 2" in load(study_file(note=("[study]", "# Reviewed\n[study]")), "--yes")
    assert studies.plan(make.small_definition("a_study"), list_exists=False).changes == ()
