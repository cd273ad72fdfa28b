"""Which utterance the n-th training item is; a pure function of (seed, n), so that a resume needs no state."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np

from shortvox.corpora.corpus import Corpus
from shortvox.errors import ConfigError
from shortvox.registry import Registry
from shortvox.training.domains import domains_of
from shortvox.training.settings import TrainSettings


class Sampler(Protocol):
    """`each` consecutive items belong to one speaker."""

    each: int

    def __init__(self, corpus: Corpus, settings: TrainSettings) -> None: ...

    def __call__(self, item: int) -> int:
        """Utterance position of training item number `item`."""


sampler: Registry[type[Sampler]] = Registry("sampler")


@sampler("utterances")
class UtteranceSampler:
    """Every utterance once per epoch."""

    each = 1

    def __init__(self, corpus: Corpus, settings: TrainSettings) -> None:
        self.utterances = len(corpus)
        self.seed = settings.seed

    def __call__(self, item: int) -> int:
        epoch, place = divmod(item, self.utterances)
        return int(_order(self.seed, epoch, self.utterances)[place])


@sampler("speakers")
class SpeakerSampler:
    """Every speaker once per epoch, whatever the number of their utterances."""

    each = 1

    def __init__(self, corpus: Corpus, settings: TrainSettings) -> None:
        self.speakers = _by_speaker(corpus)
        self.seed = settings.seed

    def __call__(self, item: int) -> int:
        epoch, place = divmod(item, len(self.speakers))
        utterances = self.speakers[_order(self.seed, epoch, len(self.speakers))[place]]
        if len(utterances) == 1:
            return utterances[0]
        return utterances[np.random.default_rng((self.seed, 1, item)).integers(len(utterances))]


@sampler("balanced")
class BalancedSampler:
    """Batches of N speakers with M utterances each, no speaker twice in a batch: for losses that compare utterances.

    An epoch is as many whole batches as there are different speakers for. A speaker with fewer than M utterances gives
    several crops of one.
    """

    def __init__(self, corpus: Corpus, settings: TrainSettings) -> None:
        self.speakers = _by_speaker(corpus)
        self.seed = settings.seed
        self.batch = settings.batch
        self.each = settings.per_speaker
        if len(self.speakers) < self.batch:
            raise ConfigError(
                f"sampler: a balanced batch of {self.batch} speakers cannot be made of the "
                f"{len(self.speakers)} in {corpus.name}; lower batch"
            )

    def _batches(self, epoch: int) -> np.ndarray:
        """Numbers of speakers (batches, batch)."""
        order = _order(self.seed, epoch, len(self.speakers))
        return order[: len(order) // self.batch * self.batch].reshape(-1, self.batch)

    def __call__(self, item: int) -> int:
        turn, member = divmod(item, self.each)
        batch, place = divmod(turn, self.batch)
        epoch, number = divmod(batch, len(self.speakers) // self.batch)
        utterances = self.speakers[self._batches(epoch)[number, place]]
        drawn = np.random.default_rng((self.seed, 1, turn)).permutation(len(utterances))
        return utterances[drawn[member % len(utterances)]]


@sampler("domains")
class DomainSampler(BalancedSampler):
    """Balanced batches from one domain each, so that nothing but the voice tells the speakers of a batch apart.

    What is left of a domain when its batches are full, and domains of fewer speakers than a batch, share batches with
    the next domains by name. A speaker belongs to the domain of the first of their utterances.
    """

    def __init__(self, corpus: Corpus, settings: TrainSettings) -> None:
        super().__init__(corpus, settings)
        domains = domains_of(corpus, settings)
        names = np.array([domains[positions[0]] for positions in self.speakers])
        self.domains = tuple(tuple(np.flatnonzero(names == name).tolist()) for name in sorted(set(names.tolist())))

    def _batches(self, epoch: int) -> np.ndarray:
        return _domain_order(self.seed, epoch, self.domains, self.batch)


def _by_speaker(corpus: Corpus) -> list[tuple[int, ...]]:
    return [tuple(positions) for _, positions in sorted(corpus.by_speaker().items())]


@lru_cache(maxsize=4)  # of the module, so that samplers can be sent to worker processes
def _order(seed: int, epoch: int, groups: int) -> np.ndarray:
    return np.random.default_rng((seed, 0, epoch)).permutation(groups)


@lru_cache(maxsize=4)
def _domain_order(seed: int, epoch: int, domains: tuple[tuple[int, ...], ...], batch: int) -> np.ndarray:
    draws = np.random.default_rng((seed, 0, epoch))
    full, left = [], []
    for speakers in domains:
        order = draws.permutation(speakers)
        whole = len(order) // batch * batch
        full.append(order[:whole])
        left.append(order[whole:])
    order = np.concatenate(full + left)
    return draws.permutation(order[: len(order) // batch * batch].reshape(-1, batch))
