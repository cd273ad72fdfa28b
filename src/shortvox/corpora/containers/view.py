"""The bytes of a file, and those of them that a decoder is shown."""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shortvox.corpora.faults import AudioFault

SLACK = 256  # bytes after the audio that are taken for a tag or padding without being understood


@dataclass(frozen=True, slots=True)
class Content:
    """A file in memory, with the faults that are found in it."""

    path: Path
    bytes: mmap.mmap

    def __len__(self) -> int:
        return len(self.bytes)

    def truncated(self, reason: str) -> AudioFault:
        return AudioFault(self.path, "truncated", reason)

    def corrupt(self, reason: str) -> AudioFault:
        return AudioFault(self.path, "corrupt", reason)

    def joined(self, at: int) -> AudioFault:
        return AudioFault(self.path, "joined", f"another recording begins at byte {at}")

    def is_padding(self, start: int) -> bool:
        """Nothing but zeros, or only a few bytes, from `start` to the end."""
        return len(self) - start <= SLACK or not self.bytes[start:].strip(b"\0")

    def check_promise(self, start: int, promised: int) -> None:
        """`promised` bytes of audio from `start` must be there; one byte of padding may be missing."""
        there = len(self) - start
        if promised > there + 1:
            raise self.truncated(f"the header promises {promised} bytes of audio, {max(there, 0)} are there")

    def refuse_more(self, start: int, promised: int) -> AudioFault:
        return self.corrupt(f"the header promises {promised} bytes of audio, {len(self) - start} are there")


@dataclass(frozen=True, slots=True)
class View:
    """`prefix`, then those bytes of a file that lie from the first to the second number of each of `parts`.

    Without any, the file as it is. `frames` counts the samples of a stream whose header cannot say it; a decoder that
    finds fewer than `least` has not understood the file.
    """

    prefix: bytes = b""
    parts: tuple[tuple[int, int], ...] = ()
    frames: int | None = None
    least: int = 0

    @contextmanager
    def shown(self, path: Path) -> Iterator[ViewFile | str | bytes]:
        """What to give to a decoder. A path as bytes where the system has them: not every one of them is text."""
        if self.parts:
            with ViewFile(path, self) as file:
                yield file
        else:
            yield os.fsencode(path) if os.name == "posix" else str(path)


class ViewFile(io.RawIOBase):
    """A view of a file, for reading."""

    def __init__(self, path: Path, view: View) -> None:
        self._file = path.open("rb", buffering=0)
        self._prefix, self._parts = view.prefix, view.parts
        self._size = len(view.prefix) + sum(end - start for start, end in view.parts)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence], 0)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        found = self._read(len(buffer))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)

    def _read(self, wanted: int) -> bytes:
        """Up to `wanted` bytes, all of the prefix or of one part."""
        if self._at < len(self._prefix):
            return self._prefix[self._at : self._at + wanted]
        into = self._at - len(self._prefix)
        for start, end in self._parts:
            if into < end - start:
                self._file.seek(start + into)
                return self._file.read(min(wanted, end - start - into)) or b""
            into -= end - start
        return b""

    def close(self) -> None:
        self._file.close()
        super().close()
