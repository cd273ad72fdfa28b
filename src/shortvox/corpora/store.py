"""Where training and evaluation read speech from: crops by seeking, or out of one packed file.

`SeekingStore` opens the recording for every crop and decodes only that piece: no preparation, any size.
`PackedStore` decodes every utterance once into one memory-mapped int16 file: no decoding while training.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from shortvox.corpora.audio import (
    QUIETEST,
    SAMPLE_RATE,
    is_silent,
    probe,
    read_blocks,
    read_samples,
    refuse_channel,
    segment_end,
)
from shortvox.corpora.checksum import checksums
from shortvox.corpora.corpus import Corpus
from shortvox.corpora.faults import AudioFault
from shortvox.corpora.threads import in_threads
from shortvox.corpora.utterance import Utterance
from shortvox.files import ensure_writable, refuse_folder, write_atomic, write_text
from shortvox.locks import locked

_FORMAT = 3
_LONG = 120.0  # seconds; some dozens of utterances are decoded ahead of the one that is written


class AudioStore(Protocol):
    """Speech of a corpus by position; `lengths` (utterances,) int64: samples at 16 kHz, in corpus order."""

    @property
    def lengths(self) -> np.ndarray: ...

    def read(self, position: int, start: int = 0, samples: int | None = None) -> np.ndarray:
        """(samples,) float32 of utterance `position` from sample `start`; without `samples`, to its end."""
        ...

    def name(self, position: int) -> str:
        """Id of the utterance."""
        ...


def open_store(corpus: Corpus, cache: Path | None = None) -> AudioStore:
    """Crops by seeking, or, with a `cache` folder, from a pack made once and reused while no file changes.

    Raises AudioError naming the first recording that cannot be used (`shortvox corpus check` lists all).
    """
    if cache is None:
        return SeekingStore(corpus)
    return PackedStore(pack(corpus, Path(cache)))


class SeekingStore:
    """Opens the recording for every read. Files are probed once, for the lengths."""

    def __init__(self, corpus: Corpus) -> None:
        self._utterances = corpus.utterances
        self._starts = np.array([_first_sample(u) for u in corpus.utterances], np.int64)
        self.lengths = np.array(list(in_threads(_length, corpus.utterances, "Probing audio")), np.int64)

    def read(self, position: int, start: int = 0, samples: int | None = None) -> np.ndarray:
        start, samples = _bounds(int(self.lengths[position]), start, samples)
        u = self._utterances[position]
        speech = read_samples(u.path, int(self._starts[position]) + start, samples, u.channel)
        if samples == self.lengths[position] and is_silent(speech):
            raise _silence(u)
        return speech

    def name(self, position: int) -> str:
        return self._utterances[position].id


class PackedStore:
    """Reads a pack made by `pack`. Cheap to send to worker processes: only the path travels.

    `checksums` are those of the recordings, in the order in which the corpus names them first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        index = _read_index(path)
        self.lengths = np.array(index["lengths"], np.int64)
        self.checksums: list[str] = index["checksums"]
        self._units = np.array(index["scales"], np.float32) / np.float32(32768)
        self._offsets = np.concatenate([[0], np.cumsum(self.lengths)])
        self._samples = np.memmap(path, np.int16, mode="r")

    def __reduce__(self) -> tuple[type[PackedStore], tuple[Path]]:
        return PackedStore, (self.path,)

    def read(self, position: int, start: int = 0, samples: int | None = None) -> np.ndarray:
        start, samples = _bounds(int(self.lengths[position]), start, samples)
        first = int(self._offsets[position]) + start
        return self._samples[first : first + samples].astype(np.float32) * self._units[position]

    def name(self, position: int) -> str:
        return str(self._ids[position])

    @cached_property
    def _ids(self) -> list[str]:
        """Read when somebody asks, and not sent to worker processes, which never do."""
        ids: list[str] = _read_index(self.path)["ids"]
        return ids


def pack(corpus: Corpus, cache: Path) -> Path:
    """Decode every utterance into `<cache>/<key>.pcm` (int16, 16 kHz) beside a JSON index; the path.

    Each utterance has its own full scale, a power of two: what is 16 bits at 16 kHz is kept to the bit, and what goes
    beyond ±1 is not clipped. The key holds sizes and times of the recordings, the index their checksums: a recording is
    read whole only when it is packed. The index is written last and knows its own checksum, so a pack without one, or
    with a damaged one, is made again. Processes that need the same pack wait for the first of them.
    """
    ensure_writable(cache)
    path = cache / f"{_key(corpus)}.pcm"
    lock = path.with_suffix(".lock")
    for file in (path, _index_of(path), lock):
        refuse_folder(file)
    with locked(lock):
        if not _is_whole(path):
            _write_pack(corpus, path)
    return path


def _write_pack(corpus: Corpus, path: Path) -> None:
    lengths, scales = [], []

    def write(handle: BinaryIO) -> None:
        decoded = in_threads(_decode, corpus.utterances, f"Packing {corpus.name}")
        for u, (levels, blocks) in zip(corpus.utterances, decoded, strict=True):
            for block in _blocks(u) if blocks is None else blocks:
                handle.write(quantised(block, levels.scale).tobytes())
            lengths.append(levels.samples)
            scales.append(levels.scale)

    write_atomic(path, write)
    read = checksums(u.path for u in corpus.utterances)
    index = {
        "format": _FORMAT,
        "rate": SAMPLE_RATE,
        "lengths": lengths,
        "scales": scales,
        "ids": [u.id for u in corpus.utterances],
        "checksums": list(read.values()),
    }
    write_text(_index_of(path), json.dumps({"index": index, "checksum": _checksum(index)}))


def _read_index(path: Path) -> dict[str, Any]:
    """Raises ValueError for an index that is not as it was written, or of another format; OSError as reading does."""
    content = json.loads(_index_of(path).read_text(encoding="utf-8"))
    if not isinstance(content, dict) or content.get("checksum") != _checksum(content.get("index")):
        raise ValueError(f"{path}: damaged index")
    index: dict[str, Any] = content["index"]
    if index["format"] != _FORMAT:
        raise ValueError(f"{path}: index of another format")
    return index


def _checksum(index: Any) -> str:
    return hashlib.sha256(json.dumps(index).encode()).hexdigest()


def _is_whole(path: Path) -> bool:
    try:
        return path.stat().st_size == 2 * sum(_read_index(path)["lengths"])
    except (OSError, ValueError, KeyError, RecursionError):
        return False


def _index_of(path: Path) -> Path:
    return path.with_suffix(".json")


@dataclass(frozen=True, slots=True)
class Levels:
    """Of one whole utterance: its length, and its lowest and highest sample."""

    samples: int
    lowest: float
    highest: float

    @property
    def scale(self) -> float:
        """The smallest power of two that, as full scale, leaves nothing clipped in 16 bits."""
        peak = max(-self.lowest / 32768, self.highest / 32767.5) * 32768
        return float(2.0 ** np.ceil(np.log2(peak)))


def listen(u: Utterance) -> Levels:
    """Decode one whole utterance, a block at a time. Raises AudioError for every fault a recording can have."""
    return _levels(u, _blocks(u))


def _decode(u: Utterance) -> tuple[Levels, list[np.ndarray] | None]:
    """Levels and blocks of a whole utterance; no blocks of a long one, which is better decoded twice than held."""
    if _length(u) > _LONG * SAMPLE_RATE:
        return listen(u), None
    blocks = [*_blocks(u)]
    return _levels(u, blocks), blocks


def quantised(speech: np.ndarray, scale: float) -> np.ndarray:
    """(samples,) float32 -> int16, with `scale` as full scale."""
    return np.clip(np.rint(speech * np.float32(32768 / scale)), -32768, 32767).astype("<i2")


def _levels(u: Utterance, blocks: Iterable[np.ndarray]) -> Levels:
    samples, lowest, highest = 0, 0.0, 0.0
    for block in blocks:
        samples += len(block)
        lowest, highest = min(lowest, float(block.min())), max(highest, float(block.max()))
    if max(-lowest, highest) <= QUIETEST:
        raise _silence(u)
    return Levels(samples, lowest, highest)


def _blocks(u: Utterance) -> Iterator[np.ndarray]:
    return read_blocks(u.path, _first_sample(u), _length(u), u.channel)


def _length(u: Utterance) -> int:
    info = probe(u.path)
    refuse_channel(u.path, info.channels, u.channel)
    first = _first_sample(u)
    return segment_end(u.path, info.frames, first, u.duration) - first


def _first_sample(u: Utterance) -> int:
    return round(u.start * SAMPLE_RATE)


def _silence(u: Utterance) -> AudioFault:
    return AudioFault(u.path, "silent", f"every sample of utterance {u.id} is zero in 16 bits")


def _bounds(length: int, start: int, samples: int | None) -> tuple[int, int]:
    samples = length - start if samples is None else samples
    if start < 0 or samples < 1 or start + samples > length:
        raise ValueError(f"samples {start} to {start + samples} of an utterance of {length}")
    return start, samples


def _key(corpus: Corpus) -> str:
    digest = hashlib.sha256(f"pack {_FORMAT}".encode())
    for u in corpus.utterances:
        try:
            status = u.path.stat()
        except OSError as error:
            raise AudioFault(u.path, "missing", error.strerror or "no such file") from None
        times = (status.st_mtime_ns, status.st_ctime_ns)  # the second cannot be set back
        fields = (u.id, str(u.path), u.start, u.duration, u.channel, status.st_size, *times)
        digest.update(repr(fields).encode())
    return digest.hexdigest()[:32]
