"""What libsndfile cannot read: m4a, webm, raw G.722 and GSM, decoded by PyAV (optional extra `[media]`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from shortvox.corpora.faults import AudioFault

# Headerless telephone formats: FFmpeg must be told the format, and every sample depends on all before it.
RAW_FORMATS = {".g722": "g722", ".gsm": "gsm"}
SUFFIXES = frozenset([*RAW_FORMATS, ".m4a", ".mp4", ".aac", ".webm", ".mka", ".wma", ".amr", ".3gp"])
# A codec's first frames after a seek are not right yet, and a container's length may count the padding of the
# last frame.
_PREROLL = 0.25
_PADDING = 0.1


@contextmanager
def open_media(path: Path) -> Iterator[MediaFile]:
    """Open by FFmpeg. Raises AudioError for what it cannot read, and when PyAV is not installed."""
    try:
        import av
    except ImportError:
        raise AudioFault(path, "needs PyAV", "libsndfile does not read this format") from None
    raw = RAW_FORMATS.get(path.suffix.lower())
    try:
        with av.open(str(path), format=raw) as container:
            if not container.streams.audio:
                raise AudioFault(path, "empty", "holds no audio stream")
            media = MediaFile(container, seekable=raw is None)
            promised = (container.duration or 0) / av.time_base if raw is None else 0.0
            if media.frames < (promised - _PADDING) * media.rate:
                raise AudioFault(path, "truncated", f"ends after {media.frames / media.rate:g} of {promised:g} s")
            yield media
    except av.error.FFmpegError as error:
        reason = error.strerror or str(error)
        raise AudioFault(path, "corrupt", reason) from None


class MediaFile:
    """An open audio stream: `rate`, `channels`, `frames` and reading by position."""

    def __init__(self, container: Any, *, seekable: bool) -> None:
        self._container = container
        self._stream = container.streams.audio[0]
        self.rate: int = self._stream.codec_context.sample_rate
        self.channels: int = self._stream.codec_context.channels
        self._whole: np.ndarray | None = None
        declared = self._stream.duration if seekable else None
        if declared:
            self.frames = round(declared * self._stream.time_base * self.rate)
        else:
            self._whole = self._decode(0, None)
            self.frames = len(self._whole)

    def read(self, start: int, count: int) -> np.ndarray:
        """(count, channels) float32; fewer where the stream ends early."""
        if self._whole is not None:
            return self._whole[start : start + count]
        found = self._decode(start, count)
        missing = count - len(found)
        if 0 < missing <= _PADDING * self.rate and start + count >= self.frames - 1:
            return np.pad(found, ((0, missing), (0, 0)))
        return found

    def _decode(self, start: int, count: int | None) -> np.ndarray:
        import av

        base = self._stream.time_base
        origin = self._stream.start_time or 0
        if start:
            target = origin + round(max(start / self.rate - _PREROLL, 0) / base)
            self._container.seek(target, stream=self._stream, backward=True)
        planar = av.AudioResampler(format="fltp")
        pieces: list[np.ndarray] = []
        have = 0
        for frame in self._container.decode(self._stream):
            at = 0 if frame.pts is None else round((frame.pts - origin) * base * self.rate)
            for part in planar.resample(frame):
                samples = part.to_ndarray().T
                if start and not pieces:
                    samples = samples[max(start - at, 0) :]
                if len(samples):
                    pieces.append(samples)
                    have += len(samples)
            if count is not None and have >= count:
                break
        joined = np.concatenate(pieces) if pieces else np.zeros((0, self.channels), np.float32)
        return joined[:count]
