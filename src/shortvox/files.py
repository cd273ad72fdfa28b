"""Writing files so that a kill at any moment leaves the old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from shortvox.errors import ShortvoxError
from shortvox.locks import lock_descriptor
from shortvox.textfiles import shown

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file beside `path`, fsync it and rename it onto `path`.

    What a killed process left of its own writing in that folder is removed. Raises ShortvoxError when the folder cannot
    be written or the disk is full.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        temporary, descriptor = _create_temporary(path)
        with os.fdopen(descriptor, "wb") as handle:
            write(handle)
            handle.flush()
            os.fsync(handle.fileno())
            temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise ShortvoxError(
            f"{shown(path)}: cannot be written ({error.strerror or error}); "
            "choose another output folder or free some space"
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _create_temporary(path: Path) -> tuple[Path, int]:
    """A new file beside `path`, never a link that somebody has put there, and its descriptor.

    It is locked while it is open: one that nobody locks was left by a process that was killed.
    """
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with contextlib.suppress(OSError):  # no locks on this file system: what a kill leaves there stays
            lock_descriptor(descriptor, wait=True)
        if os.path.lexists(temporary):
            return temporary, descriptor
        os.close(descriptor)  # somebody took it for a leftover before it was locked


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files in `folder` whose writers were killed, and no others."""
    found: list[Path] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        found = [folder / entry.name for entry in entries if _TEMPORARY.fullmatch(entry.name)]
    for path in found:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode) and lock_descriptor(descriptor):
                    path.unlink()
            finally:
                os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes) -> None:
    write_atomic(path, lambda handle: handle.write(content))


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, content: Any) -> None:
    """JSON without NaN: a figure that does not exist is null, and anything else non-finite is a bug."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def is_folder(path: Path) -> bool:
    """`Path.is_dir` raises an OSError for a name that is too long or lies where one may not look."""
    try:
        return path.is_dir()
    except OSError:
        return False


def require_folder(folder: Path, raising: type[ShortvoxError], expected: str) -> None:
    """Raises `raising`, which says what was `expected`, for what is no folder or may not be looked at."""
    try:
        there = stat.S_ISDIR(folder.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        there = False
    except OSError as error:
        raise raising(f"{shown(folder)}: cannot be opened ({error.strerror or error}); expected {expected}") from None
    if not there:
        raise raising(f"{folder}: no such folder; expected {expected}")


def ensure_writable(folder: Path) -> Path:
    """Create `folder` and prove that a file can be written in it, before hours of work rely on it.

    What a killed process left of its own writing is removed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe, descriptor = _create_temporary(folder / "write-test")
        os.close(descriptor)
        probe.unlink()
    except OSError as error:
        raise ShortvoxError(
            f"{shown(folder)}: output folder cannot be written ({error.strerror or error}); choose another"
        ) from error
    remove_leftovers(folder)
    return folder


def refuse_folder(path: Path) -> None:
    """Raises ShortvoxError for a folder where a file of a cache will be written: better before the work than after."""
    if path.is_dir():
        raise ShortvoxError(f"{path}: is a folder, where a file of the cache should be; remove it")
