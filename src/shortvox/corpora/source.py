"""An open recording of any format that is read: its rate, channels and length, and samples by position."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile

from shortvox.corpora import media
from shortvox.corpora.containers import inspect
from shortvox.corpora.containers.view import View, ViewFile
from shortvox.corpora.faults import AudioFault
from shortvox.corpora.forward import Forward
from shortvox.quiet import quiet_libraries

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
# Seconds decoded and dropped before a piece. MP3 frames borrow bits from earlier ones; libsndfile places the
# samples of the last Vorbis page a few ms late when it seeks straight into it. Opus has its own pre-roll.
_PREROLL = {"MPEG_LAYER_I": 0.25, "MPEG_LAYER_II": 0.25, "MPEG_LAYER_III": 0.25, "VORBIS": 2.0}
RATES = (1000, 1_000_000)  # Hz; what lies outside is a damaged header


class Source(Protocol):
    """An open recording, read in its own rate and channels."""

    rate: int
    channels: int
    frames: int

    def read(self, start: int, count: int) -> np.ndarray:
        """(count, channels) float32, or fewer rows where the recording ends early."""
        ...


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a recording. Raises AudioError for one that is missing, empty, cut, damaged or of no known format."""
    _refuse_no_file(path)
    opened = media.open_media if path.suffix.lower() in media.SUFFIXES else _open_sndfile
    with opened(path) as source:
        if not RATES[0] <= source.rate <= RATES[1]:
            raise AudioFault(path, "corrupt", f"its header says {source.rate} samples a second")
        if source.frames <= 0:
            raise AudioFault(path, "empty", "no samples")
        yield source


def _refuse_no_file(path: Path) -> None:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # also a name that no file can have
        raise AudioFault(path, "missing", getattr(error, "strerror", None) or str(error)) from None
    if not stat.S_ISREG(status.st_mode):
        raise AudioFault(path, "missing", "is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file")
    if status.st_size == 0:
        raise AudioFault(path, "empty", "0 bytes")


class _Sndfile:
    def __init__(self, handle: soundfile.SoundFile, frames: int | None) -> None:
        self._handle = handle
        self.rate: int = handle.samplerate
        self.channels: int = handle.channels
        self.frames: int = handle.frames if frames is None else frames
        self._preroll = round(_PREROLL.get(handle.subtype, 0.0) * self.rate)
        self._is_mpeg = handle.subtype.startswith("MPEG")

    def read(self, start: int, count: int) -> np.ndarray:
        # One read call: soundfile seeks after each, which would throw the decoder's state away again.
        before = min(self._preroll, start)
        with quiet_libraries() if self._is_mpeg else nullcontext():
            self._handle.seek(start - before)
            return self._handle.read(before + count, dtype="float32", always_2d=True)[before:]


class _Unseekable:
    """GSM 6.10 in WAV, as telephone recorders write it, and a few others."""

    def __init__(self, path: Path, view: View, handle: soundfile.SoundFile) -> None:
        self.rate: int = handle.samplerate
        self.channels: int = handle.channels
        self.frames: int = handle.frames
        self.read = Forward(lambda: _pieces(path, view), self.channels).read


def _pieces(path: Path, view: View) -> Iterator[np.ndarray]:
    with view.shown(path) as shown, _sound_file(shown) as handle:
        while len(piece := handle.read(1 << 16, dtype="float32", always_2d=True)):
            yield piece


def _sound_file(shown: ViewFile | str | bytes) -> soundfile.SoundFile:
    with quiet_libraries():
        return soundfile.SoundFile(shown)


@contextmanager
def _open_sndfile(path: Path) -> Iterator[Source]:
    try:
        view = inspect(path)
        with view.shown(path) as shown, _sound_file(shown) as handle:
            if handle.frames < view.least:
                raise AudioFault(path, "corrupt", f"only {handle.frames} of its {view.least} samples can be decoded")
            yield _Sndfile(handle, view.frames) if handle.seekable() else _Unseekable(path, view, handle)
    except soundfile.LibsndfileError as error:
        reason = (error.error_string or "damaged, or not what its name says").strip().rstrip(".")
        raise AudioFault(path, "corrupt", reason) from None
    except OSError as error:
        raise AudioFault(path, "corrupt", error.strerror or str(error)) from None
