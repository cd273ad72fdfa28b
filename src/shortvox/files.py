"""Writing files so that a kill at any moment leaves the old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shortvox.errors import ShortvoxError
from shortvox.textfiles import shown


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, fsync it and rename it onto `path`.

    Raises ShortvoxError when the folder cannot be written or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise ShortvoxError(
            f"{path}: cannot be written ({error.strerror or error}); choose another output folder or free some space"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a rename inside `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes) -> None:
    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_atomic(path, write)


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
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        is_folder = False
    except OSError as error:
        raise raising(f"{shown(folder)}: cannot be opened ({error.strerror or error}); expected {expected}") from None
    if not is_folder:
        raise raising(f"{folder}: no such folder; expected {expected}")


def ensure_writable(folder: Path) -> Path:
    """Create `folder` and prove that a file can be written in it, before hours of work rely on it."""
    probe = folder / f".write-test.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ShortvoxError(
            f"{folder}: output folder cannot be written ({error.strerror or error}); choose another"
        ) from error
    return folder


def refuse_folder(path: Path) -> None:
    """Raises ShortvoxError for a folder where a file of a cache will be written: better before the work than after."""
    if path.is_dir():
        raise ShortvoxError(f"{path}: is a folder, where a file of the cache should be; remove it")
