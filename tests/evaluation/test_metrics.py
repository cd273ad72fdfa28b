from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_curve

from shortvox.errors import ScoreError
from shortvox.evaluation import metrics

Trials = tuple[np.ndarray, np.ndarray, np.ndarray]
Metric = Callable[..., float]


def draw_trials(seed: int, n: int = 300, decimals: int | None = None, share: float = 0.3) -> Trials:
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < share
    labels[:2] = True, False
    scores = rng.normal(size=n) + 1.5 * labels
    weights = rng.integers(0, 4, n).astype(float)
    weights[:2] = 1
    return (scores if decimals is None else scores.round(decimals)), labels, weights


ALL = [metrics.eer, metrics.min_dcf, metrics.act_dcf, metrics.cllr, metrics.min_cllr]
CASES = [(seed, decimals) for seed in range(5) for decimals in (None, 1, 0)]


def sklearn_eer(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None) -> float:
    false_alarm, hit, _ = roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
    return brentq(lambda x: 1 - x - interp1d(false_alarm, hit)(x), 0.0, 1.0, xtol=1e-12)


def brute_min_dcf(scores: np.ndarray, labels: np.ndarray, p: float, weights: np.ndarray) -> float:
    costs = []
    for threshold in [*np.unique(scores), np.inf]:
        accepted = scores >= threshold
        miss = weights[labels & ~accepted].sum() / weights[labels].sum()
        false_alarm = weights[~labels & accepted].sum() / weights[~labels].sum()
        costs.append((p * miss + (1 - p) * false_alarm) / min(p, 1 - p))
    return min(costs)


def bits(llrs: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    target = np.average(np.log2(1 + np.exp(-llrs[labels])), weights=weights[labels])
    nontarget = np.average(np.log2(1 + np.exp(llrs[~labels])), weights=weights[~labels])
    return (target + nontarget) / 2


@pytest.mark.parametrize(("seed", "decimals"), CASES)
def test_eer_agrees_with_brentq_on_the_interpolated_roc(seed: int, decimals: int | None) -> None:
    scores, labels, weights = draw_trials(seed, decimals=decimals)
    assert metrics.eer(scores, labels) == pytest.approx(sklearn_eer(scores, labels, None), abs=1e-9)
    expected = sklearn_eer(scores, labels, weights)
    assert metrics.eer(scores, labels, weights) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("seed", "decimals"), CASES)
@pytest.mark.parametrize("p", [0.05, 0.01, 0.7])
def test_min_dcf_agrees_with_trying_every_threshold(seed: int, decimals: int | None, p: float) -> None:
    scores, labels, weights = draw_trials(seed, decimals=decimals)
    for case in (weights, np.ones_like(weights)):
        expected = brute_min_dcf(scores, labels, p, case)
        assert metrics.min_dcf(scores, labels, p, case) == pytest.approx(expected)


@pytest.mark.parametrize(("seed", "decimals"), CASES)
def test_min_cllr_agrees_with_isotonic_regression(seed: int, decimals: int | None) -> None:
    scores, labels, weights = draw_trials(seed, decimals=decimals)
    isotonic = IsotonicRegression()
    posterior = isotonic.fit_transform(scores, labels.astype(float), sample_weight=weights + 1e-12)
    with np.errstate(divide="ignore"):
        odds = np.log(posterior) - np.log1p(-posterior)
    llrs = np.clip(odds, -700, 700) - np.log(weights[labels].sum() / weights[~labels].sum())
    assert metrics.min_cllr(scores, labels, weights) == pytest.approx(bits(llrs, labels, weights), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_cllr_and_act_dcf_by_definition(seed: int) -> None:
    scores, labels, weights = draw_trials(seed)
    assert metrics.cllr(scores, labels, weights) == pytest.approx(bits(scores, labels, weights))
    accepted = scores >= np.log(0.95 / 0.05)
    miss = np.average(~accepted[labels], weights=weights[labels])
    false_alarm = np.average(accepted[~labels], weights=weights[~labels])
    expected = miss + 0.95 / 0.05 * false_alarm
    assert metrics.act_dcf(scores, labels, 0.05, weights) == pytest.approx(expected)


def test_figures_known_by_hand() -> None:
    scores, labels = np.array([0.0, 1, 2, 3]), np.array([False, True, False, True])
    assert metrics.eer(scores, labels) == 0.5
    assert metrics.min_dcf(scores, labels, 0.05) == pytest.approx(0.5)
    assert metrics.eer(scores, np.array([False, False, True, True])) == 0
    assert metrics.min_cllr(scores, np.array([False, False, True, True])) == 0
    assert metrics.eer(np.zeros(4), labels) == 0.5  # all tied: one step, chance
    assert metrics.cllr(np.zeros(4), labels) == 1
    assert metrics.min_dcf(-scores, np.array([False, False, True, True])) == 1


@pytest.mark.parametrize("metric", [metrics.eer, metrics.min_dcf, metrics.cllr, metrics.min_cllr])
def test_whole_weights_equal_repeated_trials(metric: Metric) -> None:
    scores, labels, weights = draw_trials(9, decimals=1)
    repeats = weights.astype(int)
    repeated = metric(np.repeat(scores, repeats), np.repeat(labels, repeats))
    assert metric(scores, labels, weights=weights) == pytest.approx(repeated, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-20, 20), st.booleans()), min_size=2, max_size=60))
def test_invariances(rows: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in rows], dtype=float)
    labels = np.array([label for _, label in rows])
    if labels.all() or not labels.any():
        return
    even = np.ones(len(scores))  # by the whole ROC; without weights, by the two sides sorted apart
    assert metrics.eer(scores, labels) == pytest.approx(metrics.eer(scores, labels, even), abs=1e-12)
    for p in (0.05, 0.01, 0.7):
        whole = metrics.min_dcf(scores, labels, p, even)
        assert metrics.min_dcf(scores, labels, p) == pytest.approx(whole, abs=1e-12)
    curved = np.exp(scores / 7)
    for metric in (metrics.eer, metrics.min_dcf, metrics.min_cllr):
        assert metric(curved, labels) == pytest.approx(metric(scores, labels), abs=1e-12)
    assert metrics.eer(-scores, ~labels) == pytest.approx(metrics.eer(scores, labels), abs=1e-12)
    assert metrics.min_cllr(-scores, ~labels) == pytest.approx(metrics.min_cllr(scores, labels), abs=1e-9)
    assert 0 <= metrics.eer(scores, labels) <= 1
    assert 0 <= metrics.min_dcf(scores, labels) <= 1
    assert metrics.min_cllr(scores, labels) <= metrics.cllr(scores, labels) + 1e-12


def test_det_points_lie_on_the_curve_and_keep_both_ends() -> None:
    scores, labels, _ = draw_trials(3, n=20_000)
    points = metrics.det_points(scores, labels)
    assert 50 < len(points) <= 200
    assert points[0] == (1.0, 0.0)
    assert points[-1] == (0.0, 1.0)
    curve = metrics.roc(scores, labels)
    assert set(points) <= set(zip(curve.false_alarm.tolist(), curve.miss.tolist(), strict=True))
    assert points == sorted(points, key=lambda point: (-point[0], point[1]))
    assert metrics.det_points(np.arange(4.0), np.array([0, 1, 0, 1], dtype=bool)) == [
        (1, 0),
        (0.5, 0),
        (0.5, 0.5),
        (0, 0.5),
        (0, 1),
    ]


@pytest.mark.parametrize("metric", ALL)
def test_what_cannot_be_measured_is_refused(metric: Metric) -> None:
    scores = np.array([0.0, 1.0, 2.0])
    with pytest.raises(ScoreError, match="no target"):
        metric(scores, np.zeros(3, dtype=bool))
    with pytest.raises(ScoreError, match="no non-target"):
        metric(scores, np.ones(3, dtype=bool))
    with pytest.raises(ScoreError, match="score 2 of 3"):
        metric(np.array([0, np.nan, 1]), np.array([True, False, True]))
    with pytest.raises(ScoreError, match="no target"):
        metric(scores, np.array([True, False, False]), weights=np.array([0.0, 1, 1]))
    with pytest.raises(ScoreError, match="weight"):
        metric(scores, np.array([True, False, False]), weights=np.array([1.0, -1, 1]))
    with pytest.raises(ScoreError, match="same length"):
        metric(scores, np.array([True, False]))


@pytest.mark.parametrize("p", [0.0, 1.0, -1.0, 2.0])
def test_a_prior_is_a_probability(p: float) -> None:
    scores, labels, _ = draw_trials(1)
    for metric in (metrics.min_dcf, metrics.act_dcf):
        with pytest.raises(ScoreError, match="p_target"):
            metric(scores, labels, p)
