"""From chunks to the numbers and the document that a statistician reads."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from randomization.simulation.accrual import Accrual
from randomization.simulation.figures import figures
from randomization.simulation.plan import Contender, Factor, Plan, simulate
from randomization.simulation.report import document, report_pdf
from randomization.simulation.summary import MEASURES, summarize
from randomization.simulation.supply import Supply
from randomization.simulation.supply_told import chance, summarize_supply
from tests.pdf import pdf_text
from tests.simulation.play import COMPLETE, EFRON, MINIMIZATION

PLAN = Plan(
    arms=(("A", 2), ("B", 1)),
    factors=(Factor(name="one", levels=("x", "y")), Factor(name="two", levels=("u", "v"))),
    accrual=Accrual(40, (1.0, 2.0), ((1.0, 1.0), (3.0, 1.0))),
    contenders=(
        Contender(label="Complete", method=COMPLETE, by=()),
        Contender(label="Efron, coin 2/3", method=EFRON, by=("one", "two")),
        Contender(label="Minimization", method=MINIMIZATION, by=("one", "two")),
    ),
)
CHUNKS = {number: simulate(PLAN, seed=9, chunk=number, trials=60) for number in range(3)}
SUPPLIED = PLAN.model_copy(
    update={
        "supply": Supply(per_week=20, cohort_size=2, restock_at=1, lead_days=3, run_every_days=7)
    }
)
KITS = {
    number: simulate(SUPPLIED, seed=9, chunk=number, trials=60)[0]["supply"] for number in range(3)
}
HEADING = {"title": "Methods compared: a study", "simulated": True, "facts": [["Seed", "9"]]}


def test_the_summary_is_that_of_all_trials_together() -> None:
    outcomes = summarize(PLAN, CHUNKS)
    for place, outcome in enumerate(outcomes):
        counts = np.concatenate([CHUNKS[number][place]["counts"] for number in CHUNKS])
        assert outcome.arms[0].spread.mean == pytest.approx(counts[:, 0].mean())
        assert outcome.arms[0].expected == pytest.approx(80 / 3)
        off = np.abs(counts[:, 0] - 80 / 3) > 80 / 60
        assert outcome.arms[0].off == pytest.approx(off.mean())
        ends = np.abs(3 * counts[:, 0] - 80) / 3
        assert outcome.measures["imbalance_end"].mean == pytest.approx(ends.mean())
        assert outcome.measures["imbalance_end"].high == pytest.approx(np.quantile(ends, 0.95))
        assert outcome.curve[-1] == (40, pytest.approx(ends.mean()))
        assert sum(each.subjects for each in outcome.strata) == pytest.approx(40)
        assert set(outcome.measures) == {measure.name for measure in MEASURES}


def test_the_order_of_chunks_and_a_way_through_json_change_nothing() -> None:
    backwards = {number: CHUNKS[number] for number in reversed(CHUNKS)}
    kept = {number: json.loads(json.dumps(chunk)) for number, chunk in backwards.items()}
    assert summarize(PLAN, kept) == summarize(PLAN, CHUNKS)
    assert summarize(PLAN, {}) == []


def test_the_document_tells_every_method_and_measure() -> None:
    made = report_pdf(PLAN, summarize(PLAN, CHUNKS), HEADING)
    assert made == report_pdf(PLAN, summarize(PLAN, CHUNKS), HEADING)
    text = " ".join(pdf_text(made).split())
    for words in ("Methods compared: a study", "Efron, coin 2/3", "one, two", "nothing",
                  "40 subjects in each trial, at 2 centres with weights of their own.",
                  "two: u 75.0%", "A (share 26.6667)", "one=y|two=v"):  # fmt: skip
        assert words in text
    assert all(measure.title in text for measure in MEASURES)


class TestKits:
    def test_the_summary_is_that_of_all_trials_together(self) -> None:
        found = summarize_supply(SUPPLIED, KITS)
        assert found is not None
        waited = np.concatenate([each["waited"] for each in KITS.values()])
        days = sum(sum(each["days"]) for each in KITS.values())
        cohorts = np.concatenate([each["cohorts"] for each in KITS.values()])
        assert found.met.mean == pytest.approx(waited.mean() / 40)
        assert found.any.share == pytest.approx((waited > 0).mean())
        assert found.days == pytest.approx(days / waited.sum())
        assert found.left.mean == pytest.approx((2 * cohorts.mean() - 40) / 40)
        within = sum(
            number
            for each in KITS.values()
            for begun, number in each["waits"].items()
            if found.days_high is not None and int(begun) <= found.days_high
        )
        assert within >= 0.95 * waited.sum()
        backwards = {number: json.loads(json.dumps(KITS[number])) for number in reversed(KITS)}
        assert summarize_supply(SUPPLIED, backwards) == found

    def test_the_interval_is_wilsons(self) -> None:
        for times, trials in ((0, 50), (7, 50), (50, 50), (612, 1000)):
            found = chance(times, trials)
            wanted = binomtest(times, trials).proportion_ci(method="wilson")
            assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))

    def test_paper_tells_what_was_assumed_and_each_measure_once(self) -> None:
        outcomes, kits = summarize(SUPPLIED, CHUNKS), summarize_supply(SUPPLIED, KITS)
        text = " ".join(pdf_text(report_pdf(SUPPLIED, outcomes, HEADING, kits)).split())
        for words in (
            "Kits at centres", "20 a week on average", "one cohort of 2 places", "Every 7 days",
            "at most 1 place left", "it is there 3 days later",
        ):  # fmt: skip
            assert words in text
        rows = document(SUPPLIED, outcomes, kits)["kits"]["rows"]
        assert len(rows) == 6
        assert all(text.count(row["title"]) == 1 for row in rows)

    def test_nobody_who_waited_is_no_number(self) -> None:
        plenty = SUPPLIED.model_copy(update={"supply": Supply(per_week=1, cohort_size=40)})
        made = simulate(plenty, seed=9, chunk=0, trials=20)
        kits = summarize_supply(plenty, {0: made[0]["supply"]})
        assert kits is not None
        assert (kits.met.mean, kits.any.share, kits.days, kits.days_high) == (0, 0, None, None)
        rows = document(plenty, summarize(plenty, {0: made}), kits)["kits"]["rows"]
        assert [row["more"] for row in rows].count("nobody waited") == 1

    def test_a_run_without_it_says_how_to_ask(self) -> None:
        assert summarize_supply(PLAN, {}) is None
        text = " ".join(pdf_text(report_pdf(PLAN, summarize(PLAN, CHUNKS), HEADING)).split())
        assert "say how many subjects come in a week" in text
        assert "Subjects who met a stock-out" not in text


def test_closed_arms_are_named() -> None:
    closed = PLAN.model_copy(update={"closed": ("LOW", "MID")})
    text = " ".join(pdf_text(report_pdf(closed, summarize(closed, CHUNKS), HEADING)).split())
    assert "Left out, closed to new subjects: LOW, MID." in text
    assert document(PLAN, [])["closed"] == ""


def test_figures_hold_for_values_that_are_all_the_same() -> None:
    """A method in perfect balance has no range; the axes must not divide by nothing."""
    one = summarize(PLAN, CHUNKS)[0]
    flat = replace(one.measures["loss"], mean=0.0, low=0.0, high=0.0)
    same = replace(one, measures=dict.fromkeys(one.measures, flat), curve=((1, 0.0), (40, 0.0)))
    for figure in figures([same, same]):
        assert "nan" not in figure.svg
        assert "inf" not in figure.svg
        assert figure.svg.count("<svg") == 1
    assert figures([]) == []


def test_every_character_of_a_document_is_read_whichever_glyph_it_is() -> None:
    """Glyphs are numbered as they are first used. A PDF writes those of one or two certain numbers
    otherwise, so what the other tests read would hang on hashes and times that came before.
    """
    characters = [chr(code) for code in range(ord("!"), 0x180) if chr(code).isalnum()]
    heading = HEADING | {"facts": [["All", "".join(characters)]]}
    assert len(characters) > 128
    read = pdf_text(report_pdf(PLAN, [], heading))
    assert "".join(characters) in read.replace("\n", "")


def test_a_label_is_text_and_never_markup() -> None:
    odd = PLAN.model_copy(
        update={"contenders": (PLAN.contenders[0].model_copy(update={"label": "<b>#x & y"}),)}
    )
    chunks = {0: simulate(odd, seed=1, chunk=0, trials=5)}
    assert "<b>#x & y" in pdf_text(report_pdf(odd, summarize(odd, chunks), HEADING))
    assert document(odd, [])["measures"][0]["cells"] == []
