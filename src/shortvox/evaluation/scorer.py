"""One listener and one way of scoring: from the crops of a test to the scores of its trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from shortvox.corpora.crop import Crop
from shortvox.corpora.speech import SpeechData
from shortvox.corpora.store import AudioStore
from shortvox.errors import ConfigError
from shortvox.evaluation.cohort import NO_COHORT, Cohort
from shortvox.evaluation.embeddings import Embeddings, embed
from shortvox.evaluation.hearing import Hearing, hearing
from shortvox.evaluation.listener import Listener, as_asked
from shortvox.evaluation.protocols import FULL, Protocol, SideCrops
from shortvox.evaluation.repeating import RepeatingStore
from shortvox.evaluation.settings import ScoringSettings, TestSettings
from shortvox.evaluation.testset import TestSet
from shortvox.models.embedding import voiceless
from shortvox.models.speaker_model import SpeakerModel
from shortvox.progress import progress_bar
from shortvox.scoring.measures import cohort_table, measure, trial_scores
from shortvox.scoring.norm import Side, effective_name, norm
from shortvox.scoring.transforms import fit_chain, unit_length

_HEARD = {"full": "", "own": " cut as long as their side", "other": " cut as long as the other side"}


@dataclass(frozen=True, eq=False)
class Scorer:
    """All embeddings that a test needs, and how two utterances become a score.

    `listener` has the front end that the scoring asks for. `vectors` holds the test's embeddings by change of the
    audio, `speakers` the cohort's (speakers, dim) by the length that its utterances were cut to; both are transformed.
    """

    listener: Listener
    scoring: ScoringSettings
    test: TestSet
    settings: TestSettings
    hearing: Hearing
    vectors: Mapping[str, Embeddings]
    speakers: Mapping[str, np.ndarray]
    cohort: Cohort | None

    def cuts(self, how: Protocol, length: str) -> list[SideCrops]:
        """The protocol's crops at a length, for each crop seed."""
        repeat = self.scoring.short_files == "repeat"
        return self.test.cuts(how, length, self.settings.crop_seeds, repeat=repeat)

    def views(self, crops: Iterable[Crop], changed: str = "none") -> list[np.ndarray]:
        """Unit-length embeddings of each view: (crops, pieces, dim)."""
        found = self.vectors[changed]
        by_view = zip(*(self.hearing.pieces(crop) for crop in crops), strict=True)
        return [
            found.of(piece for own in pieces for piece in own).reshape(len(pieces), -1, found.dim) for pieces in by_view
        ]

    def points(self, crops: Iterable[Crop]) -> np.ndarray:
        """(crops, dim) of unit length: where each crop lies, pieces averaged."""
        return unit_length(self.views(crops)[0].mean(axis=1))

    def scores(self, how: Protocol, length: str, cut: SideCrops, changed: str = "none") -> np.ndarray:
        """Scores (n_trials,) float64 of all trials, normalised."""
        compare, normalise, settings = measure[self.scoring.measure], norm[self.scoring.norm.name], self.scoring.norm
        sides, rows = [], []
        for crops, positions in ((cut.enrol, self.test.trials.enrol), (cut.test, self.test.trials.test)):
            distinct, row = np.unique(positions, return_inverse=True)
            views = self.views((crops[position] for position in distinct), changed)
            sides.append([compare.summary(view) for view in views])
            rows.append(row)
        trials = (rows[0], rows[1])
        raw = trial_scores(compare, sides[0], sides[1], trials)
        if not normalise.needs_cohort:
            return raw
        against = []
        for side, at in zip(sides, self._cohort_lengths(how, length), strict=True):
            table = cohort_table(compare, side, self.speakers[at])
            against.append(Side.of(table, normalise.top(settings, table.shape[1]), settings.floor))
        return normalise.apply(raw, against[0], against[1], trials)

    def voiceless(self, how: Protocol, length: str) -> dict[str, int] | None:
        """How much of what is heard of the cropped sides has no voiced frame; None without a VAD of ours."""
        if not isinstance(self.listener, SpeakerModel) or self.listener.settings.frontend.vad == "none":
            return None
        trials = self.test.trials
        crops = {cut.test[position] for cut in self.cuts(how, length) for position in trials.test}
        if how.both_cropped:
            crops |= {cut.enrol[position] for cut in self.cuts(how, length) for position in trials.enrol}
        heard = self.hearing.heard(crops)
        store = heard_store(self.test.data, self.scoring)
        found = voiceless(self.listener, store, sorted(heard), context=self.scoring.context)
        return {"crops": len(heard), "voiceless": int(found.sum())}

    def _cohort_lengths(self, how: Protocol, length: str) -> tuple[str, str]:
        """How long the cohort's utterances are for the statistics of the enrolment and of the test side."""
        enrol = length if how.both_cropped else FULL
        return {"full": (FULL, FULL), "own": (enrol, length), "other": (length, enrol)}[self.scoring.cohort.duration]

    def facts(self) -> dict[str, Any]:
        """What `results.json` says of the scoring; an AS-norm over the whole of the cohort is called S-norm."""
        parts = [f"{self.scoring.measure} of {self.hearing.described}", *self.scoring.transforms]
        cohort = None
        if self.cohort is not None:
            settings, speakers = self.scoring.norm, self.cohort.speakers
            name = effective_name(settings, speakers)
            top = norm[settings.name].top(settings, speakers) if norm[settings.name].needs_cohort else None
            cohort = {"speakers": speakers, "utterances": len(self.cohort.positions), "norm": name, "top": top}
            if norm[settings.name].needs_cohort:
                parts.append(f"{name} over {top} of {speakers} cohort speakers{_HEARD[self.scoring.cohort.duration]}")
        changes = self.scoring.frontend.model_dump(exclude_none=True)
        parts += [f"{part} {value}" for part, value in changes.items()]
        parts += [f"first {self.scoring.prefix} numbers of each embedding"] if self.scoring.prefix else []
        parts += ["front end hears the whole file"] if self.scoring.context == "file" else []
        parts += ["short files repeated"] if self.scoring.short_files == "repeat" else []
        return {"text": ", ".join(parts), "settings": self.scoring.model_dump(mode="json"), "cohort": cohort}


@dataclass(frozen=True)
class Needs:
    """The crops that one way of scoring has to have embedded.

    Of the test, by change of the audio, whole crops and pieces apart: ways of scoring that need the same whole crops
    then share them in the cache. Of the cohort, by length.
    """

    whole: Mapping[str, list[Crop]]
    pieces: Mapping[str, list[Crop]]
    cohort: Mapping[str, list[Crop]]

    @classmethod
    def of(
        cls,
        scoring: ScoringSettings,
        hear: Hearing,
        test: TestSet,
        settings: TestSettings,
        protocols: Sequence[str],
        cohort: Cohort | None,
    ) -> Needs:
        repeat = scoring.short_files == "repeat"
        whole = {"none": test.crops(settings, protocols, repeat=repeat)}
        if settings.band_limited:
            whole["4khz"] = test.crops(settings, protocols[:1], repeat=repeat)
        pieces = {changed: sorted(hear.embedded(crops).difference(crops)) for changed, crops in whole.items()}
        cut = scoring.cohort.duration != "full" and norm[scoring.norm.name].needs_cohort
        lengths = dict.fromkeys((FULL, *settings.names())) if cut else (FULL,)
        own = {length: cohort.crops(length, repeat=repeat) for length in lengths} if cohort else {}
        return cls(whole, pieces, own)

    def total(self) -> int:
        return sum(len(crops) for part in (self.whole, self.pieces, self.cohort) for crops in part.values())


def make_scorer(
    listener: Listener,
    scoring: ScoringSettings,
    test: TestSet,
    settings: TestSettings,
    *,
    cohort: SpeechData | None = None,
    cache: Path | None = None,
    protocols: Sequence[str] | None = None,
    title: str | None = None,
) -> Scorer:
    """Embed the crops of a test, and of the cohort where the scoring needs one, reading from `cache` what it has.

    `protocols` are the settings' own by default; with a `title` there is a progress bar. Raises ConfigError without a
    cohort where one is needed, and where the scoring asks an encoder for what only a model folder can do.
    """
    if scoring.needs_cohort and cohort is None:
        raise ConfigError(NO_COHORT)
    members = Cohort.of(cohort, scoring.cohort.utterances) if scoring.needs_cohort and cohort else None
    hear = hearing[scoring.embedding.name](scoring.embedding)
    needs = Needs.of(scoring, hear, test, settings, protocols or settings.protocols, members)
    hearer = as_asked(listener, scoring)
    with progress_bar(transient=True, shown=title is not None) as bar:
        task = bar.add_task(title or "", total=needs.total(), note="")

        def embedded(data: SpeechData, crops: list[Crop], changed: str = "none") -> Embeddings:
            store = heard_store(data, scoring)
            found = embed(
                hearer,
                data.corpus,
                store,
                crops,
                changed=changed,
                hearing=hear,
                context=scoring.context,
                cache=cache,
                on_batch=lambda done: bar.advance(task, done),
            )
            return found if scoring.prefix is None else found.mapped(partial(first_numbers, count=scoring.prefix))

        vectors = {}
        for changed, crops in needs.whole.items():
            vectors[changed] = embedded(test.data, crops, changed)
            if needs.pieces[changed]:
                vectors[changed] = vectors[changed].beside(embedded(test.data, needs.pieces[changed], changed))
        if members is None:
            return Scorer(hearer, scoring, test, settings, hear, vectors, {}, None)
        of_cohort = {length: embedded(members.data, crops).of(crops) for length, crops in needs.cohort.items()}
    change = fit_chain(scoring.transforms, of_cohort[FULL])
    speakers = {length: members.means(change(found)) for length, found in of_cohort.items()}
    changed_vectors = {changed: found.mapped(change) for changed, found in vectors.items()}
    return Scorer(hearer, scoring, test, settings, hear, changed_vectors, speakers, members)


def first_numbers(vectors: np.ndarray, count: int) -> np.ndarray:
    """(n, dim) -> (n, count) of unit length; raises ConfigError where there are no more than `count`."""
    if count >= vectors.shape[1]:
        raise ConfigError(
            f"scoring.prefix: {count} is no part of the {vectors.shape[1]} numbers of an embedding; give fewer, or null"
        )
    return unit_length(vectors[:, :count])


def heard_store(data: SpeechData, scoring: ScoringSettings) -> AudioStore:
    return RepeatingStore(data.store) if scoring.short_files == "repeat" else data.store
