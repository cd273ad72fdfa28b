"""What libsndfile cannot read: m4a, webm, raw G.722 and GSM, decoded by PyAV (optional extra `[media]`)."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shortvox.corpora.containers.matroska import check_matroska
from shortvox.corpora.containers.mp4 import check_mp4
from shortvox.corpora.containers.view import Content
from shortvox.corpora.faults import AudioFault
from shortvox.corpora.forward import Forward
from shortvox.corpora.remembered import remembered

# FFmpeg is told the format: left to guess, it follows a text that it takes for a playlist to other files.
FORMATS = {
    ".m4a": "mov",
    ".mp4": "mov",
    ".3gp": "mov",
    ".aac": "aac",
    ".webm": "matroska",
    ".mka": "matroska",
    ".wma": "asf",
    ".amr": "amr",
    ".g722": "g722",
    ".gsm": "gsm",
}
SUFFIXES = frozenset(FORMATS)
# A codec's first frames after a seek are not right yet, and a container's length may count the padding of the
# last frame.
_PREROLL = 0.25
_PADDING = 0.1
_CHECKS = {"mov": check_mp4, "matroska": check_matroska}
_KNOWN_LENGTH = ("mov", "matroska", "asf")  # FFmpeg guesses the length of the others from their bit rate


@dataclass(frozen=True, slots=True)
class _Measured:
    rate: int
    channels: int
    frames: int
    seekable: bool


@contextmanager
def open_media(path: Path) -> Iterator[MediaFile]:
    """Open by FFmpeg. Raises AudioError for what it cannot read, and when PyAV is not installed."""
    try:
        import av
    except ImportError:
        raise AudioFault(path, "needs PyAV", "libsndfile does not read this format") from None
    try:
        yield MediaFile(path)
    except av.error.FFmpegError as error:
        reason = error.strerror or str(error)
        raise AudioFault(path, "corrupt", reason) from None
    except UnicodeDecodeError:
        raise AudioFault(path, "corrupt", "its metadata are damaged") from None


class MediaFile:
    """An audio stream: `rate`, `channels`, `frames` and reading by position."""

    def __init__(self, path: Path) -> None:
        found = _measure(path)
        self._path = path
        self.rate, self.channels, self.frames = found.rate, found.channels, found.frames
        self._seekable = found.seekable
        self._forward = Forward(lambda: _pieces(path), self.channels)

    def read(self, start: int, count: int) -> np.ndarray:
        """(count, channels) float32; fewer where the stream ends early."""
        # From near the start nothing is sought: FFmpeg would leave out the packet that the codec begins with.
        if self._seekable and start > _PREROLL * self.rate:
            found = self._sought(start, count)
        else:
            found = self._forward.read(start, count)
        missing = count - len(found)
        if 0 < missing <= _PADDING * self.rate and start + count >= self.frames - 1:
            return np.pad(found, ((0, missing), (0, 0)))
        return found

    def _sought(self, start: int, count: int) -> np.ndarray:
        with _stream(self._path) as (container, stream):
            base, origin = stream.time_base, stream.start_time or 0
            target = origin + round((start / self.rate - _PREROLL) / base)
            container.seek(target, stream=stream, backward=True)
            pieces: list[np.ndarray] = []
            have = 0
            for frame in container.decode(stream):
                samples = _samples(frame)
                if not pieces:
                    at = 0 if frame.pts is None else round((frame.pts - origin) * base * self.rate)
                    samples = samples[max(start - at, 0) :]
                if len(samples):
                    pieces.append(samples)
                    have += len(samples)
                if have >= count:
                    break
        return np.concatenate(pieces)[:count] if pieces else np.zeros((0, self.channels), np.float32)


@remembered
def _measure(path: Path) -> _Measured:
    """An MP4 says the length in samples; of the others all is decoded once, and counted."""
    import av

    container_format = FORMATS[path.suffix.lower()]
    if container_format in _CHECKS:
        with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            _CHECKS[container_format](Content(path, mapped))
    with _stream(path) as (container, stream):
        rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
        declared = stream.duration if container_format == "mov" else None
        promised = (container.duration or 0) / av.time_base if container_format in _KNOWN_LENGTH else 0.0
        counted = round(declared * stream.time_base * rate) if declared else None
    frames = sum(len(piece) for piece in _pieces(path)) if counted is None else counted
    if frames < (promised - _PADDING) * rate:
        raise AudioFault(path, "truncated", f"ends after {frames / rate:g} of {promised:g} s")
    return _Measured(rate, channels, frames, counted is not None)


@contextmanager
def _stream(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its only audio stream."""
    import av

    with av.open(str(path), format=FORMATS[path.suffix.lower()]) as container:
        streams = container.streams.audio
        if not streams:
            raise AudioFault(path, "empty", "holds no audio stream")
        if len(streams) > 1:
            raise AudioFault(path, "joined", f"holds {len(streams)} audio streams")
        if streams[0].codec_context is None:
            raise AudioFault(path, "corrupt", "its audio is of no known codec")
        yield container, streams[0]


def _pieces(path: Path) -> Iterator[np.ndarray]:
    """All of the stream from its start, (samples, channels) float32."""
    with _stream(path) as (container, stream):
        for frame in container.decode(stream):
            yield _samples(frame)


def _samples(frame: Any) -> np.ndarray:
    import av

    parts = av.AudioResampler(format="fltp").resample(frame)
    return np.concatenate([np.ascontiguousarray(part.to_ndarray().T) for part in parts])
