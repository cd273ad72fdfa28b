"""Segment aggregation ("segging") and short views: pieces cut from every crop of a batch.

All pieces that cover the crop are heard by segment aggregation, one at a random place by teacher-student training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shortvox.errors import ConfigError
from shortvox.frontend.filterbank import HOP
from shortvox.models.segments import segment_starts
from shortvox.training.branches import SegmentSettings
from shortvox.training.crops import parse_crop


@dataclass(frozen=True)
class Cut:
    """How every crop of one batch is cut: `frames` per segment, and where segments may start."""

    frames: int
    covering: tuple[int, ...] | None  # starts in frames, the same for every crop; None: one, at random
    latest: int  # the last frame where a segment can start

    @property
    def count(self) -> int:
        return 1 if self.covering is None else len(self.covering)

    def starts(self, rng: np.random.Generator) -> np.ndarray:
        """(count,) int64 frames."""
        if self.covering is None:
            return np.array([rng.integers(self.latest, endpoint=True)])
        return np.array(self.covering)

    def pieces(self, waveform: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """(samples,) -> (count, samples of a segment)."""
        samples = self.frames * HOP
        return np.stack([waveform[start * HOP : start * HOP + samples] for start in starts])


class Segmenter:
    def __init__(self, settings: SegmentSettings) -> None:
        self.settings = settings
        self.length = parse_crop(settings.length)

    def cut(self, crop: int | None, rng: np.random.Generator) -> Cut:
        """For crops of `crop` samples; a segment drawn longer than the crop is the crop."""
        drawn = self.length.samples(rng)
        if crop is None or drawn is None:
            raise ConfigError("segments: need crops of one length in a batch; set crop to a length such as 4s")
        total = crop // HOP
        frames = min(drawn // HOP, total)
        covering = segment_starts(total, frames, self.settings.overlap) if self.settings.pick == "all" else None
        return Cut(frames, covering, total - frames)
