"""A recording as users have it: a file, the bytes of one, or samples."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TypeAlias

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE, probe, read_samples
from shortvox.corpora.faults import AudioFault
from shortvox.errors import AudioError
from shortvox.verification.speech import sound_waveform

Recording: TypeAlias = str | Path | bytes | np.ndarray
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a file system that no disk keeps
LONGEST = 300.0  # seconds; who speaks for longer is no short utterance, and is heard all at once


def read_recording(recording: Recording) -> np.ndarray:
    """(samples,) float32 at 16 kHz, silence and all.

    Raises AudioError for what cannot be read whole, and for more than LONGEST seconds. Bytes are told by their content
    alone; readers want a file, which is one in memory where the system has such, and one that nobody else can read.
    """
    if isinstance(recording, bytes):
        with tempfile.NamedTemporaryFile(dir=_MEMORY, prefix="shortvox-", suffix=_suffix(recording)) as file:
            file.write(recording)
            file.flush()
            try:
                return _read(Path(file.name))
            except AudioError as error:
                raise AudioError(str(error).replace(file.name, "recording")) from None
    if isinstance(recording, np.ndarray):
        waveform = sound_waveform(recording)
        _refuse_long(Path("recording"), len(waveform))
        return waveform
    return _read(Path(recording))


def named(recording: Recording, place: int) -> str:
    """How a message names one of several recordings."""
    return str(recording) if isinstance(recording, str | Path) else f"recording {place + 1}"


def _read(path: Path) -> np.ndarray:
    frames = probe(path).frames
    _refuse_long(path, frames)
    return read_samples(path, 0, frames)


def _refuse_long(path: Path, samples: int) -> None:
    if samples > LONGEST * SAMPLE_RATE:
        seconds = samples / SAMPLE_RATE
        raise AudioFault(path, "too long", f"{seconds:.0f} s; a recording may have {LONGEST:g} s")


_MAGIC = (
    (b"RIFF", ".wav"),
    (b"fLaC", ".flac"),
    (b"OggS", ".ogg"),
    (b"ID3", ".mp3"),
    (b"\xff\xfb", ".mp3"),
    (b"FORM", ".aiff"),
)


def _suffix(content: bytes) -> str:
    if content[4:8] == b"ftyp":
        return ".m4a"
    if content[:4] == b"\x1aE\xdf\xa3":
        return ".webm"
    return next((suffix for magic, suffix in _MAGIC if content.startswith(magic)), ".wav")
