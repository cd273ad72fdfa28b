"""Models and a trial list to figures: both protocols, every length, with calibration learnt elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from shortvox.corpora.crop import Crop
from shortvox.corpora.speech import SpeechData
from shortvox.evaluation.bootstrap import DRAWS, enough_draws, over_what
from shortvox.evaluation.calibrate import calibration_for, variant_of
from shortvox.evaluation.cohort import refuse_overlap
from shortvox.evaluation.durations import DurationGrid, ScoreSet, TrialSetup, by_column, compared, duration_grid
from shortvox.evaluation.listener import Listener
from shortvox.evaluation.protocols import FULL, Protocol, SideCrops, protocol
from shortvox.evaluation.scorefile import ScoreTable, write_scores
from shortvox.evaluation.scorer import Scorer, make_scorer
from shortvox.evaluation.settings import ScoringSettings, TestSettings
from shortvox.evaluation.testset import TestSet
from shortvox.progress import progress_bar

Scores = dict[str, dict[str, ScoreSet]]  # [protocol][length]


@dataclass(frozen=True)
class System:
    """One row of a table: a listener for each training seed, what is known of their training, and how they are scored.

    Without a `scoring` of its own, a system has that of the test.
    """

    listeners: tuple[Listener, ...]
    seeds: tuple[int, ...] = (0,)
    facts: Mapping[str, Any] = field(default_factory=dict)
    scoring: ScoringSettings | None = None


def evaluate(
    systems: Mapping[str, System],
    test: TestSet,
    settings: TestSettings,
    *,
    cohort: SpeechData | None = None,
    cache: Path | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    by: str | None = None,
    scores: Path | None = None,
) -> dict[str, Any]:
    """The `protocol`/`systems`/`comparisons`/`trials` part of results.json, or one such object per protocol.

    `cohort` is speech of speakers who are in no trial, for score normalisation and transforms; `cache` keeps
    embeddings; `pairs` names the systems to compare (all by default); `by` splits the figures by a manifest column of
    the test side as well; `scores` is a folder to write score files to. Raises CorpusError when somebody is in the
    cohort and in the test.
    """
    if cohort is not None:
        refuse_overlap(cohort.corpus, test.data.corpus, "in the cohort and in the test")
    scored: dict[str, Scores] = {}
    facts: dict[str, dict[str, dict[str, Any]]] = {}
    folders = dict(zip(systems, _file_names(systems), strict=True))
    for name, system in systems.items():
        scored[name], facts[name] = _scores_of(name, system, test, settings, cohort, cache)
        if scores is not None:
            _write_scores(scores / folders[name], scored[name], test)
    objects = {
        name: _one_protocol(
            protocol[name],
            {system: {**systems[system].facts, **own[name]} for system, own in facts.items()},
            {system: own[name] for system, own in scored.items()},
            test,
            settings,
            pairs,
            by,
        )
        for name in settings.protocols
    }
    if len(objects) == 1:
        return next(iter(objects.values()))
    return {"protocols": objects}


def _scores_of(
    name: str, system: System, test: TestSet, settings: TestSettings, cohort: SpeechData | None, cache: Path | None
) -> tuple[Scores, dict[str, dict[str, Any]]]:
    """Scores of all trials for every protocol and length, and for every protocol how they were made."""
    scoring = system.scoring or settings.scoring
    variant = variant_of(scoring, cohort)
    parts: list[dict[tuple[str, str], _SeedScores]] = []
    facts: dict[str, dict[str, Any]] = {}
    for number, listener in enumerate(system.listeners, start=1):
        title = f"Embedding {name}" + (f", {number} of {len(system.listeners)}" if len(system.listeners) > 1 else "")
        scorer = make_scorer(listener, scoring, test, settings, cohort=cohort, cache=cache, title=title)
        facts = facts or {
            how: {"scoring": scorer.facts(), "voiceless": _voiceless(scorer, protocol[how])}
            for how in settings.protocols
        }
        parts.append(
            {
                (how, length): _seed_scores(scorer, protocol[how], length)
                for how in settings.protocols
                for length in settings.names()
            }
        )
    result: Scores = {how: {} for how in settings.protocols}
    for how, length in parts[0]:
        seeds = [part[how, length] for part in parts]
        fitted = [calibration_for(one, how, length, variant) for one in system.listeners]
        known = tuple(one for one in fitted if one is not None)
        limited = [one.band_limited for one in seeds if one.band_limited is not None]
        result[how][length] = ScoreSet(
            scores=tuple(one.scores for one in seeds),
            seeds=system.seeds,
            calibrations=known if len(known) == len(fitted) else None,
            band_limited=tuple(limited) or None,
            spread_degrees=_mean([one.spread_degrees for one in seeds]),
        )
    return result, facts


def _voiceless(scorer: Scorer, how: Protocol) -> dict[str, dict[str, int]] | None:
    """By length, how many crops have no voiced frame and were scored on all frames; None without a VAD."""
    counts = {length: scorer.voiceless(how, length) for length in scorer.settings.names()}
    found = {length: count for length, count in counts.items() if count is not None}
    return found or None


@dataclass(frozen=True, eq=False)
class _SeedScores:
    """What one training seed's model gives at one length: scores for each crop seed, and the spread."""

    scores: tuple[np.ndarray, ...]
    band_limited: tuple[np.ndarray, ...] | None
    spread_degrees: float | None


def _seed_scores(scorer: Scorer, how: Protocol, length: str) -> _SeedScores:
    cuts = scorer.cuts(how, length)

    def scores(changed: str) -> tuple[np.ndarray, ...]:
        return tuple(scorer.scores(how, length, cut, changed) for cut in cuts)

    limited = scorer.settings.band_limited and how.name == scorer.settings.protocols[0]
    return _SeedScores(
        scores("none"), scores("4khz") if limited else None, spread_degrees(scorer.points, cuts, scorer.test)
    )


def on_its_own(results: dict[str, Any]) -> dict[str, Any]:
    """With several protocols, each one's object gets `corpus` and `command` too, so that it can stand on its own."""
    for figures in results.get("protocols", {}).values():
        figures |= {"corpus": dict(results["corpus"]), "command": results["command"]}
    return results


def _one_protocol(
    how: Protocol,
    facts: Mapping[str, Mapping[str, Any]],
    scores: Mapping[str, Mapping[str, ScoreSet]],
    test: TestSet,
    settings: TestSettings,
    pairs: Sequence[tuple[str, str]] | None,
    by: str | None,
) -> dict[str, Any]:
    lengths = settings.names()
    setup = TrialSetup(
        trials=test.trials,
        speakers=test.speakers,
        both_cropped=how.both_cropped,
        short=test.short(lengths),
        families=test.families,
        draws=settings.draws or enough_draws(len(compared(scores, pairs))),
        seed=settings.seed,
    )
    with progress_bar(transient=True) as bar:
        task = bar.add_task(f"Figures, {how.name}", total=len(scores) * len(lengths), note="")
        grid: DurationGrid = duration_grid(scores, setup, advance=lambda: bar.advance(task))
    speakers = np.array(test.speakers)[test.used()]
    result: dict[str, Any] = {
        "protocol": how.name,
        "systems": {name: {**known, "lengths": grid.lengths[name]} for name, known in facts.items()},
        "comparisons": grid.comparisons(pairs),
        "bootstrap": {"draws": setup.draws, "over": over_what(grid.trainings), "trainings": grid.trainings},
        "trials": {
            "note": test.trials.note,
            "n_target": test.trials.n_target,
            "n_nontarget": test.trials.n_nontarget,
            "speakers": len(set(speakers.tolist())),
        },
    }
    if by is not None:
        values = [utterance.column(by) for utterance in test.data.corpus.utterances]
        parts = replace(setup, draws=settings.draws or DRAWS)  # nothing is compared within them
        result["by"] = {by: by_column(scores, parts, values)}
    return result


def _write_scores(folder: Path, scores: Scores, test: TestSet) -> None:
    """A Parquet file for each protocol and length, and for each training and crop seed where there are several."""
    for how, by_length in scores.items():
        for length, found in by_length.items():
            for seed, crops in zip(found.seeds, found.scores, strict=True):
                for number, one in enumerate(crops):
                    name = f"{how}-{length}"
                    name += f"-seed{seed}" if len(found.seeds) > 1 else ""
                    name += f"-crop{number}" if len(crops) > 1 else ""
                    table = ScoreTable.of(test.trials, test.data.corpus, one)
                    write_scores(folder / f"{name}.parquet", table)


def _file_names(systems: Iterable[str]) -> list[str]:
    """The systems' names, which may be paths of model folders, as names of folders, each another."""
    names: list[str] = []
    for system in systems:
        name = re.sub(r"[^\w.+-]+", "_", system).strip("_.") or "system"
        names.append(name if name not in names else f"{name}-{len(names)}")
    return names


def spread_degrees(
    points: Callable[[Iterable[Crop]], np.ndarray], cuts: Sequence[SideCrops], test: TestSet
) -> float | None:
    """Mean angle between a cropped embedding and the speaker's centroid of the *other* whole utterances.

    `points` gives the unit-length embeddings of crops.

    None where no speaker has several utterances in the trials.
    """
    used = test.used()
    names = np.array(test.speakers)[used]
    full = test.cuts(protocol["full-short"], FULL, 1)[0].enrol
    whole_vectors = points(full[position] for position in used)
    speaker = np.unique(names, return_inverse=True)[1]
    sums = np.zeros((speaker.max() + 1, whole_vectors.shape[1]))
    np.add.at(sums, speaker, whole_vectors)
    several = np.bincount(speaker)[speaker] > 1
    if not several.any():
        return None
    centroids = sums[speaker] - whole_vectors
    angles = []
    for cut in cuts:
        vectors = points(cut.test[position] for position in used)
        cosine = np.einsum("nd,nd->n", vectors, centroids) / np.linalg.norm(centroids, axis=1).clip(1e-9)
        angles.append(np.degrees(np.arccos(cosine[several].clip(-1, 1))).mean())
    return float(np.mean(angles))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
