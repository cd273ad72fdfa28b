"""The duration grid: every system at every length of test speech, with intervals, and all differences.

A study or an evaluation scores one trial list at every length, for every training seed and (where both
sides are cropped at random) every crop seed. Here those scores become the "lengths" and "comparisons" of
`results.json`: plain dicts, fractions, and None where a figure does not exist. All systems and lengths
share one table of bootstrap counts, so that every comparison is paired.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import combinations
from typing import Any

import numpy as np

from shortvox.errors import ScoreError
from shortvox.evaluation import metrics
from shortvox.evaluation.bootstrap import (
    DRAWS,
    SIGNIFICANT,
    SpeakerResampling,
    average_over_seeds,
    bootstrap_metrics,
    draw_speakers,
    holm,
    interval,
    p_value,
    resolution,
)
from shortvox.evaluation.trials import Trials
from shortvox.scoring.calibration import Calibration

COMPARED_PRIOR = str(metrics.P_TARGETS[0])  # the minDCF that is compared beside the EER

Grid = tuple[tuple[np.ndarray, ...], ...]  # [training seed][crop seed] -> scores (n_trials,)


@dataclass(frozen=True, eq=False)
class ScoreSet:
    """Scores of one system at one length, in trial order, for each training seed and crop seed.

    `calibrations` (one per training seed) come before actDCF and Cllr, which have no value without them.
    `band_limited` are the same scores with all audio limited to 4 kHz. `spread_degrees`, of all
    test speakers, is carried through.
    """

    scores: Grid
    seeds: tuple[int, ...] = ()
    calibrations: tuple[Calibration, ...] | None = None
    band_limited: Grid | None = None
    spread_degrees: float | None = None

    def __post_init__(self) -> None:
        if not self.scores or not all(self.scores):
            raise ScoreError("a system needs scores of at least one training seed and one crop seed")
        object.__setattr__(self, "seeds", self.seeds or tuple(range(len(self.scores))))
        optional = (self.calibrations, self.band_limited)
        per_seed = [self.seeds, *(part for part in optional if part is not None)]
        if any(len(part) != len(self.scores) for part in per_seed):
            raise ScoreError(
                f"scores of {len(self.scores)} training seeds need as many seed numbers, "
                "calibrations and band-limited scores"
            )

    def where(self, mask: np.ndarray) -> ScoreSet:
        """Only the trials that a (n_trials,) bool mask keeps; the spread, known for all of them only, is None."""
        limited = None if self.band_limited is None else _masked(self.band_limited, mask)
        return replace(self, scores=_masked(self.scores, mask), band_limited=limited, spread_degrees=None)


@dataclass(frozen=True, eq=False)
class TrialSetup:
    """What all compared systems share: trials, who speaks, and which files fall short of each length.

    `speakers` and `families` name each corpus position's speaker and package family. `short` has, for each
    length that crops, (n_utterances,) bool: the file is shorter than it. `both_cropped` is True for short x
    short (P-B), False for full x short (P-A), where the enrolment side stays whole.
    """

    trials: Trials
    speakers: Sequence[str]
    both_cropped: bool = False
    short: Mapping[str, np.ndarray] = field(default_factory=dict)
    families: Sequence[str] | None = None
    draws: int = DRAWS
    seed: int = 0

    @cached_property
    def resampling(self) -> SpeakerResampling:
        """The shared table of counts, drawn once."""
        names = np.asarray(self.speakers, dtype=str)
        return draw_speakers(
            names[self.trials.enrol], names[self.trials.test], self.trials.label, draws=self.draws, seed=self.seed
        )

    @property
    def cropped_sides(self) -> tuple[np.ndarray, ...]:
        return (self.trials.enrol, self.trials.test) if self.both_cropped else (self.trials.test,)

    def where(self, mask: np.ndarray) -> TrialSetup:
        return replace(self, trials=self.trials.where(mask))


@dataclass(frozen=True, eq=False)
class DurationGrid:
    """Figures and bootstrap draws of every system at every length.

    `lengths[system][length]` is the dict of `results.json`; `draws[system][length][metric]` is (draws,).
    """

    lengths: dict[str, dict[str, dict[str, Any]]]
    draws: dict[str, dict[str, dict[str, np.ndarray]]]
    n_draws: int
    indicative: bool

    @property
    def trainings(self) -> int:
        """The fewest training seeds of any system: what an interval or a verdict can speak for at most."""
        return min(len(figures["seeds"]) for lengths in self.lengths.values() for figures in lengths.values())

    def comparisons(self, pairs: Sequence[tuple[str, str]] | None = None) -> list[dict[str, Any]]:
        """Differences a - b in EER and minDCF of the given (or all) pairs of systems at all lengths they share.

        `p` is the raw two-sided p, `p_holm` is adjusted over the whole list, for each of the two metrics
        apart; no adjusted p can be lower than `resolution`. With fewer than 20 speakers the list is indicative and
        nothing in it is significant.
        """
        rows = [
            {
                "a": a,
                "b": b,
                "length": length,
                **self._difference(a, b, length, lambda figures: figures["eer"], "eer"),
                "trainings": min(len(self.lengths[name][length]["seeds"]) for name in (a, b)),
                "min_dcf": {
                    COMPARED_PRIOR: self._difference(
                        a, b, length, lambda figures: figures["min_dcf"][COMPARED_PRIOR], f"min_dcf_{COMPARED_PRIOR}"
                    )
                },
            }
            for a, b, length in compared(self.lengths, pairs)
        ]
        for family in (rows, [row["min_dcf"][COMPARED_PRIOR] for row in rows]):
            self._adjust(family)
        return rows

    def _difference(
        self, a: str, b: str, length: str, figure: Callable[[dict[str, Any]], float], metric: str
    ) -> dict[str, Any]:
        drawn = self.draws[a][length][metric] - self.draws[b][length][metric]
        return {
            "difference": figure(self.lengths[a][length]) - figure(self.lengths[b][length]),
            "interval": list(interval(drawn)),
            "p": p_value(drawn),
        }

    def _adjust(self, family: Sequence[dict[str, Any]]) -> None:
        """Holm's correction of comparisons that are read together."""
        for row, adjusted in zip(family, holm([row["p"] for row in family]), strict=True):
            row["p_holm"] = adjusted
            row["significant"] = bool(adjusted <= SIGNIFICANT and not self.indicative)
            row["indicative"] = self.indicative
            row["resolution"] = resolution(len(family), self.n_draws)


def compared(
    lengths: Mapping[str, Collection[str]], pairs: Sequence[tuple[str, str]] | None = None
) -> list[tuple[str, str, str]]:
    """(a, b, length) of every comparison: the given (or all) pairs of systems at all lengths that both have."""
    chosen = combinations(lengths, 2) if pairs is None else pairs
    return [(a, b, length) for a, b in chosen for length in lengths[a] if length in lengths[b]]


def duration_grid(
    systems: Mapping[str, Mapping[str, ScoreSet]],
    setup: TrialSetup,
    *,
    advance: Callable[[], None] | None = None,
) -> DurationGrid:
    """Figures of `systems[name][length]`, lengths named as in results.json ("full", "5", ...).

    `advance` is called after each system and length, for a progress bar. Raises ScoreError for scores that
    do not fit the trials or are not finite.
    """
    lengths: dict[str, dict[str, dict[str, Any]]] = {}
    draws: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for name, by_length in systems.items():
        lengths[name], draws[name] = {}, {}
        for length, scores in by_length.items():
            try:
                draws[name][length] = bootstrapped(scores, setup)
            except ScoreError as error:
                raise ScoreError(f"{name}, length {length}: {error}") from None
            lengths[name][length] = length_figures(scores, setup, length, draws[name][length])
            if advance is not None:
                advance()
    return DurationGrid(lengths, draws, setup.draws, setup.resampling.indicative)


def bootstrapped(scores: ScoreSet, setup: TrialSetup) -> dict[str, np.ndarray]:
    """Draws (draws,) of each metric: averaged over crop seeds, then over training seeds drawn again."""
    per_seed = []
    for crops in scores.scores:
        per_crop = [bootstrap_metrics(one, setup.trials.label, setup.resampling) for one in crops]
        per_seed.append({name: np.mean([crop[name] for crop in per_crop], axis=0) for name in per_crop[0]})
    stacked = {name: np.stack([one[name] for one in per_seed]) for name in per_seed[0]}
    return {name: average_over_seeds(values, seed=setup.seed) for name, values in stacked.items()}


def length_figures(
    scores: ScoreSet, setup: TrialSetup, length: str, draws: Mapping[str, np.ndarray] | None = None
) -> dict[str, Any]:
    """The results.json object of one system at one length; `draws` come from `bootstrapped`, by default.

    Every figure is a mean over crop seeds, then over training seeds. The DET curve is that of the first of
    each, since averaged curves would belong to no system.
    """
    trials = setup.trials
    draws = bootstrapped(scores, setup) if draws is None else draws
    seeds = [_seed_figures(seed, crops, trials.label) for seed, crops in zip(scores.seeds, scores.scores, strict=True)]
    means = {str(p): float(np.mean([one["min_dcf"][str(p)] for one in seeds])) for p in metrics.P_TARGETS}
    return {
        "eer": float(np.mean([one["eer"] for one in seeds])),
        "min_dcf": means,
        **_calibrated_figures(scores, trials.label),
        "min_cllr": _mean(scores.scores, lambda one: metrics.min_cllr(one, trials.label)),
        "intervals": {name: list(interval(values.clip(0, 1))) for name, values in draws.items()},
        "indicative": setup.resampling.indicative,
        "n_target": trials.n_target,
        "n_nontarget": trials.n_nontarget,
        **_short_files(scores, setup, length),
        "seeds": seeds,
        "spread_degrees": scores.spread_degrees,
        "det": [list(point) for point in metrics.det_points(scores.scores[0][0], trials.label)],
        "same_family": _same_family(scores, setup),
        "band_limited": None
        if scores.band_limited is None
        else {"eer": _mean(scores.band_limited, lambda one: metrics.eer(one, trials.label))},
    }


def by_column(
    systems: Mapping[str, Mapping[str, ScoreSet]], setup: TrialSetup, values: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """The duration grid of the trials whose *test* side has each value of a manifest column.

    `values` names each corpus position's value; an empty one is shown as "(none)". The test side decides,
    because it is the side whose condition a user wonders about, and the one that both protocols crop; the
    enrolment side may have any value. A value whose trials lack targets or non-targets keeps its counts,
    with `systems` None.
    """
    tested = np.array([value or "(none)" for value in values], dtype=str)[setup.trials.test]
    result: dict[str, dict[str, Any]] = {}
    for value in np.unique(tested):
        mask = tested == value
        n_target = int(setup.trials.label[mask].sum())
        counts = {"n_target": n_target, "n_nontarget": int(mask.sum()) - n_target}
        grid = None
        if all(counts.values()):
            kept = {
                name: {length: scores.where(mask) for length, scores in by_length.items()}
                for name, by_length in systems.items()
            }
            lengths = duration_grid(kept, setup.where(mask)).lengths
            grid = {name: {"lengths": figures} for name, figures in lengths.items()}
        result[str(value)] = {**counts, "systems": grid}
    return result


def _seed_figures(seed: int, crops: tuple[np.ndarray, ...], label: np.ndarray) -> dict[str, Any]:
    sides = [metrics.Sides.of(one, label) for one in crops]
    eers = [each.eer() for each in sides]
    costs = {str(p): float(np.mean([each.min_dcf(p) for each in sides])) for p in metrics.P_TARGETS}
    return {"seed": seed, "eer": float(np.mean(eers)), "min_dcf": costs, "crop_seeds": eers}


def _calibrated_figures(scores: ScoreSet, label: np.ndarray) -> dict[str, Any]:
    if scores.calibrations is None:
        return {"act_dcf": {str(p): None for p in metrics.P_TARGETS}, "cllr": None}
    llrs = tuple(
        tuple(calibration.apply(one) for one in crops)
        for calibration, crops in zip(scores.calibrations, scores.scores, strict=True)
    )
    costs = {str(p): _mean(llrs, partial(metrics.act_dcf, labels=label, p_target=p)) for p in metrics.P_TARGETS}
    return {"act_dcf": costs, "cllr": _mean(llrs, lambda one: metrics.cllr(one, label))}


def _short_files(scores: ScoreSet, setup: TrialSetup, length: str) -> dict[str, Any]:
    """How many cropped files are shorter than the length, and the EER without the trials that use one."""
    if length not in setup.short:
        return {"n_short": 0, "short_fraction": 0.0, "long_only": None}
    short = np.asarray(setup.short[length], dtype=bool)
    cropped = np.unique(np.concatenate(setup.cropped_sides))
    n_short = int(short[cropped].sum())
    long = ~np.any([short[side] for side in setup.cropped_sides], axis=0)
    return {
        "n_short": n_short,
        "short_fraction": n_short / len(cropped),
        "long_only": _subset_eer(scores.scores, setup.trials.label, long),
    }


def _same_family(scores: ScoreSet, setup: TrialSetup) -> dict[str, Any] | None:
    """EER against impostors of the same package family, who share its channel and often its language."""
    if setup.families is None:
        return None
    family = np.asarray(setup.families, dtype=str)
    trials = setup.trials
    same = family[trials.enrol] == family[trials.test]
    figures = _subset_eer(scores.scores, trials.label, trials.label | same)
    return figures if figures["n_nontarget"] else None


def _subset_eer(grid: Grid, label: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    kept = label[mask]
    counts = {"n_target": int(kept.sum()), "n_nontarget": int((~kept).sum())}
    value = _mean(_masked(grid, mask), lambda one: metrics.eer(one, kept)) if all(counts.values()) else None
    return {"eer": value, **counts}


def _masked(grid: Grid, mask: np.ndarray) -> Grid:
    return tuple(tuple(one[mask] for one in crops) for crops in grid)


def _mean(grid: Grid, metric: Callable[[np.ndarray], float]) -> float:
    """Mean over crop seeds, then over training seeds."""
    return float(np.mean([np.mean([metric(one) for one in crops]) for crops in grid]))
