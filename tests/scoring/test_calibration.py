from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logit

from shortvox.errors import ScoreError
from shortvox.evaluation.metrics import cllr, eer, min_cllr
from shortvox.scoring.calibration import Calibration, fit_calibration, pav_llrs


def cosines(seed: int = 0, n: int = 2000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.2
    return 0.1 * rng.normal(size=n) + 0.3 * labels, labels


@pytest.mark.parametrize("p_target", [0.05, 0.5, 0.01])
@pytest.mark.parametrize("weighted", [False, True])
def test_fit_agrees_with_a_general_optimiser(p_target: float, weighted: bool) -> None:
    scores, labels = cosines()
    weights = np.random.default_rng(1).integers(0, 4, len(scores)).astype(float) if weighted else None
    mass = np.ones(len(scores)) if weights is None else weights

    def cost(parameters: np.ndarray) -> float:
        log_odds = parameters[0] * scores + parameters[1] + logit(p_target)
        return p_target * np.average(np.logaddexp(0, -log_odds)[labels], weights=mass[labels]) + (
            1 - p_target
        ) * np.average(np.logaddexp(0, log_odds)[~labels], weights=mass[~labels])

    best = minimize(cost, np.array([1.0, 0.0]), method="BFGS", options={"gtol": 1e-9})
    fitted = fit_calibration(scores, labels, weights, p_target=p_target)
    assert cost(np.array([fitted.scale, fitted.offset])) == pytest.approx(best.fun, abs=1e-6)
    assert (fitted.scale, fitted.offset) == pytest.approx(tuple(best.x), rel=5e-3)


def test_known_gaussians_give_their_true_log_likelihood_ratios() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(100_000) % 4 == 0
    scores = 0.2 * rng.normal(size=100_000) + 0.5 * labels  # llr = (0.5 s - 0.125) / 0.04
    fitted = fit_calibration(scores, labels, p_target=0.5)
    assert fitted.scale == pytest.approx(12.5, rel=0.02)
    assert fitted.offset == pytest.approx(-3.125, rel=0.02)


def test_calibrated_scores_cost_little_more_than_the_best_map_and_keep_the_eer() -> None:
    scores, labels = cosines(1)
    held_out, held_labels = cosines(2)
    llrs = fit_calibration(scores, labels, p_target=0.5).apply(held_out)
    assert cllr(held_out, held_labels) > 0.8  # a raw cosine is no likelihood ratio
    assert cllr(llrs, held_labels) < 1.1 * min_cllr(held_out, held_labels) + 0.02
    assert eer(llrs, held_labels) == pytest.approx(eer(held_out, held_labels))


def test_separable_scores_stay_finite_and_in_order() -> None:
    for scale in (1.0, 1e-6, 1e6):
        scores = scale * np.array([0.0, 0.1, 0.8, 0.9])
        fitted = fit_calibration(scores, np.array([False, False, True, True]))
        llrs = fitted.apply(scores)
        assert np.isfinite(llrs).all()
        assert llrs[1] < 0 < llrs[2]
        assert np.abs(llrs).max() < 20  # and no more certain than four trials allow


def test_constant_scores_carry_no_evidence() -> None:
    fitted = fit_calibration(np.full(6, 0.3), np.array([True, False] * 3))
    np.testing.assert_allclose(fitted.apply(np.full(2, 0.3)), 0, atol=1e-6)


def test_one_class_and_impossible_priors_are_refused() -> None:
    scores, labels = cosines()
    for wrong in (np.zeros_like(labels), np.ones_like(labels)):
        with pytest.raises(ScoreError, match="target"):
            fit_calibration(scores, wrong)
    with pytest.raises(ScoreError, match="p_target"):
        fit_calibration(scores, labels, p_target=1.0)


def test_calibration_survives_json() -> None:
    fitted = fit_calibration(*cosines())
    assert Calibration.from_json(json.loads(json.dumps(fitted.to_json()))) == fitted


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"scale": 1}',
        '{"scale": "x", "offset": 0}',
        '{"scale": NaN, "offset": 0}',
        '{"scale": 1, "offset": 0, "p_target": 2}',
    ],
)
def test_a_broken_calibration_is_named(text: str) -> None:
    with pytest.raises(ScoreError, match=r"calibration\.json"):
        Calibration.from_json(json.loads(text), "calibration.json")


def test_pav_by_hand() -> None:
    scores = np.array([0.0, 1, 2, 3, 3, 4])
    labels = np.array([False, True, False, True, False, True])
    # Blocks: {0}, {1, 2} at 1/2, {3, 3} at 1/2, {4}; equal numbers, so that prior odds are 1.
    np.testing.assert_allclose(pav_llrs(scores, labels), [-np.inf, 0, 0, 0, 0, np.inf])
    weights = np.array([1.0, 1, 3, 0, 0, 2])  # prior odds 3 : 4, block {1, 2} has 1 : 3
    llrs = pav_llrs(scores, labels, weights)
    np.testing.assert_allclose(llrs[1:3], np.log(1 / 3) - np.log(3 / 4))
    assert (np.diff(llrs[np.argsort(scores)]) >= 0).all() if np.isfinite(llrs).all() else llrs[0] == -np.inf
