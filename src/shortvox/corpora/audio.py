"""Recordings of any rate and channel count, read as 16 kHz mono float32, whole or a piece of them by seeking.

libsndfile reads WAV, FLAC, Ogg (Vorbis, Opus), MP3, AIFF, CAF, AU, W64, after `containers` has looked whether all is
there; `media.py` (PyAV, the optional extra `[media]`) reads the rest: m4a, webm, raw G.722 and GSM. A reader gives all
the speech that a file holds, or an AudioFault that names what is wrong.

Resampling is soxr HQ. A piece of a resampled file starts on a whole period of both clocks and carries a margin, so that
it equals that piece of the whole file resampled. Samples keep their values, beyond full scale too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np
import soxr

from shortvox.corpora.faults import AudioFault
from shortvox.corpora.source import Source, open_source

SAMPLE_RATE = 16000
# Seconds. A manifest's duration is text that was rounded, or measured before a codec padded the last frame.
OVERSHOOT = 0.1
ROUNDING = 0.02
# soxr HQ looks about 20 ms around a sample at 8 kHz; twice that leaves nothing of the cut to hear.
_MARGIN = 0.05
# Decoders overshoot a little and mixes by a few times; a peak of hundreds is another scale, which a VAD's threshold or
# an SNR would not know.
LOUDEST = 32.0
ANY_LEVEL = 2.0**31
QUIETEST = 0.5 / 32768  # what 16 bits round to zero
# Channels cancel where their mean has this share of the power that channels without anything in common would leave.
_CANCELLED = 0.02
_UNHEARD = 1e-6  # power of the channels (-60 dB) under which nothing is said of cancelling
_BLOCK = 1 << 22  # samples of all channels that are decoded at once


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """`frames` at 16 kHz; `rate`, `channels` and `source_frames` as stored."""

    frames: int
    rate: int
    channels: int
    source_frames: int

    @property
    def seconds(self) -> float:
        return self.source_frames / self.rate


def probe(path: Path) -> AudioInfo:
    """Length, rate and channels, as reading finds them; compressed files are walked to their end, decoded only where
    nothing else tells the length.

    Raises AudioError for a missing, unreadable, truncated or empty file.
    """
    with open_source(Path(path)) as source:
        return _info(source)


def read_audio(
    path: Path,
    *,
    start: float = 0.0,
    duration: float | None = None,
    channel: int | None = None,
    loudest: float = LOUDEST,
) -> np.ndarray:
    """(samples,) float32, mono, 16 kHz; `start` and `duration` in seconds.

    Without `duration`, up to the end. Without a `channel` (counted from 0), the mean of all. Raises AudioError for a
    file that is missing, corrupt, empty, truncated (also: shorter than start + duration by more than 0.1 s), that holds
    several recordings, NaN or infinite samples, or samples beyond `loudest` times full scale, whose channels cancel, or
    that is, read whole, silent.
    """
    path = Path(path)
    first = round(start * SAMPLE_RATE)
    last = segment_end(path, probe(path).frames, first, duration)
    samples = np.concatenate([*read_blocks(path, first, last - first, channel, loudest=loudest)])
    if first == 0 and duration is None and is_silent(samples):
        raise AudioFault(path, "silent", "every sample is zero in 16 bits")
    return samples


def read_samples(path: Path, first: int, count: int, channel: int | None = None) -> np.ndarray:
    """(count,) float32: samples [first, first + count) of the recording at 16 kHz; silence is allowed.

    Raises AudioError as `read_audio` does.
    """
    return np.concatenate([*read_blocks(path, first, count, channel)])


def read_blocks(
    path: Path, first: int, count: int, channel: int | None = None, *, loudest: float = LOUDEST
) -> Iterator[np.ndarray]:
    """What `read_samples` gives, in pieces of a bounded size: for recordings of hours."""
    with open_source(path) as source:
        frames = _info(source).frames
        if first < 0 or first + count > frames:
            raise AudioFault(
                path, "truncated", f"samples {first} to {first + count} were expected, it ends at {frames}"
            )
        refuse_channel(path, source.channels, channel)
        mono = _Mono(path, source, channel, loudest)
        step = max(_BLOCK // source.channels * SAMPLE_RATE // source.rate, SAMPLE_RATE)
        for start in range(first, first + count, step):
            yield _read(mono, start, min(start + step, first + count))
        mono.refuse_cancelled()


def is_silent(samples: np.ndarray) -> bool:
    """Nothing is left of (samples,) in 16 bits."""
    return bool(max(samples.max(), -samples.min()) <= QUIETEST)


def refuse_channel(path: Path, channels: int, channel: int | None) -> None:
    """Raises AudioFault for a channel that the recording does not have."""
    if channel is not None and channel >= channels:
        raise AudioFault(path, "no such channel", f"channel {channel} of {channels}, counted from 0")


def segment_end(path: Path, frames: int, first: int, duration: float | None) -> int:
    """Sample (16 kHz) where an utterance of `duration` seconds from `first` ends, in a file of `frames`.

    Raises AudioError when the file ends more than 0.1 s earlier; within 20 ms of the end, the end is meant.
    """
    rest = frames - first
    wanted = rest if duration is None else round(duration * SAMPLE_RATE)
    if rest <= 0 or wanted > rest + OVERSHOOT * SAMPLE_RATE:
        raise AudioFault(
            path,
            "truncated",
            f"speech from {first / SAMPLE_RATE:g} s to "
            f"{(first + max(wanted, 0)) / SAMPLE_RATE:g} s was expected, "
            f"it ends at {frames / SAMPLE_RATE:g} s",
        )
    return frames if wanted > rest - ROUNDING * SAMPLE_RATE else first + max(wanted, 1)


def resampled_length(frames: int, rate: int) -> int:
    """Samples at 16 kHz of `frames` samples at `rate`; at least one, so that nothing vanishes."""
    return max((frames * SAMPLE_RATE + rate // 2) // rate, 1) if frames else 0


def _info(source: Source) -> AudioInfo:
    frames = resampled_length(source.frames, source.rate)
    return AudioInfo(frames, source.rate, source.channels, source.frames)


def _read(mono: _Mono, first: int, last: int) -> np.ndarray:
    """Samples [first, last) at 16 kHz."""
    rate = mono.source.rate
    if rate == SAMPLE_RATE:
        return mono.read(first, last - first)
    common = gcd(rate, SAMPLE_RATE)
    down, up = rate // common, SAMPLE_RATE // common  # `down` stored samples last as long as `up` here
    margin = round(_MARGIN * SAMPLE_RATE) + 1
    block = max((first - margin) // up, 0)
    end = min(-((last + margin) // -up) * down, mono.source.frames)
    stored = mono.read(block * down, end - block * down)
    resampled = soxr.resample(stored, rate, SAMPLE_RATE, quality="HQ")
    piece = np.zeros(last - first, np.float32)
    found = resampled[first - block * up : last - block * up]
    piece[: len(found)] = found  # soxr may give one sample fewer at the very end
    return piece


class _Mono:
    """One channel of a source, or the mean of all, with the faults that only samples show."""

    def __init__(self, path: Path, source: Source, channel: int | None, loudest: float) -> None:
        self.source = source
        self._path, self._channel, self._loudest = path, channel, loudest
        self._count, self._power, self._left = 0, 0.0, 0.0  # energy of the channels, of their mean

    def read(self, start: int, count: int) -> np.ndarray:
        """(count,) float32 at the rate of the source."""
        stored = self.source.read(start, count)
        if len(stored) != count:
            raise AudioFault(
                self._path,
                "truncated",
                f"{count} samples were expected from sample {start}, {len(stored)} could be decoded",
            )
        if self._channel is not None:
            stored = stored[:, self._channel : self._channel + 1]
        peak = np.abs(stored).max()
        if not np.isfinite(peak):
            raise AudioFault(self._path, "non-finite", "holds samples that are not finite numbers")
        if peak > self._loudest:
            raise AudioFault(self._path, "beyond full scale", f"its samples reach {peak:g} times full scale")
        if stored.shape[1] == 1:
            return np.ascontiguousarray(stored[:, 0])
        mono = stored.mean(axis=1)
        self._count += count
        self._power += float(np.square(stored, dtype=np.float64).mean(axis=1).sum())
        self._left += float(np.square(mono, dtype=np.float64).sum())
        return mono

    def refuse_cancelled(self) -> None:
        """Raises AudioFault where the channels of what was read have opposite phase: their mean holds no speech."""
        heard = self._power > _UNHEARD * self._count
        if heard and self._left * self.source.channels < _CANCELLED * self._power:
            raise AudioFault(self._path, "channels cancel", "their mean is far weaker than each of them")
