"""One writer at a time. The system lets a lock go when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shortvox.errors import ShortvoxError

_PAUSE = 0.1  # seconds between two attempts
_held: dict[tuple[Path, int], int] = {}  # (lock file, thread that holds it) -> descriptor


@contextmanager
def one_writer(out: Path, *, patience: float = 0.0) -> Iterator[None]:
    """Keep other processes out of the folder `out`, or away from the file `out`, while entered.

    The thread that has it may enter again. Raises ShortvoxError when another still has it after `patience` seconds.
    """
    path = out / ".lock" if out.is_dir() else out.with_name(f".{out.name}.lock")
    what = "working in this folder" if out.is_dir() else "writing this file"
    with locked(path, patience=patience, refusal=f"{out}: another run is {what}; wait for it, or choose another"):
        yield


@contextmanager
def locked(path: Path, *, patience: float = float("inf"), refusal: str = "") -> Iterator[None]:
    """Hold the lock file `path`, waiting for it at most `patience` seconds; then raises ShortvoxError(refusal).

    The file is removed at the end. Where a file system has no locks, nobody is kept out.
    """
    path = path.parent.resolve() / path.name
    key = (path, threading.get_ident())
    if key in _held:
        yield
        return
    deadline = time.monotonic() + patience
    while (descriptor := _take(path)) is None:
        if time.monotonic() >= deadline:
            raise ShortvoxError(refusal)
        time.sleep(_PAUSE)
    _held[key] = descriptor
    try:
        yield
    finally:
        if _held.pop(key, None) is not None:  # not in a forked child
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            os.close(descriptor)


def _take(path: Path) -> int | None:
    """The descriptor of the locked file; None while another process has the lock."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise ShortvoxError(
                f"{path}: no lock file can be made here ({error.strerror or error}); remove what is there or choose "
                "another folder"
            ) from None
        try:
            if not lock_descriptor(descriptor):
                os.close(descriptor)
                return None
        except OSError:  # no such locks on this file system: work may be done twice
            return descriptor
        if _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)  # the one who had it has just removed it: there is another file now, or none


def lock_descriptor(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file until it is closed; False where another process has the lock.

    Raises OSError on a file system without locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _let_go() -> None:
    """A forked child, a data loader's worker say, may live a little longer than its parent: the lock must not."""
    for descriptor in _held.values():
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
