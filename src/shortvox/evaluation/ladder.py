"""EER and minDCF of many draws of weights, without looking at more of the ROC than each draw turns on.

The threshold climbs a ladder of steps. Between two scores of the rarer class only one error rate moves, in a straight
line that the ROC keeps without its inner points; so there are steps below, at and above each of those scores only.
Steps are weighed in parts. The error rates at the ends of a part say whether the EER of a draw can lie inside
it, and how low its cost can get there at best; only such parts are cut finer, for the draws that need it, until
a part is one step. The figures are those of the whole ROC, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from shortvox.evaluation.metrics import crossing

PARTS = 48  # that a piece of the ladder is cut into
AT_ONCE = 4096  # draws: what is held of them stays small


class Resampling(Protocol):
    """One way to draw trials again."""

    @property
    def draws(self) -> int: ...

    def weights(
        self, rows: np.ndarray, part: np.ndarray, n_parts: int, draws: np.ndarray, inside: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weight of the targets and of the non-targets in each part, whole numbers, each (n_parts, len(draws)).

        `rows` (k,) are positions of trials and `part` (k,) their parts, ascending; `draws` are positions of
        draws. `inside` (2, len(draws)) is what the two sides of these trials weigh together; None for all trials.
        """


@dataclass(frozen=True, eq=False)
class _Ladder:
    resampling: Resampling
    rows: np.ndarray  # (n,) positions of trials by step
    step: np.ndarray  # (n,) steps of these, ascending
    p_targets: Sequence[float]
    eer: np.ndarray  # (draws,)
    cost: np.ndarray  # (priors, draws): the least found so far, not yet normalised

    def climb(self, steps: tuple[int, int], draws: np.ndarray, below: np.ndarray, totals: np.ndarray | None) -> None:
        """Find what lies within `steps` (first, behind the last) for `draws`.

        `below` (2, 2, len(draws)): what the two sides weigh below the first and up to the last step; of the
        whole ladder that is not known before.
        """
        n_parts = min(PARTS, steps[1] - steps[0])
        edges = steps[0] + np.arange(n_parts + 1) * (steps[1] - steps[0]) // n_parts
        ends = np.searchsorted(self.step, edges)
        inside = slice(ends[0], ends[-1])
        part = np.repeat(np.arange(n_parts), np.diff(ends))
        known = None if totals is None else below[:, 1] - below[:, 0]
        weights = self.resampling.weights(self.rows[inside], part, n_parts, draws, known)
        rejected = np.zeros((2, n_parts + 1, len(draws)), dtype=weights[0].dtype)
        rejected[:, 0] = below[:, 0]
        for number in range(n_parts):  # ten times as fast as a cumulated sum along the first axis
            for side in (0, 1):
                np.add(rejected[side, number], weights[side][number], out=rejected[side, number + 1])
        totals = rejected[:, -1].astype(np.float64) if totals is None else totals
        miss = rejected[0] / totals[0]
        false_alarm = 1 - rejected[1] / totals[1]
        needed = self._meet(miss, false_alarm, draws, np.diff(edges) == 1)
        for prior, p_target in enumerate(self.p_targets):
            lost, alarmed = p_target * miss, (1 - p_target) * false_alarm
            least = np.minimum(self.cost[prior, draws], (lost + alarmed).min(axis=0))
            self.cost[prior, draws] = least
            needed |= lost[:-1] + alarmed[1:] < least  # no cost inside a part is lower than this
        for number in np.flatnonzero(needed.any(axis=1) & (np.diff(edges) > 1)).tolist():
            chosen = np.flatnonzero(needed[number])
            piece = rejected[:, number : number + 2, chosen]
            self.climb((int(edges[number]), int(edges[number + 1])), draws[chosen], piece, totals[:, chosen])

    def _meet(self, miss: np.ndarray, false_alarm: np.ndarray, draws: np.ndarray, single: np.ndarray) -> np.ndarray:
        """In which part (parts, draws) miss and false alarm cross; in a single step the EER is known."""
        fewer = miss < false_alarm
        meets = fewer[:-1] & ~fewer[1:]
        number, draw = np.nonzero(meets & single[:, None])
        self.eer[draws[draw]] = crossing(
            miss[number, draw], miss[number + 1, draw], false_alarm[number, draw], false_alarm[number + 1, draw]
        )
        return meets


def figures_of_draws(
    scores: np.ndarray, label: np.ndarray, resampling: Resampling, p_targets: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """EER (draws,) and minDCF (priors, draws) of trials (n,) under every draw."""
    step, n_steps = roc_steps(scores, label)
    rows = np.argsort(step)
    draws = resampling.draws
    ladder = _Ladder(resampling, rows, step[rows], p_targets, np.empty(draws), np.full((len(p_targets), draws), np.inf))
    for start in range(0, draws, AT_ONCE):
        some = np.arange(start, min(start + AT_ONCE, draws))
        ladder.climb((0, n_steps), some, np.zeros((2, 2, len(some))), None)
    blind = np.array([[min(p_target, 1 - p_target)] for p_target in p_targets])
    return ladder.eer, ladder.cost / blind


def roc_steps(scores: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, int]:
    """Step of each trial (n,) and number of steps: below, at and above each score of the rarer class."""
    turns = np.sort(scores[label if label.sum() <= len(label) / 2 else ~label])
    turns = turns[np.append(True, turns[1:] > turns[:-1])]
    below = np.searchsorted(turns, scores)
    tied = turns[np.minimum(below, len(turns) - 1)] == scores
    return 2 * below + tied, 2 * len(turns) + 1
