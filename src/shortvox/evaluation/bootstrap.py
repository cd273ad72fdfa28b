"""How far a figure could lie from the truth: bootstrap over speakers, paired comparisons, Holm's correction.

Trials of one speaker go up and down together, so that resampling trials as if they were independent gives
intervals that are far too narrow. Speakers are drawn with replacement instead; with counts c, a target
trial of speaker s weighs c_s and a non-target trial of speakers i and j weighs c_i * c_j (the two-sample
bootstrap of Bolle, Ratha and Pankanti, "Error analysis of pattern recognition systems: the subsets
bootstrap", 2004). All systems and lengths share one table of counts, and so every difference between them
is a paired one. How the figures of all draws are found: `ladder.py`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from shortvox.errors import ScoreError
from shortvox.evaluation.ladder import figures_of_draws
from shortvox.evaluation.metrics import P_TARGETS
from shortvox.scoring.calibration import checked_scores

DRAWS = 1000
MOST_DRAWS = 100_000
SIGNIFICANT = 0.05  # the level at which an adjusted p counts
FEWEST_SPEAKERS = 20  # with fewer, intervals are indicative and nothing is called significant
BLOCK = 400_000  # weights held at once: small enough for the processor's cache, whatever the trial list
AT_LEAST = 32  # draws weighed at once: fewer leave the processor waiting
EXACT = 2**24  # whole numbers below it are exact in single precision, and so are their sums


@dataclass(frozen=True, eq=False)
class SpeakerResampling:
    """How often each speaker was drawn: counts (speakers, draws), whole numbers, in a precision that keeps sums exact.

    `first` and `second` (n,) are the speakers of the two sides of each trial, label (n,) bool.
    """

    label: np.ndarray
    first: np.ndarray
    second: np.ndarray
    counts: np.ndarray

    @property
    def draws(self) -> int:
        return self.counts.shape[1]

    @property
    def n_speakers(self) -> int:
        return self.counts.shape[0]

    @property
    def indicative(self) -> bool:
        """Too few speakers to trust an interval or to claim a difference."""
        return self.n_speakers < FEWEST_SPEAKERS

    def weights(
        self, rows: np.ndarray, part: np.ndarray, n_parts: int, draws: np.ndarray, inside: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weight of the targets and of the non-targets in each part: see `ladder.Resampling`."""
        label = self.label[rows]
        target, nontarget = rows[label], rows[~label]
        counts = self.counts[:, draws]
        owners = _count_table(part[label], self.first[target], (n_parts, self.n_speakers), counts.dtype)
        return owners @ counts, self._nontargets(nontarget, part[~label], n_parts, counts)

    def _nontargets(self, rows: np.ndarray, part: np.ndarray, n_parts: int, counts: np.ndarray) -> np.ndarray:
        """Sum of c_i c_j over the trials of each part, (n_parts, draws)."""
        found = np.empty((n_parts, counts.shape[1]), counts.dtype)
        first, second = self.first[rows], self.second[rows]
        if n_parts * self.n_speakers < len(rows):  # many trials: c' N c of each part, N its trials by pair of speakers
            pairs = _count_table(
                part * self.n_speakers + first, second, (n_parts * self.n_speakers, self.n_speakers), counts.dtype
            )
            for block in _blocks(counts.shape[1], n_parts * self.n_speakers):
                drawn = np.ascontiguousarray(counts[:, block])
                seen = (pairs @ drawn).reshape(n_parts, self.n_speakers, -1)
                seen *= drawn
                np.sum(seen, axis=1, out=found[:, block])
            return found
        ends = np.searchsorted(part, np.arange(n_parts + 1))
        together = csr_array((np.ones(len(rows), counts.dtype), np.arange(len(rows)), ends), (n_parts, len(rows)))
        for block in _blocks(counts.shape[1], len(rows)):
            drawn = np.ascontiguousarray(counts[:, block])
            products = drawn[first]
            products *= drawn[second]
            found[:, block] = together @ products
        return found


def draw_speakers(
    enrol: Sequence[Hashable] | np.ndarray,
    test: Sequence[Hashable] | np.ndarray,
    label: np.ndarray,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    names: Sequence[str] | np.ndarray | None = None,
    row: np.ndarray | None = None,
) -> SpeakerResampling:
    """The shared table of counts for trials (n,) whose two sides belong to speakers `enrol` and `test`.

    Speakers are anything hashable, or positions in `names`; `row` (n,) is where trials stand in their file. A draw that
    leaves the targets or the non-targets without weight is drawn again. Raises ScoreError when a side is empty or a
    label contradicts the speakers.
    """
    label = checked_scores(np.zeros(len(label)), label)[1]
    if names is None:
        names, codes = np.unique(np.concatenate([enrol, test]), return_inverse=True)
        sides = codes[: len(label)], codes[len(label) :]
    else:
        sides = np.asarray(enrol), np.asarray(test)
    used = np.bincount(sides[0], minlength=len(names)) + np.bincount(sides[1], minlength=len(names)) > 0
    who, position, n_speakers = np.flatnonzero(used), np.cumsum(used, dtype=np.int32) - 1, int(used.sum())
    first, second = position[sides[0]], position[sides[1]]
    wrong = np.flatnonzero((first == second) != label)
    if len(wrong):
        place = int(wrong[0])
        said = [str(names[who[side[place]]]) for side in (first, second)]
        where = f"trial {place + 1}" if row is None else f"row {row[place]}: trial"
        raise ScoreError(
            f"{where}: label {int(label[place])} contradicts its speakers {said[0]!r} and {said[1]!r}; "
            "correct one of them"
        )
    first, second = np.minimum(first, second), np.maximum(first, second)
    rng = np.random.default_rng(seed)
    even = np.full(n_speakers, 1 / n_speakers)
    counts = np.zeros((n_speakers, draws))
    everything = np.arange(len(label)), np.zeros(len(label), dtype=np.int64), 1
    totals = np.zeros((2, draws))
    todo = np.arange(draws)
    while len(todo):
        counts[:, todo] = rng.multinomial(n_speakers, even, size=len(todo)).T
        drawn = SpeakerResampling(label, first, second, counts[:, todo])
        totals[:, todo] = np.concatenate(drawn.weights(*everything, np.arange(len(todo)), None))
        todo = todo[(totals[:, todo] == 0).any(axis=0)]
    return SpeakerResampling(label, first, second, counts.astype(np.float32) if totals.max() < EXACT else counts)


@dataclass(frozen=True, eq=False)
class TrialResampling:
    """Trials drawn with replacement within each class: all that is left where speakers are unknown.

    Intervals come out too narrow, because trials of one speaker are not independent; say so beside them.
    """

    label: np.ndarray
    draws: int = DRAWS
    seed: int = 0

    def weights(
        self, rows: np.ndarray, part: np.ndarray, n_parts: int, draws: np.ndarray, inside: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """How many of those drawn fall into each part: multinomial, and within a part that again."""
        found = []
        for number, side in enumerate((self.label, ~self.label)):
            # A stream of its own for each side of each set of trials and draws, so that none repeats another.
            rng = np.random.default_rng([self.seed, number, int(rows.min()), len(rows), int(draws[0])])
            sizes = np.bincount(part[side[rows]], minlength=n_parts)
            total = np.full(len(draws), sizes.sum()) if inside is None else inside[number].astype(np.int64)
            share = sizes / max(1, sizes.sum())
            drawn = rng.multinomial(total, share) if sizes.any() else np.zeros((len(draws), n_parts))
            found.append(drawn.T.astype(np.float64))
        return found[0], found[1]


def bootstrap_metrics(
    scores: np.ndarray, label: np.ndarray, resampling: SpeakerResampling | TrialResampling
) -> dict[str, np.ndarray]:
    """Every draw's `eer`, `min_dcf_0.05` and `min_dcf_0.01`, each (draws,), from scores and label (n,)."""
    scores, label, _ = checked_scores(scores, label)
    eer, costs = figures_of_draws(scores, label, resampling, P_TARGETS)
    return {"eer": eer, **{f"min_dcf_{p}": cost for p, cost in zip(P_TARGETS, costs, strict=True)}}


def average_over_seeds(per_seed: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """A metric (seeds, draws) averaged over training seeds within each draw, the seeds drawn too: (draws,).

    Two systems with equally many seeds get the same draw of seeds, so that their difference stays paired. The mean of n
    values drawn again varies by (n - 1) / n of what the mean of n trainings does, half of it for two: its deviations
    are stretched by the root of n / (n - 1). A draw may so leave the range of the metric. One seed says nothing of
    other trainings.
    """
    n_seeds, draws = per_seed.shape
    mean = per_seed.mean(axis=0)
    if n_seeds == 1:
        return mean
    rng = np.random.default_rng([seed, n_seeds])
    share = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=draws) / n_seeds
    return mean + (np.einsum("ds,sd->d", share, per_seed) - mean) * math.sqrt(n_seeds / (n_seeds - 1))


def interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of a bootstrapped figure."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def p_value(differences: np.ndarray) -> float:
    """Two-sided p of no difference: twice the smaller tail, each (r + 1) / (draws + 1), at most 1."""
    smaller = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (smaller + 1) / (len(differences) + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the order given: significant where at most the chosen level."""
    order = np.argsort(p_values, kind="stable")
    steps = np.array(p_values, dtype=np.float64)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in adjusted]


def resolution(comparisons: int, draws: int) -> float:
    """The smallest adjusted p that so many draws can give a table of so many comparisons."""
    return min(1.0, 2 * comparisons / (draws + 1))


def enough_draws(comparisons: int) -> int:
    """Draws with which a tenth of the level can still be told from nothing, in a table of so many comparisons."""
    return min(MOST_DRAWS, max(DRAWS, math.ceil(20 * comparisons / SIGNIFICANT)))


def over_what(trainings: int) -> str:
    """What intervals and p values of a table speak for."""
    return "speakers; one training" if trainings == 1 else f"speakers and {trainings} trainings"


def _count_table(
    row: np.ndarray, column: np.ndarray, shape: tuple[int, int], dtype: np.dtype
) -> np.ndarray | csr_array:
    """How many trials each cell has; dense where the cells are few, because a dense product is ten times as fast."""
    if shape[0] * shape[1] <= 8 * len(row):
        return np.bincount(row * shape[1] + column, minlength=shape[0] * shape[1]).reshape(shape).astype(dtype)
    return csr_array((np.ones(len(row), dtype), (row, column)), shape=shape)


def _blocks(draws: int, width: int) -> list[slice]:
    size = min(draws, max(AT_LEAST, BLOCK // max(1, width)))
    return [slice(start, min(start + size, draws)) for start in range(0, draws, size)]
