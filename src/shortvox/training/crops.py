"""How long a piece of speech a training step hears."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.errors import ConfigError
from shortvox.frontend.filterbank import HOP

LONGEST = 3600.0  # seconds


class CropPolicy(Protocol):
    """`shortest` and `longest` are in seconds."""

    @property
    def shortest(self) -> float: ...

    @property
    def longest(self) -> float: ...

    def samples(self, rng: np.random.Generator) -> int | None:
        """Length of every crop of a batch, in samples; None takes whole utterances."""


@dataclass(frozen=True)
class FixedCrop:
    seconds: float

    @property
    def shortest(self) -> float:
        return self.seconds

    longest = shortest

    def samples(self, rng: np.random.Generator) -> int:
        return round(self.seconds * SAMPLE_RATE)


@dataclass(frozen=True)
class RandomCrop:
    """One length per batch between two, in whole frames: all lengths alike, or all doublings of one (`log`)."""

    shortest: float
    longest: float
    log: bool = False

    def samples(self, rng: np.random.Generator) -> int:
        first, last = (round(seconds * SAMPLE_RATE / HOP) for seconds in (self.shortest, self.longest))
        if self.log:
            return min(last, int(first * ((last + 1) / first) ** rng.random())) * HOP
        return int(rng.integers(first, last, endpoint=True)) * HOP


@dataclass(frozen=True)
class FullUtterance:
    shortest = 0.0
    longest = math.inf

    def samples(self, rng: np.random.Generator) -> None:
        return None


def parse_crop(text: str) -> CropPolicy:
    """'2s', '200f' (frames of 10 ms), '1-2s', '200-400f', '1-2s log' or 'full'; raises ConfigError for others."""
    if text == "full":
        return FullUtterance()
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?([sf])( log)?", text)
    if not match:
        raise ConfigError(f"crop: '{text}' is none of '2s', '200f', '1-2s', '200-400f', '1-2s log', 'full'")
    unit = 1.0 if match[3] == "s" else HOP / SAMPLE_RATE
    first = float(match[1]) * unit
    last = float(match[2]) * unit if match[2] else first
    if not HOP / SAMPLE_RATE <= first <= last <= LONGEST:
        raise ConfigError(
            f"crop: '{text}' must run from at least one frame (0.01 s) up to something no shorter, and "
            f"at most {LONGEST:g} s"
        )
    if first == last and match[4]:
        raise ConfigError(f"crop: '{text}' has one length, of which none is drawn; leave out 'log' or give a range")
    return FixedCrop(first) if first == last else RandomCrop(first, last, log=bool(match[4]))
