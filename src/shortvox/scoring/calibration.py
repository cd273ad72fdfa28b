"""Scores to natural-log likelihood ratios: an affine map that is fitted and kept, and PAV, the best of all.

A cosine says "more alike" or "less alike"; a decision needs "how many times likelier under one speaker than
under two". The affine map s -> scale * s + offset is fitted by prior-weighted logistic regression (Brümmer
and du Preez, "Application-independent evaluation of speaker detection", 2006), on speakers that the test
never sees.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from shortvox.errors import ScoreError

P_TARGET = 0.05  # the prior that the fit cares most about: the main operating point of minDCF and actDCF
RIDGE = 1e-6  # on the slope for standardised scores: without it, separable scores have no finite fit


def checked_scores(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores (n,) float64, labels (n,) bool and weights (n,) float64 (ones, read-only, where None), fit to be measured.

    Raises ScoreError for a non-finite score, a negative or non-finite weight, arrays of different lengths,
    or a side (target, non-target) without any weight.
    """
    scores = np.asarray(scores, dtype=np.float64)
    labels = np.asarray(labels, dtype=bool)
    alike = weights is None
    weights = np.broadcast_to(1.0, scores.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if scores.ndim != 1 or scores.shape != labels.shape or scores.shape != weights.shape:
        raise ScoreError(
            f"scores {scores.shape}, labels {labels.shape} and weights {weights.shape} must be "
            "one list each, of the same length"
        )
    finite = np.isfinite(scores)
    if not finite.all():
        row = int(np.argmin(finite))
        raise ScoreError(f"score {row + 1} of {len(scores)} is {scores[row]}; each must be a finite number")
    if not alike and not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ScoreError("a trial weight is negative or not finite; weights must be zero or more")
    for side, name in ((labels, "target"), (~labels, "non-target")):
        if not (side if alike else weights[side]).any():
            raise ScoreError(f"no {name} trials among {len(scores)}; a figure needs targets and non-targets")
    return scores, labels, weights


@dataclass(frozen=True, slots=True)
class Calibration:
    """llr = scale * score + offset, natural logarithm; `p_target` is the prior of the fit."""

    scale: float
    offset: float
    p_target: float = P_TARGET

    def apply(self, scores: np.ndarray) -> np.ndarray:
        """Log likelihood ratios, float64, in the shape of `scores`."""
        return self.scale * np.asarray(scores, dtype=np.float64) + self.offset

    def to_json(self) -> dict[str, float]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: object, source: str = "calibration") -> Calibration:
        """The inverse of `to_json`. Raises ScoreError, naming `source`, for a missing or non-finite value."""
        values = content if isinstance(content, dict) else {}
        try:
            prior = float(values.get("p_target", P_TARGET))
            result = cls(float(values["scale"]), float(values["offset"]), prior)
        except (KeyError, TypeError, ValueError):
            result = cls(np.nan, np.nan)
        if not np.isfinite([result.scale, result.offset]).all() or not 0 < result.p_target < 1:
            raise ScoreError(f"{source}: `scale` and `offset` must be finite numbers; calibrate again")
        return result


def fit_calibration(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None, *, p_target: float = P_TARGET
) -> Calibration:
    """The affine map whose log likelihood ratios cost least (cross entropy) at prior `p_target`.

    Targets as a whole weigh `p_target` and non-targets 1 - `p_target`, whatever their numbers. Newton's
    method on two parameters over standardised scores; the ridge keeps the slope finite when the classes are
    separable. Raises ScoreError for scores that `checked_scores` refuses and for a prior outside (0, 1).
    """
    scores, labels, weights = checked_scores(scores, labels, weights)
    if not 0 < p_target < 1:
        raise ScoreError(f"p_target {p_target} is no probability between 0 and 1")
    centre, width = scores.mean(), scores.std() or 1.0
    design = np.stack([(scores - centre) / width, np.ones_like(scores)])  # (2, n)
    prior = _logit(p_target)
    mass = np.where(
        labels, p_target * weights / weights[labels].sum(), (1 - p_target) * weights / weights[~labels].sum()
    )
    sign = np.where(labels, 1.0, -1.0)
    ridge = np.array([RIDGE, 0.0])

    def cost(parameters: np.ndarray) -> float:
        margin = sign * (parameters @ design + prior)
        return float(mass @ np.logaddexp(0, -margin) + ridge @ parameters**2 / 2)

    parameters = np.zeros(2)
    for _ in range(100):
        posterior = np.exp(-np.logaddexp(0, -(parameters @ design + prior)))
        gradient = design @ (mass * (posterior - labels)) + ridge * parameters
        curvature = mass * posterior * (1 - posterior)
        hessian = (design * curvature) @ design.T + np.diag(ridge + 1e-15)
        step = np.linalg.solve(hessian, gradient)
        here, size = cost(parameters), 1.0
        while size > 1e-6 and cost(parameters - size * step) > here:
            size /= 2  # a full Newton step can overshoot far from the optimum
        parameters = parameters - size * step
        if np.abs(size * step).max() < 1e-10 or size <= 1e-6:
            break
    scale = float(parameters[0] / width)
    return Calibration(scale=scale, offset=float(parameters[1] - scale * centre), p_target=p_target)


def pav_llrs(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Log likelihood ratios of the best non-decreasing map from scores (n,), by pool adjacent violators.

    Equal scores get equal ratios. The ends may be -inf (only non-targets below) and inf (only targets
    above). Trials of weight zero take part in nothing and get the ratio of the nearest score below them
    that counts.
    """
    from scipy.optimize import isotonic_regression  # which the base is installed without

    scores, labels, weights = checked_scores(scores, labels, weights)
    values, group = np.unique(scores, return_inverse=True)
    mass = np.bincount(group, weights, len(values))
    target_mass = np.bincount(group, weights * labels, len(values))
    counts = mass > 0
    posterior = isotonic_regression(target_mass[counts] / mass[counts], weights=mass[counts]).x
    prior = _logit(weights[labels].sum() / weights.sum())
    llrs = _logit(posterior) - prior
    nearest = np.maximum(np.cumsum(counts) - 1, 0)
    return llrs[nearest][group]


def _logit(p: np.ndarray | float) -> np.ndarray:
    """Logarithm of the odds; -inf for 0, inf for 1."""
    with np.errstate(divide="ignore"):
        return np.log(p) - np.log1p(-np.asarray(p))
