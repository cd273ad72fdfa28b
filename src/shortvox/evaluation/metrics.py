"""Figures of merit of speaker verification, from scores (n,), labels (n,) bool and trial weights (n,).

All take weights, so that a bootstrap over speakers never has to repeat a trial, and none costs more than
one sort. Tied scores form one step of the ROC: no threshold lies between equal scores. Definitions: EER as
linear interpolation of the ROC; detection cost as in the NIST evaluations, normalised; Cllr and minCllr
after Brümmer and du Preez (2006). Every function raises ScoreError when a side is empty or a score is not
finite.

Without weights, EER and minDCF need no ROC: the two sides sorted apart tell both error rates at any threshold.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import ndtri

from shortvox.errors import ScoreError
from shortvox.scoring.calibration import checked_scores, pav_llrs

P_TARGETS = (0.05, 0.01)  # the operating points reported everywhere, the first one being the main one


@dataclass(frozen=True, slots=True)
class Roc:
    """Error rates (points,) while the threshold climbs, from accept-all to reject-all.

    Kept as rates of miss and false alarm (non-decreasing and non-increasing along the first axis).
    """

    miss: np.ndarray
    false_alarm: np.ndarray

    @classmethod
    def from_steps(cls, target: np.ndarray, nontarget: np.ndarray) -> Roc:
        """From the weight of each side at every distinct score, ascending: (steps,)."""
        rejected = [np.cumsum(side) for side in (target, nontarget)]
        miss, correct = (np.concatenate([[0.0], cumulated / cumulated[-1]]) for cumulated in rejected)
        return cls(miss, 1 - correct)

    def eer(self) -> float:
        """Where the line through the points (points,) crosses miss = false alarm."""
        after = int(np.sum(self.miss < self.false_alarm))  # the gap grows from -1 to 1
        return float(crossing(*self.miss[after - 1 : after + 1], *self.false_alarm[after - 1 : after + 1]))

    def min_dcf(self, p_target: float) -> float:
        """Least detection cost over thresholds, over that of the better blind decision."""
        cost = p_target * self.miss + (1 - p_target) * self.false_alarm
        return float(cost.min()) / min(p_target, 1 - p_target)


def crossing(miss: Any, miss_after: Any, false_alarm: Any, false_alarm_after: Any) -> Any:
    """Error rate where the line between two neighbouring points of a ROC crosses miss = false alarm."""
    low, high = miss - false_alarm, miss_after - false_alarm_after
    return miss + (miss_after - miss) * (low / (low - high))


@dataclass(frozen=True, eq=False)
class Sides:
    """The scores of targets and of non-targets, each ascending."""

    target: np.ndarray
    nontarget: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, labels: np.ndarray) -> Sides:
        scores, labels, _ = checked_scores(scores, labels)
        return cls(np.sort(scores[labels]), np.sort(scores[~labels]))

    def eer(self) -> float:
        """Equal error rate: bisection for the first threshold at which misses are no longer the fewer."""
        sizes = len(self.target), len(self.nontarget)

        def rejected(threshold: float) -> tuple[int, int]:
            return int(np.searchsorted(self.target, threshold)), int(np.searchsorted(self.nontarget, threshold))

        def gap(threshold: float) -> int:  # in whole numbers: miss - false alarm, times both sizes
            misses, correct = rejected(threshold)
            return misses * sizes[1] - (sizes[1] - correct) * sizes[0]

        thresholds = [np.inf]
        for side in (self.target, self.nontarget):
            first = bisect_left(range(len(side)), 0, key=lambda i, side=side: gap(side[i]))  # type: ignore[misc]
            thresholds += side[first : first + 1].tolist()
        after = rejected(min(thresholds))
        last = max(side[count - 1] for side, count in zip((self.target, self.nontarget), after, strict=True) if count)
        points = rejected(last), after
        miss, miss_after = (misses / sizes[0] for misses, _ in points)
        false_alarm, false_alarm_after = (1 - correct / sizes[1] for _, correct in points)
        return float(crossing(miss, miss_after, false_alarm, false_alarm_after))

    def min_dcf(self, p_target: float) -> float:
        """Least normalised detection cost. The best threshold is a target's score, or rejects everything."""
        miss = np.arange(len(self.target)) * (p_target / len(self.target))  # too much for all but the first of a tie
        false_alarm = self._accepted * ((1 - p_target) / len(self.nontarget))
        return min(float((miss + false_alarm).min()), p_target) / min(p_target, 1 - p_target)

    @cached_property
    def _accepted(self) -> np.ndarray:
        """Non-targets at or above each target's score."""
        return len(self.nontarget) - np.searchsorted(self.nontarget, self.target)


def roc(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> Roc:
    """The ROC with one step per distinct score."""
    scores, labels, weights = checked_scores(scores, labels, weights)
    order = np.argsort(scores, kind="stable")
    climbing = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], climbing[1:] > climbing[:-1]]))
    target, nontarget = (np.add.reduceat((weights * side)[order], starts) for side in (labels, ~labels))
    return Roc.from_steps(target, nontarget)


def eer(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Equal error rate, a fraction: the ROC, linearly interpolated, at miss = false alarm."""
    return Sides.of(scores, labels).eer() if weights is None else roc(scores, labels, weights).eer()


def min_dcf(scores: np.ndarray, labels: np.ndarray, p_target: float = 0.05, weights: np.ndarray | None = None) -> float:
    """Minimum detection cost, C_miss = C_fa = 1, normalised by min(p, 1 - p): never above 1."""
    _check_prior(p_target)
    curve = Sides.of(scores, labels) if weights is None else roc(scores, labels, weights)
    return curve.min_dcf(p_target)


def act_dcf(llrs: np.ndarray, labels: np.ndarray, p_target: float = 0.05, weights: np.ndarray | None = None) -> float:
    """Detection cost when accepting from Bayes' threshold on the likelihood ratio upwards, normalised.

    Reads scores as calibrated natural-log likelihood ratios; it can exceed 1 when they are not.
    """
    _check_prior(p_target)
    llrs, labels, weights = checked_scores(llrs, labels, weights)
    accept = llrs >= np.log((1 - p_target) / p_target)
    miss = np.average(~accept[labels], weights=weights[labels])
    false_alarm = np.average(accept[~labels], weights=weights[~labels])
    return float((p_target * miss + (1 - p_target) * false_alarm) / min(p_target, 1 - p_target))


def cllr(llrs: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Cost of natural-log likelihood ratios in bits, over all priors: 0 perfect, 1 as good as no answer."""
    llrs, labels, weights = checked_scores(llrs, labels, weights)
    return _cllr(llrs, labels, weights)


def min_cllr(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Cllr after the best non-decreasing map (PAV): what is lost to discrimination, not to calibration."""
    scores, labels, weights = checked_scores(scores, labels, weights)
    kept = weights > 0  # a trial that does not count may not carry an infinite ratio into the sum
    scores, labels, weights = scores[kept], labels[kept], weights[kept]
    return _cllr(pav_llrs(scores, labels, weights), labels, weights)


def det_points(scores: np.ndarray, labels: np.ndarray, most: int = 200) -> list[tuple[float, float]]:
    """(false alarm, miss) fractions of at most `most` points of the DET curve, from (1, 0) to (0, 1).

    Spaced evenly along the probit axes that DET curves are drawn on, so that the corners keep their detail.
    """
    curve = roc(scores, labels)
    floor = 1e-7
    along = ndtri(np.clip(curve.miss, floor, 1 - floor)) - ndtri(np.clip(curve.false_alarm, floor, 1 - floor))
    if len(along) > most:
        wanted = np.searchsorted(along, np.linspace(along[0], along[-1], most))
        chosen = np.unique(np.clip(wanted, 0, len(along) - 1))
        chosen[0], chosen[-1] = 0, len(along) - 1
    else:
        chosen = np.arange(len(along))
    return [(float(curve.false_alarm[i]), float(curve.miss[i])) for i in chosen]


def _cllr(llrs: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    miss = np.average(np.logaddexp(0, -llrs[labels]), weights=weights[labels])
    false_alarm = np.average(np.logaddexp(0, llrs[~labels]), weights=weights[~labels])
    return float((miss + false_alarm) / (2 * np.log(2)))


def _check_prior(p_target: float) -> None:
    if not 0 < p_target < 1:
        raise ScoreError(f"p_target {p_target} is no probability between 0 and 1")
