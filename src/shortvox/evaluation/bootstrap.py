"""How far a figure could lie from the truth: bootstrap over speakers, paired comparisons, Holm's correction.

Trials of one speaker go up and down together, so that resampling trials as if they were independent gives
intervals that are far too narrow. Speakers are drawn with replacement instead; with counts c, a target
trial of speaker s weighs c_s and a non-target trial of speakers i and j weighs c_i * c_j (the two-sample
bootstrap of Bolle, Ratha and Pankanti, "Error analysis of pattern recognition systems: the subsets
bootstrap", 2004). All systems and lengths share one table of counts, and so every difference between them
is a paired one.

Speed: the ROC turns only at scores of the rarer class. Trials between two such scores are pooled into one
step, and the weights of all steps in all draws are then one product of a sparse matrix with the weights of
the speaker pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from shortvox.errors import ScoreError
from shortvox.evaluation.metrics import P_TARGETS, Roc
from shortvox.scoring.calibration import checked_scores

DRAWS = 1000
FEWEST_SPEAKERS = 20  # with fewer, intervals are indicative and nothing is called significant
BLOCK = 300_000  # weights held at once: small enough for the processor's cache, whatever the trial list


Weigher = Callable[[slice], tuple[np.ndarray, np.ndarray]]


class Resampling(Protocol):
    """One way to draw trials again. `width` is how many numbers per draw it handles besides the steps."""

    @property
    def draws(self) -> int: ...

    @property
    def width(self) -> int: ...

    def weigher(self, step: np.ndarray, n_steps: int) -> Weigher:
        """For the step (n,) of each trial: target and non-target weights, each (n_steps, block's draws)."""


@dataclass(frozen=True, eq=False)
class SpeakerResampling:
    """Counts (draws, speakers) and which of them weigh which trial."""

    label: np.ndarray  # (n,) bool
    owner: np.ndarray  # (targets,) speaker of each target trial
    pair: np.ndarray  # (non-targets,) speaker pair of each non-target trial
    pairs: np.ndarray  # (2, n_pairs) the two speakers of each pair
    counts: np.ndarray  # (draws, speakers) float64, whole numbers

    @property
    def draws(self) -> int:
        return len(self.counts)

    @property
    def n_speakers(self) -> int:
        return self.counts.shape[1]

    @property
    def indicative(self) -> bool:
        """Too few speakers to trust an interval or to claim a difference."""
        return self.n_speakers < FEWEST_SPEAKERS

    @property
    def width(self) -> int:
        return self.pairs.shape[1]

    def weigher(self, step: np.ndarray, n_steps: int) -> Weigher:
        targets = _incidence(step[self.label], self.owner, (n_steps, self.n_speakers))
        nontargets = _incidence(step[~self.label], self.pair, (n_steps, self.width))

        def weigh(block: slice) -> tuple[np.ndarray, np.ndarray]:
            counts = np.ascontiguousarray(self.counts[block].T)  # (speakers, draws)
            return targets @ counts, nontargets @ (counts[self.pairs[0]] * counts[self.pairs[1]])

        return weigh


def draw_speakers(
    enrol: Sequence[Hashable] | np.ndarray,
    test: Sequence[Hashable] | np.ndarray,
    label: np.ndarray,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> SpeakerResampling:
    """The shared table of counts for trials (n,) whose two sides belong to speakers `enrol` and `test`.

    A draw that leaves the targets or the non-targets without weight is drawn again. Raises ScoreError when
    a side is empty or a label contradicts the speakers.
    """
    label = checked_scores(np.zeros(len(label)), label)[1]
    names, codes = np.unique(np.concatenate([enrol, test]), return_inverse=True)
    first, second = codes[: len(label)], codes[len(label) :]
    wrong = np.flatnonzero((first == second) != label)
    if len(wrong):
        row = int(wrong[0])
        raise ScoreError(
            f"trial {row + 1}: label {int(label[row])} contradicts its speakers "
            f"{names[first[row]]} and {names[second[row]]}; correct one of them"
        )
    sides = np.sort(np.stack([first, second])[:, ~label], axis=0)
    keys, pair = np.unique(sides[0] * len(names) + sides[1], return_inverse=True)
    pairs = np.stack(np.divmod(keys, len(names)))
    owner = first[label]
    rng = np.random.default_rng(seed)
    counts = np.empty((draws, len(names)))
    todo = np.arange(draws)
    even = np.full(len(names), 1 / len(names))
    while len(todo):
        counts[todo] = rng.multinomial(len(names), even, size=len(todo))
        present = counts[todo] > 0
        usable = [bool(drawn[owner].any() and (drawn[pairs[0]] & drawn[pairs[1]]).any()) for drawn in present]
        todo = todo[~np.array(usable)]
    return SpeakerResampling(label, owner, pair, pairs, counts)


@dataclass(frozen=True, eq=False)
class TrialResampling:
    """Trials drawn with replacement within each class: all that is left where speakers are unknown.

    Intervals come out too narrow, because trials of one speaker are not independent; say so beside them.
    """

    label: np.ndarray
    draws: int = DRAWS
    seed: int = 0
    width: int = 1

    def weigher(self, step: np.ndarray, n_steps: int) -> Weigher:
        # One stream per side, so that the draws do not depend on how they are cut into blocks.
        streams = np.random.default_rng(self.seed).spawn(2)
        sides = [np.bincount(step[side], minlength=n_steps) for side in (self.label, ~self.label)]

        def weigh(block: slice) -> tuple[np.ndarray, np.ndarray]:
            size = block.stop - block.start
            target, nontarget = (
                rng.multinomial(counts.sum(), counts / counts.sum(), size=size).T.astype(np.float64)
                for rng, counts in zip(streams, sides, strict=True)
            )
            return target, nontarget

        return weigh


def bootstrap_metrics(scores: np.ndarray, label: np.ndarray, resampling: Resampling) -> dict[str, np.ndarray]:
    """Every draw's `eer`, `min_dcf_0.05` and `min_dcf_0.01`, each (draws,), from scores and label (n,)."""
    scores, label, _ = checked_scores(scores, label)
    step, n_steps = _roc_steps(scores, label)
    weigh = resampling.weigher(step, n_steps)
    names = ["eer", *(f"min_dcf_{p}" for p in P_TARGETS)]
    values = {name: np.empty(resampling.draws) for name in names}
    for block in _blocks(resampling.draws, max(n_steps, resampling.width)):
        roc = Roc.from_steps(*weigh(block))
        values["eer"][block] = roc.eer()
        for p_target in P_TARGETS:
            values[f"min_dcf_{p_target}"][block] = roc.min_dcf(p_target)
    return values


def average_over_seeds(per_seed: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """A metric (seeds, draws) averaged over training seeds within each draw, the seeds drawn too: (draws,).

    Two systems with equally many seeds get the same draw of seeds, so that their difference stays paired.
    """
    n_seeds, draws = per_seed.shape
    rng = np.random.default_rng([seed, n_seeds])
    share = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=draws) / n_seeds
    return np.einsum("ds,sd->d", share, per_seed)


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


def _roc_steps(scores: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, int]:
    """Step of each trial (n,) and number of steps: below, at and above each score of the rarer class.

    Between two of those scores only one error rate moves, in a straight line that the ROC keeps without its
    inner points: neither the crossing of the EER nor the least cost changes.
    """
    rarer = label if label.sum() <= len(label) / 2 else ~label
    turns = np.unique(scores[rarer])
    step = np.searchsorted(turns, scores, side="left") + np.searchsorted(turns, scores, side="right")
    return step, 2 * len(turns) + 1


def _incidence(step: np.ndarray, unit: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """How many trials each unit (speaker or pair) has in each step."""
    return csr_array((np.ones(len(step)), (step, unit)), shape=shape)


def _blocks(draws: int, width: int) -> Iterator[slice]:
    size = max(1, min(draws, BLOCK // width))
    for start in range(0, draws, size):
        yield slice(start, min(start + size, draws))
