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
from shortvox.evaluation.scorefile import ScoreTable

RAW_SCORES = (
    "all scores lie in [-1, 1], like cosines: act_dcf and cllr read scores as natural-log "
    "likelihood ratios, so calibrate first or leave them aside"
)
NO_SPEAKERS = (
    "speakers are unknown, so intervals resample trials as if they were independent and come out "
    "too narrow: name the speakers with --speakers FILE"
)


def score_figures(
    table: ScoreTable, speakers: Mapping[str, str] | None = None, *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Any]:
    """Figures of a score table as it is, no calibration applied; fractions, JSON-safe.

    With `speakers` (utterance id -> speaker), intervals come from the speaker bootstrap; without, trials
    are resampled, and a warning says so. Raises ScoreError for an utterance without a speaker, a label that
    contradicts the speakers, or a side without trials.
    """
    scores, label = table.score, table.label
    costs = {
        name: {str(p): metric(scores, label, p) for p in metrics.P_TARGETS}
        for name, metric in (("min_dcf", metrics.min_dcf), ("act_dcf", metrics.act_dcf))
    }
    resampling, warnings = _resampling(table, speakers, draws, seed)
    if np.abs(scores).max() <= 1:
        warnings.append(RAW_SCORES)
    bootstrapped = bootstrap_metrics(scores, label, resampling)
    return {
        "eer": metrics.eer(scores, label),
        **costs,
        "cllr": metrics.cllr(scores, label),
        "min_cllr": metrics.min_cllr(scores, label),
        "n_target": int(label.sum()),
        "n_nontarget": int((~label).sum()),
        "intervals": {name: list(interval(values)) for name, values in bootstrapped.items()},
        "resampled": "trials" if speakers is None else "speakers",
        "warnings": warnings,
    }


def _resampling(
    table: ScoreTable, speakers: Mapping[str, str] | None, draws: int, seed: int
) -> tuple[SpeakerResampling | TrialResampling, list[str]]:
    if speakers is None:
        return TrialResampling(table.label, draws, seed), [NO_SPEAKERS]
    for row, names in enumerate(zip(table.enrol, table.test, strict=True), start=1):
        for name in names:
            if name not in speakers:
                raise ScoreError(f"trial {row}: utterance {name!r} is missing from the speakers file")
    enrol, test = ([speakers[name] for name in side] for side in (table.enrol, table.test))
    drawn = draw_speakers(enrol, test, table.label, draws=draws, seed=seed)
    few = [f"{drawn.n_speakers} speakers, fewer than {FEWEST_SPEAKERS}: intervals are indicative"]
    return drawn, few if drawn.indicative else []
