"""Where the speech of a recording is, whole or as it comes. "Seconds" of a decision are seconds of it.

A detector decides frame by frame. Here pauses within words are bridged, clicks dropped and ends padded, in one pass
that looks ahead by a bounded time only: a stream gives, sample by sample, what the whole recording gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from shortvox.corpora.audio import LOUDEST, SAMPLE_RATE
from shortvox.errors import AudioError
from shortvox.verification.detectors import DETECTOR, detector

# Samples. A gap that two paddings would fill is no gap, so that padded segments never overlap.
PADDING = round(0.03 * SAMPLE_RATE)
BRIDGED = round(0.1 * SAMPLE_RATE)  # gaps up to here are within speech: closures of stops, breaths are longer
SHORTEST = round(0.06 * SAMPLE_RATE)  # less is a click


@dataclass(frozen=True, eq=False)
class Speech:
    """What was found in one recording.

    waveform: (samples,) float32 at 16 kHz, as heard. segments: [start, stop) of speech in samples, a little padded, in
    order, not overlapping.
    """

    waveform: np.ndarray
    segments: tuple[tuple[int, int], ...]

    @cached_property
    def net(self) -> np.ndarray:
        """The speech alone, joined: (samples,) float32."""
        return np.concatenate([self.waveform[:0], *(self.waveform[start:stop] for start, stop in self.segments)])

    @property
    def seconds(self) -> float:
        """Of net speech."""
        return sum(stop - start for start, stop in self.segments) / SAMPLE_RATE


def find_speech(waveform: np.ndarray, name: str = DETECTOR) -> Speech:
    """The speech of (samples,) float32 in ±1 at 16 kHz; of nothing, none.

    Raises ConfigError for an unknown detector and AudioError for an array that is no such waveform.
    """
    waveform = sound_waveform(waveform)
    found = detector[name]
    gatherer = _Gatherer(found.hop)
    segments: list[tuple[int, int]] = []
    for start, stop in (*gatherer.push(found(waveform)), *gatherer.close()):
        if segments and segments[-1][1] == start:
            start, _ = segments.pop()
        segments.append((start, stop))
    return Speech(waveform, tuple((start, min(stop, len(waveform))) for start, stop in segments))


class SpeechStream:
    """The speech of one recording as it comes, in blocks of any size; work and memory for each are bounded.

    What `push` and `finish` give, joined, is `find_speech(whole).net`. A sample is given at most
    `SHORTEST + hop` samples after it was heard while somebody speaks, and `BRIDGED + hop` where they pause.
    """

    def __init__(self, name: str = DETECTOR) -> None:
        """Raises ConfigError for an unknown detector, or one that needs the whole recording."""
        found = detector[name]
        self._listener = found.listener()
        self._gatherer = _Gatherer(found.hop)
        self._kept = np.zeros(0, np.float32)  # heard, and perhaps still to be given
        self._kept_from = 0
        self._given = 0

    @property
    def heard(self) -> float:
        """Seconds heard."""
        return (self._kept_from + len(self._kept)) / SAMPLE_RATE

    @property
    def seconds(self) -> float:
        """Seconds of net speech given."""
        return self._given / SAMPLE_RATE

    def push(self, block: np.ndarray) -> tuple[np.ndarray, ...]:
        """(samples,) float32, any number of them -> pieces of newly confirmed speech, in order.

        Raises AudioError for an array that is no waveform; the stream stays as it was.
        """
        block = sound_waveform(block)
        self._kept = np.concatenate([self._kept, block])
        given = self._cut(self._gatherer.push(self._listener.push(block)))
        keep_from = max(self._gatherer.needed_from, self._kept_from)
        self._kept, self._kept_from = self._kept[keep_from - self._kept_from :], keep_from
        return given

    def finish(self) -> tuple[np.ndarray, ...]:
        """The speech that was still in doubt when the recording ended."""
        return self._cut([*self._gatherer.push(self._listener.finish()), *self._gatherer.close()])

    def _cut(self, pieces: list[tuple[int, int]]) -> tuple[np.ndarray, ...]:
        cut = tuple(self._kept[start - self._kept_from : stop - self._kept_from] for start, stop in pieces)
        self._given += sum(map(len, cut))
        return tuple(piece for piece in cut if len(piece))


class _Gatherer:
    """Decisions about frames -> pieces [start, stop) of speech, in order; pieces that touch are one segment."""

    def __init__(self, hop: int) -> None:
        self._hop = hop
        self._now = 0  # end of the last frame decided on
        self._start = 0  # of the segment that is open, where its first frame of speech begins
        self._last = 0  # end of its last frame of speech
        self._spoken = 0  # samples of its frames of speech; zero where none is open
        self._given = 0  # end of what was given

    @property
    def needed_from(self) -> int:
        """The first sample that may still be given."""
        return max((self._start if self._spoken else self._now) - PADDING, self._given)

    def push(self, decisions: np.ndarray) -> list[tuple[int, int]]:
        """bool (frames,) -> what they confirm; nothing beyond their end."""
        pieces: list[tuple[int, int]] = []
        for speech in decisions:
            if speech:
                self._start = self._start if self._spoken else self._now
                self._spoken += self._hop
                self._last = self._now + self._hop
            self._now += self._hop
            if self._spoken and self._now - self._last > BRIDGED:
                pieces += self.close()
        if self._spoken:
            pieces += self._give(self._last)
        return pieces

    def close(self) -> list[tuple[int, int]]:
        """What is left of the segment that is open, with its padding; the recording may end before."""
        pieces = self._give(self._last + PADDING) if self._spoken else []
        self._spoken = 0
        return pieces

    def _give(self, stop: int) -> list[tuple[int, int]]:
        start = self.needed_from
        if self._spoken < SHORTEST or stop <= start:
            return []
        self._given = stop
        return [(start, stop)]


def sound_waveform(waveform: np.ndarray) -> np.ndarray:
    """(samples,) float32, the given samples; raises AudioError for an array that is no waveform in ±1."""
    waveform = np.asarray(waveform)
    if waveform.ndim != 1:
        raise AudioError(f"a waveform of shape {waveform.shape}: expected (samples,), one channel")
    if waveform.dtype.kind != "f":
        raise AudioError(f"samples of type {waveform.dtype}: expected floats within ±1; divide int16 by 32768")
    peak = np.abs(waveform).max(initial=0)
    if not np.isfinite(peak):
        raise AudioError("a waveform with samples that are not finite numbers; write it again from its source")
    if peak > LOUDEST:
        raise AudioError(f"samples reach {peak:g} times full scale; divide them so that they lie within ±1")
    return waveform.astype(np.float32, copy=False)
