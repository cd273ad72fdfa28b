"""The cohort of score normalisation: speakers who are in no trial, each a mean embedding."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shortvox.corpora.corpus import Corpus, load_corpora
from shortvox.corpora.crop import Crop, centre, whole
from shortvox.corpora.speech import SpeechData
from shortvox.errors import CorpusError
from shortvox.evaluation.protocols import FULL, length_samples, repeated
from shortvox.scoring.transforms import unit_length

NO_COHORT = (
    "scoring: score normalisation and transforms need a cohort, speech of speakers who are in no trial; name "
    "it with --cohort DIR"
)
FEWEST_SPEAKERS = 2  # a standard deviation over fewer says nothing


@dataclass(frozen=True)
class Cohort:
    """The utterances that stand for the cohort's speakers; `speaker` (utterances,) numbers them from 0."""

    data: SpeechData
    positions: tuple[int, ...]
    speaker: np.ndarray

    @classmethod
    def of(cls, data: SpeechData, utterances: int) -> Cohort:
        """At most `utterances` of each speaker."""
        chosen = data.corpus.spread(utterances)
        owner = [number for number, own in enumerate(chosen) for _ in own]
        if len(chosen) < FEWEST_SPEAKERS:
            raise CorpusError(f"{data.corpus.name}: {len(chosen)} cohort speaker; a cohort needs at least two")
        return cls(data, tuple(position for own in chosen for position in own), np.array(owner))

    @property
    def speakers(self) -> int:
        return int(self.speaker[-1]) + 1

    def crops(self, length: str, *, repeat: bool = False) -> list[Crop]:
        """The utterances whole, or the middle of each at a test's length; short ones with `repeat` as in a test."""
        if length == FULL:
            return [whole(self.data.store, position) for position in self.positions]
        samples = length_samples(length)
        crops = [centre(self.data.store, position, samples) for position in self.positions]
        return list(repeated(crops, samples)) if repeat else crops

    def means(self, embeddings: np.ndarray) -> np.ndarray:
        """(utterances, dim) -> unit-length mean of each speaker (speakers, dim)."""
        sums = np.zeros((self.speakers, embeddings.shape[1]))
        np.add.at(sums, self.speaker, embeddings)
        return unit_length(sums)


def open_cohort(folders: Sequence[Path], utterances: int, cache: Path | None) -> SpeechData:
    """What the cohort needs of some corpora, so that nothing else of them is decoded."""
    corpus = load_corpora(folders)
    kept = {corpus.utterances[position].id for own in corpus.spread(utterances) for position in own}
    return SpeechData.open(corpus.select(lambda u: u.id in kept), cache)


def refuse_overlap(first: Corpus, second: Corpus, sides: str) -> None:
    """Nobody, and no recording, may be on both sides, whatever prefix several corpora give to names.

    Raises CorpusError naming the first that is, and the `sides` ("in training and in test").
    """
    both = set(map(first.plain, first.speakers)) & set(map(second.plain, second.speakers))
    if both:
        raise CorpusError(
            f"speaker '{min(both)}' is {sides}; leave out one side, or rename the speaker if these are two people"
        )
    # Not Path.resolve, which raises for a link that leads to itself: that recording is named where it is read.
    files = {os.path.realpath(u.path) for u in first.utterances} & {os.path.realpath(u.path) for u in second.utterances}
    if files:
        raise CorpusError(f"{min(files)} is {sides}; give each recording to one side")
