"""Test protocols: which piece of each utterance the two sides of a trial hear."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.corpus import Corpus
from shortvox.corpora.crop import Crop, centre, whole
from shortvox.corpora.store import AudioStore
from shortvox.errors import ConfigError
from shortvox.frontend.filterbank import HOP
from shortvox.registry import Registry

FULL = "full"


@dataclass(frozen=True)
class SideCrops:
    """Crops by corpus position for the enrolment and the test side; one pair for each crop seed."""

    enrol: tuple[Crop, ...]
    test: tuple[Crop, ...]


class Protocol:
    """Cuts a corpus to a length, once for each crop seed."""

    name: str
    both_cropped: bool

    def cut(
        self, corpus: Corpus, store: AudioStore, length: str, crop_seeds: int, *, repeat: bool = False
    ) -> list[SideCrops]:
        """With `repeat`, the crop of a file shorter than the length is longer than the file: see `RepeatingStore`."""
        raise NotImplementedError


protocol: Registry[Protocol] = Registry("protocol")


class FullShort(Protocol):
    """P-A: the enrolment side whole, the test side its centre."""

    name = "full-short"
    both_cropped = False

    def cut(
        self, corpus: Corpus, store: AudioStore, length: str, crop_seeds: int, *, repeat: bool = False
    ) -> list[SideCrops]:
        full = _whole(corpus, store)
        if length == FULL:
            return [SideCrops(full, full)]
        samples = length_samples(length)
        crops = [centre(store, position, samples) for position in range(len(corpus))]
        return [SideCrops(full, repeated(crops, samples) if repeat else tuple(crops))]


class ShortShort(Protocol):
    """P-B: both sides cut at random, once per crop seed; the place depends on seed and utterance id only."""

    name = "short-short"
    both_cropped = True

    def cut(
        self, corpus: Corpus, store: AudioStore, length: str, crop_seeds: int, *, repeat: bool = False
    ) -> list[SideCrops]:
        if length == FULL:
            full = _whole(corpus, store)
            return [SideCrops(full, full)]
        samples = length_samples(length)
        cuts = []
        for seed in range(crop_seeds):
            drawn = [
                _random(store, position, samples, seed, utterance.id)
                for position, utterance in enumerate(corpus.utterances)
            ]
            crops = repeated(drawn, samples) if repeat else tuple(drawn)
            cuts.append(SideCrops(crops, crops))
        return cuts


protocol("full-short")(FullShort())
protocol("short-short")(ShortShort())


def parse_lengths(text: str | Sequence[str | float]) -> tuple[str, ...]:
    """'full,5,1.5' -> ('full', '5', '1.5'); raises ConfigError for anything that is no length of a frame or more."""
    parts = text.split(",") if isinstance(text, str) else [str(part) for part in text]
    lengths: list[str] = []
    for part in (part.strip() for part in parts):
        if part == FULL:
            lengths.append(FULL)
            continue
        try:
            seconds = float(part.removesuffix("s"))
        except ValueError:
            raise ConfigError(f"lengths: '{part}' is neither 'full' nor a number of seconds") from None
        if not HOP / SAMPLE_RATE <= seconds < 3600:
            raise ConfigError(f"lengths: {part} s is not between one frame (0.01 s) and an hour")
        lengths.append(f"{seconds:g}")
    if not lengths:
        raise ConfigError("lengths: none given; for example full,5,3,2,1.5,1")
    return tuple(dict.fromkeys(lengths))


def length_samples(length: str) -> int:
    return round(float(length) * SAMPLE_RATE)


def _whole(corpus: Corpus, store: AudioStore) -> tuple[Crop, ...]:
    return tuple(whole(store, position) for position in range(len(corpus)))


def repeated(crops: Sequence[Crop], samples: int) -> tuple[Crop, ...]:
    """The same crops; of a file that is shorter than `samples`, as many samples, round and round."""
    return tuple(crop._replace(samples=samples) for crop in crops)


def _random(store: AudioStore, position: int, samples: int, seed: int, name: str) -> Crop:
    available = int(store.lengths[position])
    if available <= samples:
        return whole(store, position)
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    start = int(np.random.default_rng((seed, key)).integers(available - samples + 1))
    return Crop(position, start, samples)
