"""Models and a trial list to figures: both protocols, every length, with calibration learnt elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from shortvox.config import Settings
from shortvox.evaluation.durations import DurationGrid, Grid, ScoreSet, TrialSetup, by_column, duration_grid
from shortvox.evaluation.embeddings import Embeddings, embed
from shortvox.evaluation.protocols import FULL, Protocol, SideCrops, length_samples, parse_lengths, protocol
from shortvox.evaluation.trials import Trials, make_trials
from shortvox.models.embedding import Crop
from shortvox.models.folder import SpeakerModel
from shortvox.progress import progress_bar
from shortvox.scoring.calibration import Calibration, fit_calibration
from shortvox.training.data import TrainingData

CALIBRATION_TRIALS = 20_000


class TestSettings(Settings):
    """What a test measures."""

    __test__ = False  # pytest: not a test class

    protocols: tuple[str, ...] = Field(("full-short", "short-short"), min_length=1)
    lengths: tuple[str | float, ...] = (FULL, "5", "3", "2", "1.5", "1")
    crop_seeds: int = Field(5, ge=1, le=100)
    max_nontarget: int = Field(40_000, ge=1)
    same_gender: bool = False
    band_limited: bool = False
    draws: int = Field(1000, ge=100, le=100_000)
    seed: int = Field(0, ge=0)

    @field_validator("protocols")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            protocol[name]  # an unknown one must fail before any work
        return names

    def names(self) -> tuple[str, ...]:
        return parse_lengths(self.lengths)


@dataclass(frozen=True)
class TestSet:
    """A corpus with its audio and the trials over it."""

    __test__ = False

    data: TrainingData
    trials: Trials
    families: tuple[str, ...] | None = None
    _cuts: dict[tuple[str, str, int], list[SideCrops]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def make(cls, data: TrainingData, settings: TestSettings, trials: Trials | None = None) -> TestSet:
        """With the given trials, or all pairs as the settings say."""
        if trials is None:
            trials = make_trials(
                data.corpus,
                seed=settings.seed,
                max_nontarget=settings.max_nontarget,
                same_gender=settings.same_gender,
            )
        families = tuple(utterance.column("family") for utterance in data.corpus.utterances)
        return cls(data, trials, families if any(families) else None)

    @property
    def speakers(self) -> tuple[str, ...]:
        return tuple(utterance.speaker for utterance in self.data.corpus.utterances)

    def used(self) -> np.ndarray:
        """Positions that occur in a trial."""
        return np.unique(np.concatenate([self.trials.enrol, self.trials.test]))

    def cuts(self, how: Protocol, length: str, crop_seeds: int) -> list[SideCrops]:
        """The protocol's crops at a length, made once."""
        key = (how.name, length, crop_seeds)
        if key not in self._cuts:
            self._cuts[key] = how.cut(self.data.corpus, self.data.store, length, crop_seeds)
        return self._cuts[key]

    def crops(self, settings: TestSettings, protocols: Sequence[str] | None = None) -> list[Crop]:
        """Every crop that the protocols (the settings' own by default) need, of utterances that occur in a trial."""
        used = self.used()
        sides = [
            side
            for name in (settings.protocols if protocols is None else protocols)
            for length in (*settings.names(), FULL)
            for cut in self.cuts(protocol[name], length, settings.crop_seeds)
            for side in (cut.enrol, cut.test)
        ]
        return sorted({side[position] for side in sides for position in used})

    def short(self, lengths: Sequence[str]) -> dict[str, np.ndarray]:
        """For each length that crops: which utterances are shorter than it."""
        return {
            length: self.data.store.lengths < length_samples(length) for length in lengths if length != FULL
        }


@dataclass(frozen=True)
class System:
    """One row of a table: a model for each training seed, and what is known of their training."""

    models: tuple[SpeakerModel, ...]
    seeds: tuple[int, ...] = (0,)
    facts: Mapping[str, Any] = field(default_factory=dict)


def evaluate(
    systems: Mapping[str, System],
    test: TestSet,
    settings: TestSettings,
    *,
    cache: Path | None = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    by: str | None = None,
) -> dict[str, Any]:
    """The `protocol`/`systems`/`comparisons`/`trials` part of results.json, or one such object per protocol.

    `cache` keeps embeddings; `pairs` names the systems to compare (all by default); `by` splits the figures by a
    manifest column of the test side as well.
    """
    embedded = {name: _embed_system(name, system, test, settings, cache) for name, system in systems.items()}
    objects = {
        name: _one_protocol(protocol[name], systems, embedded, test, settings, pairs, by)
        for name in settings.protocols
    }
    if len(objects) == 1:
        return next(iter(objects.values()))
    return {"protocols": objects}


def embed_test(
    model: SpeakerModel,
    test: TestSet,
    settings: TestSettings,
    *,
    cache: Path | None,
    on_batch: Callable[[int], None] | None = None,
) -> dict[str, Embeddings]:
    """Embeddings of all test crops by change of the audio: `none`, and if asked for `4khz` (first protocol only)."""
    return {
        changed: embed(model, test.data.corpus, test.data.store, crops, changed=changed, cache=cache, on_batch=on_batch)
        for changed, crops in _needed(test, settings).items()
    }


def _needed(test: TestSet, settings: TestSettings) -> dict[str, list[Crop]]:
    """The crops to embed, by change of the audio."""
    needed = {"none": test.crops(settings)}
    if settings.band_limited:
        needed["4khz"] = test.crops(settings, settings.protocols[:1])
    return needed


def _embed_system(
    name: str, system: System, test: TestSet, settings: TestSettings, cache: Path | None
) -> list[dict[str, Embeddings]]:
    """Embeddings for each training seed."""
    with progress_bar(transient=True) as bar:
        each = sum(len(crops) for crops in _needed(test, settings).values())
        task = bar.add_task(f"Embedding {name}", total=each * len(system.models), note="")
        return [
            embed_test(model, test, settings, cache=cache, on_batch=lambda done: bar.advance(task, done))
            for model in system.models
        ]


def _one_protocol(
    how: Protocol,
    systems: Mapping[str, System],
    embedded: Mapping[str, Sequence[Mapping[str, Embeddings]]],
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
        draws=settings.draws,
        seed=settings.seed,
    )
    scores = {
        name: {length: score_set(system, embedded[name], test, how, length, settings) for length in lengths}
        for name, system in systems.items()
    }
    with progress_bar(transient=True) as bar:
        task = bar.add_task(f"Figures, {how.name}", total=len(systems) * len(lengths), note="")
        grid: DurationGrid = duration_grid(scores, setup, advance=lambda: bar.advance(task))
    speakers = np.array(test.speakers)[test.used()]
    result: dict[str, Any] = {
        "protocol": how.name,
        "systems": {name: {**system.facts, "lengths": grid.lengths[name]} for name, system in systems.items()},
        "comparisons": grid.comparisons(pairs),
        "trials": {
            "note": test.trials.note,
            "n_target": test.trials.n_target,
            "n_nontarget": test.trials.n_nontarget,
            "speakers": len(set(speakers.tolist())),
        },
    }
    if by is not None:
        values = [utterance.column(by) for utterance in test.data.corpus.utterances]
        result["by"] = {by: by_column(scores, setup, values)}
    return result


def score_set(
    system: System,
    embedded: Sequence[Mapping[str, Embeddings]],
    test: TestSet,
    how: Protocol,
    length: str,
    settings: TestSettings,
) -> ScoreSet:
    """Cosine scores of all trials at one length, for every training seed and crop seed."""
    cuts = test.cuts(how, length, settings.crop_seeds)
    calibrations = [calibration_for(model, how.name, length) for model in system.models]
    known = tuple(c for c in calibrations if c is not None)

    def scores(changed: str) -> Grid:
        return tuple(tuple(cosine_scores(seed[changed], cut, test.trials) for cut in cuts) for seed in embedded)

    limited = settings.band_limited and how.name == settings.protocols[0]
    return ScoreSet(
        scores=scores("none"),
        seeds=system.seeds,
        calibrations=known if len(known) == len(calibrations) else None,
        band_limited=scores("4khz") if limited else None,
        spread_degrees=_mean([spread_degrees(seed["none"], cuts, test) for seed in embedded]),
    )


def cosine_scores(embeddings: Embeddings, cut: SideCrops, trials: Trials) -> np.ndarray:
    """(n_trials,) float64 cosines of unit-length embeddings."""
    enrol, enrol_row = np.unique(trials.enrol, return_inverse=True)
    tested, test_row = np.unique(trials.test, return_inverse=True)
    a = embeddings.of(cut.enrol[position] for position in enrol)
    b = embeddings.of(cut.test[position] for position in tested)
    return np.einsum("nd,nd->n", a[enrol_row], b[test_row]).astype(np.float64)


def spread_degrees(embeddings: Embeddings, cuts: Sequence[SideCrops], test: TestSet) -> float | None:
    """Mean angle between a cropped embedding and the speaker's centroid of the *other* whole utterances.

    None where no speaker has several utterances in the trials.
    """
    used = test.used()
    names = np.array(test.speakers)[used]
    full = test.cuts(protocol["full-short"], FULL, 1)[0].enrol
    whole_vectors = embeddings.of(full[position] for position in used)
    speaker = np.unique(names, return_inverse=True)[1]
    sums = np.zeros((speaker.max() + 1, whole_vectors.shape[1]))
    np.add.at(sums, speaker, whole_vectors)
    several = np.bincount(speaker)[speaker] > 1
    if not several.any():
        return None
    centroids = sums[speaker] - whole_vectors
    angles = []
    for cut in cuts:
        vectors = embeddings.of(cut.test[position] for position in used)
        cosine = np.einsum("nd,nd->n", vectors, centroids) / np.linalg.norm(centroids, axis=1).clip(1e-9)
        angles.append(np.degrees(np.arccos(cosine[several].clip(-1, 1))).mean())
    return float(np.mean(angles))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def calibrate(model: SpeakerModel, data: TrainingData, settings: TestSettings) -> dict[str, Any]:
    """Affine calibrations fitted on `data`, for every protocol at the lengths given: content of `calibration.json`."""
    settings = settings.model_copy(
        update={"max_nontarget": CALIBRATION_TRIALS, "same_gender": False, "crop_seeds": 1}
    )
    test = TestSet.make(data, settings)
    embeddings = embed(model, data.corpus, data.store, test.crops(settings, tuple(protocol)))
    fitted: dict[str, dict[str, Any]] = {}
    for name in protocol:
        fitted[name] = {}
        for length in settings.names():
            cuts = test.cuts(protocol[name], length, settings.crop_seeds)
            scores = np.concatenate([cosine_scores(embeddings, cut, test.trials) for cut in cuts])
            labels = np.tile(test.trials.label, len(cuts))
            fitted[name][length] = fit_calibration(scores, labels).to_json()
    return {"fitted_on": f"{data.corpus.name}: {len(data.corpus.speakers)} speakers", "protocols": fitted}


def calibration_for(model: SpeakerModel, protocol_name: str, length: str) -> Calibration | None:
    """The model's calibration for the protocol at the nearest length it was fitted for; None without any."""
    fitted = (model.calibration or {}).get("protocols", {}).get(protocol_name)
    if not fitted:
        return None
    nearest = min(fitted, key=lambda name: abs(_log_seconds(name) - _log_seconds(length)))
    return Calibration.from_json(fitted[nearest], "calibration.json")


def _log_seconds(length: str) -> float:
    return float(np.log(60.0 if length == FULL else float(length)))
