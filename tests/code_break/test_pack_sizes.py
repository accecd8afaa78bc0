"""Whether a pack is made, and how large it is, hangs on nobody's arm, whatever Eve writes.

Eve has the blinded login. She may load a definition in which one arm's code is renamed and all
labels are short, and tune the title, until a pack just fits or just does not.
"""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from django.db import connection, transaction

from dsmb.analysis import unpack
from dsmb.models import SealedPack
from dsmb.packs import newest_packs
from dsmb.unblinded import packs
from enrolment.models import Subject
from iwrs import clock
from iwrs.models import Study
from tests import factories as make
from tests.dsmb.rows import as_owner
from tests.forged import load_forged, load_relabelled, one_letter
from tests.roles import as_unblinded

COUPLED = [("PBO", "PBO"), ("EVE", "PBO"), ("EVE", "EVE")]
SLACK = range(-8, 9)  # bytes around the size at which the packs just fit


@pytest.fixture(autouse=True)
def one_moment() -> Iterator[None]:
    """A pack says when it was made, and some dates are longer than others."""
    with clock.at(make.at(2026, 3, 3)):
        yield


@pytest.fixture
def subjects(site: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> list[Subject]:
    """Two at one centre of a study with a holder. Encryption, whose size is fixed, is left out."""
    made = [make.a_randomized_subject(site.here) for _ in COUPLED[0]]
    with as_unblinded():
        make.a_holder(site.study)
    monkeypatch.setattr(packs, "seal", lambda payload, keys: payload)
    monkeypatch.setattr(packs, "ciphertext_size", lambda size, holders: size)
    return made


def outcome(study: Study, subjects: list[Subject], arms: tuple[str, ...]) -> list[tuple]:
    """What Eve sees after a beat when the subjects have these arms. It is undone."""
    before = transaction.savepoint()
    with as_owner(), connection.cursor() as cursor:
        for subject, arm in zip(subjects, arms, strict=True):
            cursor.execute(
                "UPDATE unblinded.allocation SET arm = %s WHERE subject_id = %s",
                [arm, subject.pk],
            )
    with as_unblinded():
        packs.work_packs()
    seen = list(newest_packs(study).values_list("centre", "size", "subjects", "kits"))
    transaction.savepoint_rollback(before)
    return seen


def outcomes(
    study: Study, subjects: list[Subject], monkeypatch: pytest.MonkeyPatch
) -> list[list[list[tuple]]]:
    """For each slack, what Eve sees under each of the coupled lists.

    The smallest size stands for her title: it moves the boundary byte by byte.
    """
    needs: list[int] = []
    measured = packs._needed

    def noted(*given: object) -> int:
        needs.append(measured(*given))  # type: ignore[arg-type]
        return needs[-1]

    with monkeypatch.context() as spied:
        spied.setattr(packs, "definition_of_list", lambda study: study.definition)
        spied.setattr(packs, "_needed", noted)
        outcome(study, subjects, COUPLED[-1])
    seen = []
    for slack in SLACK:
        monkeypatch.setattr(packs, "SMALLEST", needs[0] + slack)
        seen.append([outcome(study, subjects, arms) for arms in COUPLED])
    return seen


def differing(seen: list[list[list[tuple]]]) -> int:
    return sum(any(each != first for each in rest) for first, *rest in seen)


def without_the_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "definition_of_list", lambda study: study.definition)


def by_labels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    original = packs._needed
    monkeypatch.setattr(
        packs,
        "_needed",
        lambda about, codes, labels: original(
            about, codes, {each: each for each in labels.values()}
        ),
    )


@pytest.mark.requirement("REQ-043")
def test_a_renamed_arm_is_refused_before_anybody_is_counted(
    site: SimpleNamespace,
    subjects: list[Subject],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    study = load_forged(site.study, one_letter)
    seen = outcomes(study, subjects, monkeypatch)
    assert seen == [[[]] * len(COUPLED)] * len(SLACK)
    assert "sealed packs failed" in caplog.text
    assert not any(text in caplog.text for text in ("EVE", "PBO", "XXX"))


@pytest.mark.requirement("REQ-043")
@pytest.mark.parametrize("load", [load_forged, load_relabelled])
def test_the_size_alone_hides_the_arms_too(
    site: SimpleNamespace,
    subjects: list[Subject],
    monkeypatch: pytest.MonkeyPatch,
    load: Callable[..., Study],
) -> None:
    study = load(site.study, one_letter)
    without_the_refusal(monkeypatch)
    seen = outcomes(study, subjects, monkeypatch)
    assert differing(seen) == 0
    sizes = {size for by_arms in seen for packs_seen in by_arms for _, size, *_ in packs_seen}
    assert len(sizes) == len(SLACK)  # all were made, on both sides of the boundary


def test_without_both_rules_the_boundary_counts_an_arms_subjects(
    site: SimpleNamespace, subjects: list[Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = load_forged(site.study, one_letter)
    without_the_refusal(monkeypatch)
    by_labels_alone(monkeypatch)
    monkeypatch.setattr(packs, "STUDY_BYTES", len(f"{study.code}, {study.title[:120]}"))
    assert differing(outcomes(study, subjects, monkeypatch)) == 4


@pytest.mark.parametrize(
    "title", ["T", "T" * 300, "é" * 300, "T\r\nTREATMENT:  everolimus\x01\u2028"]
)
def test_a_title_moves_no_size_and_adds_no_line(
    site: SimpleNamespace, subjects: list[Subject], monkeypatch: pytest.MonkeyPatch, title: str
) -> None:
    monkeypatch.setattr(packs, "SMALLEST", 1)
    before = outcome(site.study, subjects, COUPLED[0])
    Study.objects.filter(pk=site.study.pk).update(title=title)
    assert outcome(site.study, subjects, COUPLED[0]) == before
    with as_unblinded():
        packs.work_packs()
    pack = SealedPack.objects.filter(centre=site.here).latest("pk")
    one = unpack(bytes(pack.sealed))[f"{subjects[0].number}.txt"].decode()
    assert len([line for line in one.splitlines() if line.startswith("TREATMENT")]) == 1
