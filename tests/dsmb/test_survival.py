"""The survival statistics against exact arithmetic, published figures and statsmodels."""

import csv
from fractions import Fraction
from math import exp, log, sqrt
from pathlib import Path

import numpy as np
import pytest
import statsmodels.duration.tests as bundled
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from dsmb.analysis import NotEstimable, cox, kaplan_meier, logrank, median, two_looks
from dsmb.analysis import counting as counting_pass
from dsmb.analysis.survival import confidence_limits

# Freireich et al., Blood 1963;21:699: weeks in remission, 6-mercaptopurine against placebo.
MERCAPTOPURINE = "6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23 25+ 32+ 32+ 34+ 35+"
PLACEBO = "1 1 2 2 3 4 4 5 5 8 8 8 8 11 11 12 12 15 17 22 23"


def weeks(text):
    time = np.array([int(word.rstrip("+")) for word in text.split()])
    return time, np.array([int(not word.endswith("+")) for word in text.split()])


def remission():
    (t1, e1), (t0, e0) = weeks(MERCAPTOPURINE), weeks(PLACEBO)
    return np.r_[t1, t0], np.r_[e1, e0], np.r_[np.ones(21, int), np.zeros(21, int)]


def bone_marrow():
    """Klein and Moeschberger's bone marrow transplants, as statsmodels ships them."""
    path = Path(bundled.__file__).parent / "results" / "bmt.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    return (
        np.array([row["Group"] for row in rows]),
        np.array([int(row["T"]) for row in rows]),
        np.array([int(row["Status"]) for row in rows]),
    )


def random_sample(seed, size, days):
    draw = np.random.default_rng(seed)
    return (
        draw.integers(1, days + 1, size),
        (draw.random(size) < 0.6).astype(int),
        (draw.random(size) < 2 / 3).astype(int),
        draw.integers(0, 4, size),
    )


samples = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 1), st.integers(0, 1), st.integers(0, 2)),
    min_size=4,
    max_size=40,
)


def exact_logrank(rows):
    """Observed minus expected and variance by the definition, in rational arithmetic."""
    difference, variance = Fraction(0), Fraction(0)
    for stratum in {row[3] for row in rows}:
        mine = [row for row in rows if row[3] == stratum]
        for day in {row[0] for row in mine if row[1]}:
            risk = [row for row in mine if row[0] >= day]
            dead = [row for row in risk if row[0] == day and row[1]]
            n, n1, d = len(risk), sum(row[2] for row in risk), len(dead)
            difference += sum(row[2] for row in dead) - Fraction(d * n1, n)
            if n > 1:
                variance += Fraction(d * n1 * (n - n1) * (n - d), n * n * (n - 1))
    return difference, variance


def efron_log_likelihood(rows, beta):
    """Efron's partial likelihood by its definition, one event at a time."""
    total = 0.0
    for stratum in {row[3] for row in rows}:
        mine = [row for row in rows if row[3] == stratum]
        for day in {row[0] for row in mine if row[1]}:
            risk = sum(exp(beta * row[2]) for row in mine if row[0] >= day)
            dead = [exp(beta * row[2]) for row in mine if row[0] == day and row[1]]
            total += sum(log(weight) for weight in dead)
            total -= sum(log(risk - k / len(dead) * sum(dead)) for k in range(len(dead)))
    return total


@given(samples)
@settings(max_examples=200, deadline=None)
def test_logrank_is_the_definition_in_exact_arithmetic(rows):
    difference, variance = exact_logrank(rows)
    result = logrank(*zip(*rows, strict=True))
    if variance == 0:
        assert isinstance(result, NotEstimable)
        return
    assert result.variance == pytest.approx(float(variance), rel=1e-12)
    gap = result.observed[1] - result.expected[1]
    assert gap == pytest.approx(float(difference), rel=1e-11, abs=1e-12)
    # The square of a small difference has few digits of it; the difference itself is above.
    assert result.chi2 == pytest.approx(float(difference**2 / variance), rel=1e-10, abs=1e-14)


@given(samples)
@settings(max_examples=200, deadline=None)
def test_cox_is_the_maximum_of_efrons_likelihood(rows):
    result = cox(*zip(*rows, strict=True))
    if isinstance(result, NotEstimable):
        # Flat or monotone: going far in one direction never loses likelihood.
        heights = [efron_log_likelihood(rows, beta) for beta in (-12, -6, 0, 6, 12)]
        slopes = np.diff(heights)
        assert np.all(slopes >= -1e-9) or np.all(slopes <= 1e-9)
        return
    top = efron_log_likelihood(rows, result.beta)
    for step in (1e-3, 0.1, 1.0):
        assert efron_log_likelihood(rows, result.beta + step) < top
        assert efron_log_likelihood(rows, result.beta - step) < top


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("size", "days"), [(80, 6), (724, 15), (724, 500)])
def test_logrank_and_cox_agree_with_statsmodels(seed, size, days):
    time, event, group, strata = random_sample(seed, size, days)
    test, fit = logrank(time, event, group, strata), cox(time, event, group, strata)
    chi2, p = survdiff(time, event, group, strata=strata)
    assert test.chi2 == pytest.approx(chi2, rel=1e-10)
    assert test.p_two_sided == pytest.approx(p, rel=1e-10)
    model = PHReg(time, group[:, None].astype(float), status=event, strata=strata, ties="efron")
    theirs = model.fit()
    assert fit.beta == pytest.approx(theirs.params[0], rel=1e-10)
    assert fit.se == pytest.approx(theirs.bse[0], rel=1e-10)
    assert (fit.low, fit.high) == pytest.approx(np.exp(theirs.conf_int()[0]), rel=1e-10)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("days", [12, 300])
def test_kaplan_meier_agrees_with_statsmodels(seed, days):
    time, event, _, _ = random_sample(seed, 150, days)
    curve, theirs = kaplan_meier(time, event), SurvfuncRight(time, event)
    with_event = curve.events > 0
    assert curve.time[with_event] == pytest.approx(theirs.surv_times)
    assert curve.survival[with_event] == pytest.approx(theirs.surv_prob, rel=1e-10, abs=1e-14)
    middle = median(curve)
    assert middle.estimate == theirs.quantile(0.5)
    with np.errstate(divide="ignore", invalid="ignore"):  # theirs takes the log of S(t) = 1 or 0
        low, high = theirs.quantile_ci(0.5, method="cloglog")
    assert (middle.low, middle.high) == (low, high)


@pytest.mark.parametrize(("every", "chi2"), [(1, 13.44556), (5, 11.97799), (8, 12.12631)])
def test_logrank_on_bone_marrow_is_that_of_r(every, chi2):
    """R survival's survdiff(), as recorded in statsmodels' own tests."""
    disease, time, event = bone_marrow()
    keep = disease != "ALL"
    strata = np.arange(keep.sum()) % every
    result = logrank(time[keep], event[keep], disease[keep] == disease[keep][0], strata)
    assert result.chi2 == pytest.approx(chi2, abs=1e-5)


def test_remission_trial_is_as_published():
    """Kalbfleisch and Prentice's example: chi2 16.79, Efron's beta -1.5721 (0.4124), median 8."""
    time, event, group = remission()
    test, fit = logrank(time, event, group), cox(time, event, group)
    assert test.chi2 == pytest.approx(16.7929, abs=1e-4)
    assert test.observed == (21, 9)
    assert test.expected == pytest.approx((10.7, 19.3), abs=0.1)
    assert test.z == pytest.approx(-sqrt(test.chi2))
    assert test.p_one_sided == pytest.approx(test.p_two_sided / 2)
    assert (fit.beta, fit.se) == pytest.approx((-1.5721, 0.4124), abs=5e-5)
    assert median(kaplan_meier(*weeks(PLACEBO))).estimate == 8
    assert median(kaplan_meier(*weeks(MERCAPTOPURINE))).estimate == 23


def test_median_is_the_midpoint_where_the_curve_is_one_half():
    assert median(kaplan_meier([10, 20, 30, 40], [1, 1, 1, 1])).estimate == 25
    # 0.5 as the product (9/10)(8/9)...(5/6) carries a rounding error that must not matter.
    assert median(kaplan_meier(range(1, 11), [1] * 10)).estimate == 5.5
    # The curve ends at one half: there is no later step, so the day it got there counts.
    assert median(kaplan_meier([10, 20, 30, 40], [1, 1, 0, 0])).estimate == 20


def test_median_and_limits_not_reached():
    few = median(kaplan_meier([5, 9, 9, 9, 9, 9], [1, 0, 0, 0, 0, 0]))
    assert (few.estimate, few.low, few.high) == (None, 5, None)
    some = median(kaplan_meier([5, 6, 7, 20, 21], [1, 1, 1, 0, 0]))
    assert some.estimate == 7
    assert some.low is not None
    assert some.high is None
    empty = kaplan_meier([], [])
    assert empty.time.size == 0
    assert median(empty).estimate is None


def test_log_log_limits_are_those_of_the_formula():
    curve = kaplan_meier([1, 2, 3, 4], [1, 0, 1, 1])
    low, high = confidence_limits(curve)
    se = sqrt(1 / (4 * 3))
    assert low[0] == pytest.approx(0.75 ** exp(norm.ppf(0.975) * se / abs(log(0.75))))
    assert high[0] == pytest.approx(0.75 ** exp(-norm.ppf(0.975) * se / abs(log(0.75))))
    assert np.isnan([low[-1], high[-1]]).all()


@pytest.mark.parametrize(
    ("time", "event", "group", "tests", "fits"),
    [
        ([3, 4, 5, 6], [1, 1, 0, 0], [0, 0, 1, 1], True, "tends to zero"),
        ([3, 4, 5, 6], [1, 1, 0, 0], [1, 1, 0, 0], True, "tends to infinity"),
        ([3, 4, 5, 6], [0, 0, 0, 0], [1, 1, 0, 0], False, "no events in either arm"),
        ([3, 4, 5, 6], [1, 1, 1, 0], [1, 1, 1, 1], False, "no subjects in one of the arms"),
        ([3, 4, 5, 6], [0, 0, 1, 1], [1, 1, 0, 0], False, "both arms at risk"),
        ([], [], [], False, "no subjects"),
    ],
)
def test_what_cannot_be_estimated_says_why(time, event, group, tests, fits):
    fit = cox(time, event, group)
    assert isinstance(fit, NotEstimable)
    assert fits in str(fit)
    assert str(fit).startswith("cannot be estimated: ")
    assert isinstance(logrank(time, event, group), NotEstimable) is not tests


def test_a_stratum_with_one_arm_changes_nothing():
    time, event, group, strata = random_sample(1, 200, 30)
    lonely = [
        np.r_[a, b]
        for a, b in zip((time, event, group, strata), ([2, 9], [1, 1], [1, 1], [7, 7]), strict=True)
    ]
    before, after = logrank(time, event, group, strata), logrank(*lonely)
    assert after.chi2 == pytest.approx(before.chi2, rel=1e-12)
    assert cox(*lonely).beta == pytest.approx(cox(time, event, group, strata).beta, rel=1e-12)


def test_labels_and_gaps_between_days_change_nothing(monkeypatch):
    time, event, group, strata = random_sample(2, 300, 40)
    before = logrank(time, event, group, strata)
    names = np.array(["visceral=yes", "visceral=no", "b", "a"])[strata]
    assert logrank(time, event, group, names).chi2 == pytest.approx(before.chi2, rel=1e-12)
    monkeypatch.setattr(counting_pass, "LARGEST_TABLE", 100)
    assert logrank(time * 1000, event, group, strata).chi2 == pytest.approx(before.chi2, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.5, 2], [1, 1], [0, 1]), "time: expected whole numbers"),
        (([1, float("nan")], [1, 1], [0, 1]), "time: expected whole numbers"),
        (([-1, 2], [1, 1], [0, 1]), "time: expected whole numbers"),
        (([[1, 2]], [1, 1], [0, 1]), "time: expected one dimension"),
        (([1, 2], [1], [0, 1]), "event: 1 values for 2 times"),
        (([1, 2], [1, 2], [0, 1]), "event: only 0 and 1"),
        (([1, 2], [1, 1], [0, 1], ["a"]), "strata: shape"),
    ],
)
def test_malformed_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        logrank(*arguments)


@pytest.mark.parametrize(
    ("fraction", "interim_z", "interim_p", "final_z", "final_p"),
    [
        (0.5, 2.96258804272757, 0.00152532275798891, 1.96859564063744, 0.0244997717896627),
        (0.6, 2.66863014290897, 0.00380806331098933, 1.98096502877285, 0.0237975977674929),
        (359 / 528, 2.48034348699990, 0.00656279366252134, 1.99560190751653, 0.0229886358694577),
        (218 / 528, 3.29840520099251, 0.000486178534051412, 1.96279349748981, 0.0248350868441864),
    ],
)
def test_boundary_is_that_of_rpact(fraction, interim_z, interim_p, final_z, final_p):
    boundary = two_looks(fraction)
    assert (boundary.interim_z, boundary.final_z) == pytest.approx((interim_z, final_z), abs=1e-8)
    assert (boundary.interim_p, boundary.final_p) == pytest.approx((interim_p, final_p), abs=1e-9)


@pytest.mark.parametrize("fraction", [0.05, 0.3, 0.95])
def test_boundary_spends_the_whole_error(fraction):
    boundary = two_looks(fraction)

    def late(z):
        return norm.pdf(z) * norm.sf((boundary.final_z - sqrt(fraction) * z) / sqrt(1 - fraction))

    total = boundary.interim_p + quad(late, -9, boundary.interim_z, epsabs=1e-13, limit=200)[0]
    assert total == pytest.approx(0.025, abs=1e-10)


@pytest.mark.parametrize("fraction", [0, 0.01, 1, 1.2])
def test_boundary_refuses_fractions_outside(fraction):
    with pytest.raises(ValueError, match="information fraction"):
        two_looks(fraction)
