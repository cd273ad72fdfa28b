"""A corpus with its audio, and parts of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from shortvox.corpora.corpus import Corpus
from shortvox.corpora.store import AudioStore, PackedStore, open_store
from shortvox.corpora.utterance import Utterance
from shortvox.errors import CorpusError


@dataclass(frozen=True)
class StoreView:
    """Some utterances of a store, under new positions."""

    store: AudioStore
    positions: np.ndarray

    @cached_property
    def lengths(self) -> np.ndarray:
        return self.store.lengths[self.positions]

    def read(self, position: int, start: int = 0, samples: int | None = None) -> np.ndarray:
        return self.store.read(int(self.positions[position]), start, samples)

    def name(self, position: int) -> str:
        return self.store.name(int(self.positions[position]))


@dataclass(frozen=True)
class SpeechData:
    """A corpus and the store its audio is read from, position by position."""

    corpus: Corpus
    store: AudioStore

    @classmethod
    def open(cls, corpus: Corpus, cache: Path | None = None) -> SpeechData:
        """Raises AudioError as `open_store` does."""
        store = open_store(corpus, cache)
        if isinstance(store, PackedStore):
            paths = dict.fromkeys(u.path for u in corpus.utterances)
            corpus = replace(corpus, checksums=dict(zip(paths, store.checksums, strict=True)))
        return cls(corpus, store)

    def select(self, keep: Callable[[Utterance], bool], name: str | None = None) -> SpeechData:
        """The utterances that `keep` accepts, reading from the same store."""
        positions = np.array([p for p, u in enumerate(self.corpus.utterances) if keep(u)], dtype=np.int64)
        return SpeechData(self.corpus.select(keep, name), StoreView(self.store, positions))

    def hold_out(self, speakers: int, *, seed: int = 0) -> tuple[SpeechData, SpeechData]:
        """(the rest, `speakers` random speakers): the latter watch a training and calibrate, and are in no training.

        Raises CorpusError where either side would have fewer than two: an error rate and a classifier need two.
        """
        eligible = [name for name, at in self.corpus.by_speaker().items() if len(at) > 1]
        if not 2 <= speakers <= min(len(eligible), len(self.corpus.speakers) - 2):
            raise CorpusError(
                f"{self.corpus.name}: {speakers} validation speakers cannot be held out of "
                f"{len(self.corpus.speakers)} ({len(eligible)} have two or more utterances); at least two are needed, "
                "and two must be left to train on; change validation.speakers, or set it to 0 for none"
            )
        chosen: Sequence[str] = np.random.default_rng((seed, 6)).permutation(sorted(eligible))[:speakers].tolist()
        held = set(chosen)
        return (
            self.select(lambda u: u.speaker not in held),
            self.select(lambda u: u.speaker in held, f"{self.corpus.name} (validation)"),
        )
