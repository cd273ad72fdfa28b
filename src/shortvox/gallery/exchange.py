"""Voices in one file: a zip without compression, of one JSON object, NumPy arrays and sealed audio.

    voices.json       format, the space of the gallery, all spaces by key, and of each voice what is text or a number
    KEY.npy           (recordings, dim) float32: the embeddings of the voices of space KEY, in their order
    audio/N.bin       the sealed audio of voice N (from 0), where it is kept

Nothing is unpacked onto the disk, no name in it is a path, and without compression nothing is larger than the file.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shortvox.config import first_problem
from shortvox.errors import GalleryError
from shortvox.files import write_atomic
from shortvox.gallery.engine import (
    LONGEST_CONSENT,
    LONGEST_NAME,
    MOST_AUDIO,
    MOST_RECORDINGS,
    Kept,
    Stored,
    is_name,
)
from shortvox.textfiles import shown
from shortvox.verification.space import Space

FORMAT = 1
MOST_VOICES = 2**21
_SQLITE = b"SQLite format 3"
_JSON = "voices.json"
_MOST_JSON = 2**30  # bytes
_ROUNDING = 1e-3  # of the length of an embedding
# What zipfile and NumPy raise for bytes that are not theirs.
_DAMAGE = (KeyError, ValueError, zipfile.BadZipFile, NotImplementedError, EOFError, OverflowError, OSError)


class _Content(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class _Space(_Content):
    encoder: str = Field(max_length=1000)
    detector: str = Field(max_length=1000)
    calibration: str = Field(max_length=1000)
    rule: str = Field(max_length=1000)


class _Voice(_Content):
    name: str
    space: str
    seconds: list[float] = Field(min_length=1, max_length=MOST_RECORDINGS)
    enrolled_at: datetime
    consent: str = Field(max_length=LONGEST_CONSENT)
    compared: int = Field(ge=0)
    matched: int = Field(ge=0)
    closest: float | None
    audio: bool


class _Voices(_Content):
    format: int
    space: str | None
    spaces: dict[str, _Space] = Field(max_length=1000)
    voices: list[_Voice] = Field(max_length=MOST_VOICES)


def write(path: Path, space: Space | None, voices: Iterable[Kept]) -> int:
    """Write voices of a gallery of `space` into a file that only its owner can read; how many."""
    if path.is_dir():
        raise GalleryError(f"{shown(path)}: is a folder; name a file in it")
    if path.is_file():
        with path.open("rb") as handle:
            if handle.read(len(_SQLITE)) == _SQLITE:
                raise GalleryError(f"{shown(path)}: is a gallery or another database; name a new file")
    spaces = {space.key: space} if space else {}
    rows: dict[str, list[np.ndarray]] = {}
    about: list[_Voice] = []

    def fill(handle: BinaryIO) -> None:
        os.fchmod(handle.fileno(), 0o600)
        with zipfile.ZipFile(handle, "w", zipfile.ZIP_STORED) as archive:
            for stored, sealed in voices:
                spaces[stored.space.key] = stored.space
                rows.setdefault(stored.space.key, []).append(stored.embeddings)
                if sealed is not None:
                    archive.writestr(_audio(len(about)), sealed)
                about.append(_told(stored, sealed is not None))
            for key, found in rows.items():
                content = io.BytesIO()
                np.save(content, np.concatenate(found).astype("<f4"), allow_pickle=False)
                archive.writestr(f"{key}.npy", content.getbuffer())
            all_of_it = _Voices(
                format=FORMAT,
                space=space.key if space else None,
                spaces={key: _Space(**asdict(each)) for key, each in spaces.items()},
                voices=about,
            )
            archive.writestr(_JSON, all_of_it.model_dump_json())

    write_atomic(path, fill)
    return len(about)


def read(path: Path) -> tuple[Space | None, Iterator[Kept]]:
    """The space of the gallery that was exported, and its voices, once all but the audio has been checked.

    Raises GalleryError, which names the voice, for a file that `write` did not make or that is damaged.
    """
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise GalleryError(f"{shown(path)}: no such file; expected one that `shortvox speakers export` wrote") from None
    except OSError as error:
        raise GalleryError(f"{shown(path)}: cannot be read ({error.strerror or error})") from None
    except _DAMAGE as error:
        raise _unlike(path, error) from None
    try:
        content = _Voices.model_validate_json(_bytes(archive, _JSON, _MOST_JSON))
        if content.format != FORMAT:
            raise GalleryError(f"{shown(path)}: of format {content.format}; update shortvox")
        spaces = {key: Space(**each.model_dump()) for key, each in content.spaces.items()}
        for key, space in spaces.items():
            if space.key != key:
                raise ValueError(f"space '{key[:40]}' is another")
        stored = _stored(archive, content, spaces)
        own = spaces[content.space] if content.space is not None else None
    except ValidationError as error:
        raise _unlike(path, first_problem(error)) from None
    except _DAMAGE as error:
        raise _unlike(path, error) from None
    return own, _with_audio(path, archive, stored)


def _with_audio(path: Path, archive: zipfile.ZipFile, voices: list[Stored]) -> Iterator[Kept]:
    with archive:
        for number, stored in enumerate(voices):
            try:
                sealed = _bytes(archive, _audio(number), MOST_AUDIO + 1000) if stored.keeps_audio else None
            except _DAMAGE as error:
                raise _unlike(path, error) from None
            yield stored, sealed


def _stored(archive: zipfile.ZipFile, content: _Voices, spaces: dict[str, Space]) -> list[Stored]:
    """Every voice with its rows of the arrays. Raises KeyError or ValueError for what does not fit together."""
    arrays = {key: _array(archive, f"{key}.npy") for key in {voice.space for voice in content.voices}}
    used = dict.fromkeys(arrays, 0)
    names: set[str] = set()
    found: list[Stored] = []
    for voice in content.voices:
        if not is_name(voice.name) or voice.name in names:
            raise ValueError(f"'{voice.name[:LONGEST_NAME]}' is no name, or there twice")
        names.add(voice.name)
        at, count = used[voice.space], len(voice.seconds)
        embeddings = arrays[voice.space][at : at + count]
        used[voice.space] = at + count
        if len(embeddings) != count or min(voice.seconds) <= 0:
            raise ValueError(f"voice '{voice.name}' lacks embeddings or seconds")
        if voice.enrolled_at.tzinfo is None or bool(voice.compared) != (voice.closest is not None):
            raise ValueError(f"voice '{voice.name}' has a time without a zone, or counts that contradict each other")
        found.append(
            Stored(
                voice.name,
                spaces[voice.space],
                embeddings,
                tuple(voice.seconds),
                voice.enrolled_at,
                voice.consent,
                voice.compared,
                voice.matched,
                voice.closest,
                voice.audio,
            )
        )
    if any(used[key] != len(array) for key, array in arrays.items()):
        raise ValueError("there are more embeddings than voices have")
    return found


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """(rows, dim) float32 of unit length."""
    packed = io.BytesIO(_bytes(archive, name, None))
    if np.lib.format.read_magic(packed) != (1, 0):
        raise ValueError(f"{name} is of another version of NumPy's format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(packed)  # a promise, which reserves no memory
    content = packed.read()
    if dtype != np.dtype("<f4") or fortran or len(shape) != 2 or not shape[1]:
        raise ValueError(f"{name} holds no embeddings")
    if len(content) != 4 * shape[0] * shape[1]:
        raise ValueError(f"{name} holds {len(content)} bytes of {4 * shape[0] * shape[1]}")
    array = np.frombuffer(content, "<f4").reshape(shape)
    lengths = np.sqrt(np.einsum("ij,ij->i", array, array, dtype=np.float64))
    if not (np.abs(lengths - 1) < _ROUNDING).all():
        raise ValueError(f"{name} holds embeddings that are not of unit length")
    return array


def _bytes(archive: zipfile.ZipFile, name: str, most: int | None) -> bytes:
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
        raise ValueError(f"{name} is compressed or encrypted")
    if info.file_size != info.compress_size or (most is not None and info.file_size > most):
        raise ValueError(f"{name} is too large")
    return archive.read(info)


def _told(stored: Stored, audio: bool) -> _Voice:
    return _Voice(
        name=stored.name,
        space=stored.space.key,
        seconds=list(stored.seconds),
        enrolled_at=stored.enrolled_at,
        consent=stored.consent,
        compared=stored.compared,
        matched=stored.matched,
        closest=stored.closest,
        audio=audio,
    )


def _audio(number: int) -> str:
    return f"audio/{number}.bin"


def _unlike(path: Path, why: object) -> GalleryError:
    return GalleryError(
        f"{shown(path)}: not a file that `shortvox speakers export` wrote, or damaged ({why}); export it again"
    )
