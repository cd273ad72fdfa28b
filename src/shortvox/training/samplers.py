"""Which utterance the n-th training item is; a pure function of (seed, n), so that a resume needs no state."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from shortvox.corpora.corpus import Corpus
from shortvox.registry import Registry


class Sampler:
    """Draws without replacement from `groups` (tuples of utterance positions), then one utterance of the group."""

    def __init__(self, groups: list[tuple[int, ...]], seed: int) -> None:
        self.groups = groups
        self.seed = seed

    def __call__(self, item: int) -> int:
        """Utterance position of training item number `item`."""
        epoch, place = divmod(item, len(self.groups))
        group = self.groups[_order(self.seed, epoch, len(self.groups))[place]]
        if len(group) == 1:
            return group[0]
        return group[np.random.default_rng((self.seed, 1, item)).integers(len(group))]


@lru_cache(maxsize=4)  # of the module, so that samplers can be sent to worker processes
def _order(seed: int, epoch: int, groups: int) -> np.ndarray:
    return np.random.default_rng((seed, 0, epoch)).permutation(groups)


sampler: Registry[type[Sampler]] = Registry("sampler")


@sampler("utterances")
class UtteranceSampler(Sampler):
    """Every utterance once per epoch."""

    def __init__(self, corpus: Corpus, seed: int) -> None:
        super().__init__([(position,) for position in range(len(corpus.utterances))], seed)


@sampler("speakers")
class SpeakerSampler(Sampler):
    """Every speaker once per epoch, whatever the number of their utterances."""

    def __init__(self, corpus: Corpus, seed: int) -> None:
        super().__init__([tuple(positions) for _, positions in sorted(corpus.by_speaker().items())], seed)
