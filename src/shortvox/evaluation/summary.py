"""All figures of one score file, as the `metrics` command prints them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from shortvox.errors import ScoreError
from shortvox.evaluation import metrics
from shortvox.evaluation.bootstrap import (
    DRAWS,
    FEWEST_SPEAKERS,
    SpeakerResampling,
    TrialResampling,
    bootstrap_metrics,
    draw_speakers,
    interval,
)
from shortvox.evaluation.scorefile import ScoreTable, repeated_trials

RAW_SCORES = (
    "all scores lie in [-1, 1], like cosines: act_dcf and cllr read scores as natural-log "
    "likelihood ratios, so calibrate first or leave them aside"
)
NO_SPEAKERS = (
    "speakers are unknown, so intervals resample trials as if they were independent and come out "
    "too narrow: name the speakers with --speakers FILE"
)


def score_figures(
    table: ScoreTable,
    speakers: Mapping[str, str] | None = None,
    *,
    speakers_from: str = "the speakers",
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Any]:
    """Figures of a score table as it is, no calibration applied; fractions, JSON-safe.

    With `speakers` (utterance id -> speaker), intervals come from the speaker bootstrap; without, trials
    are resampled, and a warning says so. Raises ScoreError for an utterance without a speaker, which says where they
    are from, a label that contradicts the speakers, or a side without trials.
    """
    scores, label = table.score, table.label
    sides = metrics.Sides.of(scores, label)
    resampling, warnings = _resampling(table, speakers, speakers_from, draws, seed)
    if (repeated := repeated_trials(table)) is not None:
        warnings.append(repeated)
    if np.abs(scores).max() <= 1:
        warnings.append(RAW_SCORES)
    bootstrapped = bootstrap_metrics(scores, label, resampling)
    return {
        "eer": sides.eer(),
        "min_dcf": {str(p): sides.min_dcf(p) for p in metrics.P_TARGETS},
        "act_dcf": {str(p): metrics.act_dcf(scores, label, p) for p in metrics.P_TARGETS},
        "cllr": metrics.cllr(scores, label),
        "min_cllr": metrics.min_cllr(scores, label),
        "n_target": int(label.sum()),
        "n_nontarget": int((~label).sum()),
        "intervals": {name: list(interval(values)) for name, values in bootstrapped.items()},
        "resampled": "trials" if speakers is None else "speakers",
        "warnings": warnings,
    }


def _resampling(
    table: ScoreTable, speakers: Mapping[str, str] | None, speakers_from: str, draws: int, seed: int
) -> tuple[SpeakerResampling | TrialResampling, list[str]]:
    if speakers is None:
        return TrialResampling(table.label, draws, seed), [NO_SPEAKERS]
    owner = [speakers.get(name) for name in table.names]
    people = sorted({name for name in owner if name is not None})
    codes = {name: code for code, name in enumerate(people)}
    of_name = np.array([-1 if name is None else codes[name] for name in owner], np.int32)
    enrol, test = of_name[table.enrol], of_name[table.test]
    unknown = np.flatnonzero((enrol < 0) | (test < 0))
    if len(unknown):
        place = int(unknown[0])
        name = table.names[(table.enrol if enrol[place] < 0 else table.test)[place]]
        raise ScoreError(f"row {table.row[place]}: utterance {name!r} is missing from {speakers_from}; add it there")
    drawn = draw_speakers(enrol, test, table.label, draws=draws, seed=seed, names=people, row=table.row)
    few = [f"{drawn.n_speakers} speakers, fewer than {FEWEST_SPEAKERS}: intervals are indicative"]
    return drawn, few if drawn.indicative else []
