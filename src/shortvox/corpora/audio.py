"""Recordings of any rate and channel count, read as 16 kHz mono float32, whole or a piece of them by seeking.

libsndfile reads WAV, FLAC, Ogg (Vorbis, Opus), MP3, AIFF, CAF, AU, W64; `media.py` (PyAV, the optional extra
`[media]`) reads the rest: m4a, webm, raw G.722 and GSM. Resampling is soxr HQ. A piece of a resampled file
starts on a whole period of both clocks and carries a margin, so that it equals that piece of the whole file
resampled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile
import soxr

from shortvox.corpora import media
from shortvox.corpora.faults import AudioFault

SAMPLE_RATE = 16000
SNDFILE_SUFFIXES = frozenset(
    [
        ".wav",
        ".wave",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".aif",
        ".aiff",
        ".aifc",
        ".au",
        ".snd",
        ".caf",
        ".w64",
        ".rf64",
        ".sph",
        ".nist",
    ]
)
AUDIO_SUFFIXES = SNDFILE_SUFFIXES | media.SUFFIXES
# Seconds. A manifest's duration is text that was rounded, or measured before a codec padded the last frame.
OVERSHOOT = 0.1
ROUNDING = 0.02
# soxr HQ looks about 20 ms around a sample at 8 kHz; twice that leaves nothing of the cut to hear.
_MARGIN = 0.05
# Seconds decoded and dropped before a piece. MP3 frames borrow bits from earlier ones; libsndfile places the
# samples of the last Vorbis page a few ms late when it seeks straight into it. Opus has its own pre-roll.
_PREROLL = {"MPEG_LAYER_I": 0.25, "MPEG_LAYER_II": 0.25, "MPEG_LAYER_III": 0.25, "VORBIS": 2.0}
# libsndfile's log of a file whose header promises more bytes than follow: "data : 64000 (should be 31978)".
_PROMISED = re.compile(r"^\s*(?:data|riff|SSND|Data Size)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_UNKNOWN_SIZE = 0x7FFF0000  # writers of streams put the largest number there
_OGG_PAGE = 27 + 255 + 255 * 255  # header, segment table, body: the longest page


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


class Source(Protocol):
    """An open recording, read in its own rate and channels."""

    rate: int
    channels: int
    frames: int

    def read(self, start: int, count: int) -> np.ndarray:
        """(count, channels) float32, or fewer rows where the recording ends early."""
        ...


def probe(path: Path) -> AudioInfo:
    """Length, rate and channels from the file's header; nothing is decoded where the format tells.

    Raises AudioError for a missing, unreadable, truncated or empty file.
    """
    with _open(Path(path)) as source:
        return _info(source)


def read_audio(path: Path, *, start: float = 0.0, duration: float | None = None) -> np.ndarray:
    """(samples,) float32 in [-1, 1], mono (mean of the channels), 16 kHz; `start` and `duration` in seconds.

    Without `duration`, up to the end. Raises AudioError for a file that is missing, corrupt, empty, truncated
    (also: shorter than start + duration by more than 0.1 s), holds NaN or infinite samples, or, read whole,
    is all zeros.
    """
    path = Path(path)
    first = round(start * SAMPLE_RATE)
    with _open(path) as source:
        last = segment_end(path, _info(source).frames, first, duration)
        samples = _read(path, source, first, last)
    if first == 0 and duration is None and not samples.any():
        raise AudioFault(path, "silent", "every sample is zero")
    return samples


def read_samples(path: Path, first: int, count: int) -> np.ndarray:
    """(count,) float32: samples [first, first + count) of the recording at 16 kHz; silence is allowed.

    Raises AudioError as `read_audio` does.
    """
    with _open(path) as source:
        frames = _info(source).frames
        if first < 0 or first + count > frames:
            raise AudioFault(
                path, "truncated", f"samples {first} to {first + count} were expected, it ends at {frames}"
            )
        return _read(path, source, first, first + count)


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


@contextmanager
def _open(path: Path) -> Iterator[Source]:
    try:
        found = path.is_file()
    except OSError as error:  # a name that no file can have
        raise AudioFault(path, "missing", error.strerror or "no such file") from None
    if not found:
        raise AudioFault(path, "missing", "no such file")
    if path.stat().st_size == 0:
        raise AudioFault(path, "empty", "0 bytes")
    opened = _open_sndfile if path.suffix.lower() in SNDFILE_SUFFIXES else media.open_media
    with opened(path) as source:
        if source.frames <= 0:
            raise AudioFault(path, "empty", "no samples")
        yield source


class _Sndfile:
    def __init__(self, handle: soundfile.SoundFile) -> None:
        self._handle = handle
        self.rate: int = handle.samplerate
        self.channels: int = handle.channels
        self.frames: int = handle.frames
        self._preroll = round(_PREROLL.get(handle.subtype, 0.0) * self.rate)

    def read(self, start: int, count: int) -> np.ndarray:
        # One read call: soundfile seeks after each, which would throw the decoder's state away again.
        before = min(self._preroll, start)
        self._handle.seek(start - before)
        return self._handle.read(before + count, dtype="float32", always_2d=True)[before:]


@contextmanager
def _open_sndfile(path: Path) -> Iterator[Source]:
    try:
        with soundfile.SoundFile(str(path)) as handle:
            promised = _PROMISED.search(handle.extra_info)
            if promised and int(promised[2]) + 1 < int(promised[1]) < _UNKNOWN_SIZE:
                raise AudioFault(
                    path, "truncated", f"the header promises {promised[1]} bytes of audio, {promised[2]} are there"
                )
            if handle.format == "OGG" and _ogg_is_cut(path):
                raise AudioFault(path, "truncated", "the last Ogg page is incomplete")
            yield _Sndfile(handle)
    except soundfile.LibsndfileError as error:
        reason = (error.error_string or "damaged, or not what its name says").strip().rstrip(".")
        raise AudioFault(path, "corrupt", reason) from None
    except OSError as error:
        raise AudioFault(path, "corrupt", error.strerror or str(error)) from None


def _ogg_is_cut(path: Path) -> bool:
    """libsndfile drops an incomplete last page without a word, and shortens the file by it."""
    with path.open("rb") as handle:
        handle.seek(max(path.stat().st_size - _OGG_PAGE, 0))
        tail = handle.read()
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return True
    table = page[27 : 27 + page[26]]
    return len(page) < 27 + len(table) + sum(table)


def _info(source: Source) -> AudioInfo:
    frames = resampled_length(source.frames, source.rate)
    return AudioInfo(frames, source.rate, source.channels, source.frames)


def _read(path: Path, source: Source, first: int, last: int) -> np.ndarray:
    """Samples [first, last) at 16 kHz, mono."""
    if source.rate == SAMPLE_RATE:
        return _mono(path, source, first, last - first)
    common = gcd(source.rate, SAMPLE_RATE)
    down, up = source.rate // common, SAMPLE_RATE // common  # `down` stored samples last as long as `up` here
    margin = round(_MARGIN * SAMPLE_RATE) + 1
    block = max((first - margin) // up, 0)
    end = min(-((last + margin) // -up) * down, source.frames)
    stored = _mono(path, source, block * down, end - block * down)
    resampled = soxr.resample(stored, source.rate, SAMPLE_RATE, quality="HQ")
    piece = np.zeros(last - first, np.float32)
    found = resampled[first - block * up : last - block * up]
    piece[: len(found)] = found  # soxr may give one sample fewer at the very end
    return np.clip(piece, -1, 1, out=piece)


def _mono(path: Path, source: Source, start: int, count: int) -> np.ndarray:
    stored = source.read(start, count)
    if len(stored) != count:
        raise AudioFault(
            path, "truncated", f"{count} samples were expected from sample {start}, {len(stored)} could be decoded"
        )
    mono = stored[:, 0] if stored.shape[1] == 1 else stored.mean(axis=1)
    if not np.isfinite(mono).all():
        raise AudioFault(path, "non-finite", "holds NaN or infinite samples")
    return np.ascontiguousarray(np.clip(mono, -1, 1))
