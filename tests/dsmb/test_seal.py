"""Packing, padding and sealing: what opens, what is refused, what the size tells."""

import io
import shutil
import subprocess
import zipfile
from importlib import import_module

import pyrage
import pytest

from dsmb.analysis import (
    PackageTooLarge,
    SealError,
    ciphertext_size,
    pack,
    pad,
    seal,
    unpack,
    unseal,
)
from dsmb.analysis.seal import PADDING_NAME

FILES = {"adsl.csv": b"USUBJID\n1\n", "summary.txt": "médiane 6.9\n".encode()}
SIZE = 200_000


def identity():
    key = pyrage.x25519.Identity.generate()
    return str(key), str(key.to_public())


def test_equal_files_make_equal_bytes():
    assert pack(FILES) == pack(dict(reversed(FILES.items())))
    assert pack(FILES) != pack(FILES | {"adsl.csv": b"USUBJID\n2\n"})
    assert unpack(pack(FILES)) == FILES


@pytest.mark.parametrize("name", ["", PADDING_NAME, "a/b.txt", "..\\b.txt", "../b.txt", ".hidden"])
def test_names_that_could_leave_the_folder_are_refused(name):
    with pytest.raises(SealError, match="cannot be the name"):
        pack({name: b""})


def test_padding_reaches_the_exact_size_and_no_less():
    payload = pack(FILES)
    smallest = len(payload) + 98
    for size in (smallest, smallest + 1, SIZE):
        padded = pad(payload, size=size)
        assert len(padded) == size
        assert unpack(padded) == FILES
    with pytest.raises(PackageTooLarge) as refused:
        pad(payload, size=smallest - 1)
    assert (refused.value.needed, refused.value.allowed) == (smallest, smallest - 1)
    assert str(refused.value) == (f"the package needs {smallest} bytes, {smallest - 1} are allowed")
    with pytest.raises(SealError, match="over the limit"):
        pad(payload, size=(1 << 30) + 1)


def test_what_age_decrypts_is_a_zip_that_other_programs_open(tmp_path):
    secret, public = identity()
    sealed = seal(pad(pack(FILES), size=SIZE), [public])
    assert sealed.startswith(b"age-encryption.org/v1\n")
    plain = pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(secret)])
    archive = zipfile.ZipFile(io.BytesIO(plain))
    assert archive.testzip() is None
    assert archive.namelist() == [*sorted(FILES), PADDING_NAME]
    assert set(archive.read(PADDING_NAME)) == {0}
    unzip = shutil.which("unzip")
    if unzip:
        path = tmp_path / "package.zip"
        path.write_bytes(plain)
        subprocess.run([unzip, "-q", path, "-d", tmp_path / "out"], check=True)
        assert (tmp_path / "out" / "adsl.csv").read_bytes() == FILES["adsl.csv"]


@pytest.mark.requirement("REQ-069")
def test_every_recipient_opens_it_and_nobody_else():
    pairs = [identity() for _ in range(3)]
    sealed = seal(pad(pack(FILES), size=SIZE), [public for _, public in pairs])
    for secret, _ in pairs:
        assert unseal(sealed, f"# created: today\n# public key: x\n{secret}\n") == FILES
    with pytest.raises(SealError, match="sealed to other recipients"):
        unseal(sealed, identity()[0])
    damaged = sealed[:-1] + bytes([sealed[-1] ^ 1])
    with pytest.raises(SealError, match="damaged"):
        unseal(damaged, pairs[0][0])
    assert not any(name.encode() in sealed for name in FILES)


@pytest.mark.parametrize("recipients", [1, 2, 5])
@pytest.mark.parametrize("size", [1_000, 65_536, SIZE])
def test_size_is_the_same_whatever_the_payload(recipients, size):
    payloads = [{"a": b""}, FILES, {"b": b"x" * 600}, {"results.json": bytes(range(256)) * 2}]
    sizes = set()
    for files in payloads:
        keys = [identity()[1] for _ in range(recipients)]
        sizes.add(len(seal(pad(pack(files), size=size), keys)))
    assert sizes == {ciphertext_size(size, recipients)}


def test_short_and_empty_payloads_have_the_announced_size_too():
    for size in (0, 1, 100):
        assert len(seal(bytes(size), [identity()[1]])) == ciphertext_size(size, 1)


def test_recipients_are_checked_and_named_by_place():
    _, public = identity()
    with pytest.raises(SealError, match="at least one recipient"):
        seal(b"x", [])
    with pytest.raises(SealError, match=r"recipient 2 of 2: not an age public key") as refused:
        seal(b"x", [public, "age1nonsense"])
    assert "nonsense" not in str(refused.value)
    with pytest.raises(SealError, match="recipient 2 of 2 has the key of an earlier one"):
        seal(b"x", [public, f" {public}\n"])


def test_errors_never_repeat_a_secret():
    secret, public = identity()
    sealed = seal(b"not a zip", [public])
    with pytest.raises(SealError, match="not a zip"):
        unseal(sealed, secret)
    for text in (secret[:-3], "", "# only a comment"):
        with pytest.raises(SealError, match="AGE-SECRET-KEY-1") as refused:
            unseal(sealed, text)
        assert secret[20:40] not in str(refused.value)
    with pytest.raises(SealError) as refused:
        seal(b"x", [secret])
    assert secret[20:40] not in str(refused.value)


def test_a_library_with_other_headers_is_noticed(monkeypatch):
    # The package re-exports the function `seal`, which hides the module of that name.
    module = import_module("dsmb.analysis.seal")
    monkeypatch.setattr(module, "GREASE", 5_000)
    monkeypatch.setattr(module, "MOST_ATTEMPTS", 20)
    with pytest.raises(SealError, match="other headers"):
        seal(bytes(70_000), [identity()[1]])
