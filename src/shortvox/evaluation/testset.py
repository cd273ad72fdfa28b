"""A corpus with its audio and the trials over it, cut to every length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from shortvox.corpora.crop import Crop
from shortvox.corpora.speech import SpeechData
from shortvox.evaluation.protocols import FULL, Protocol, SideCrops, length_samples, protocol
from shortvox.evaluation.settings import TestSettings
from shortvox.evaluation.trials import Trials, make_trials


@dataclass(frozen=True)
class TestSet:
    """A corpus with its audio and the trials over it."""

    __test__ = False  # pytest: not a test class

    data: SpeechData
    trials: Trials
    families: tuple[str, ...] | None = None
    _cuts: dict[tuple[str, str, int, bool], list[SideCrops]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def make(cls, data: SpeechData, settings: TestSettings, trials: Trials | None = None) -> TestSet:
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

    def cuts(self, how: Protocol, length: str, crop_seeds: int, *, repeat: bool = False) -> list[SideCrops]:
        """The protocol's crops at a length, made once; with `repeat`, files shorter than it are repeated up to it."""
        key = (how.name, length, crop_seeds, repeat)
        if key not in self._cuts:
            self._cuts[key] = how.cut(self.data.corpus, self.data.store, length, crop_seeds, repeat=repeat)
        return self._cuts[key]

    def crops(
        self, settings: TestSettings, protocols: Sequence[str] | None = None, *, repeat: bool = False
    ) -> list[Crop]:
        """Every crop that the protocols (the settings' own by default) need, of utterances that occur in a trial."""
        used = self.used()
        sides = [
            side
            for name in (settings.protocols if protocols is None else protocols)
            for length in (*settings.names(), FULL)
            for cut in self.cuts(protocol[name], length, settings.crop_seeds, repeat=repeat)
            for side in (cut.enrol, cut.test)
        ]
        return sorted({side[position] for side in sides for position in used})

    def short(self, lengths: Sequence[str]) -> dict[str, np.ndarray]:
        """For each length that crops: which utterances are shorter than it."""
        return {length: self.data.store.lengths < length_samples(length) for length in lengths if length != FULL}
