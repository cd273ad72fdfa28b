"""libmpg123 tells stderr what it thinks of a stream. Here it is not heard; what is wrong is an error of ours."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Iterator

_STDERR = 2
_lock = threading.Lock()
_users = 0
_kept: int | None = None


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """What is written to file descriptor 2 is dropped; what Python writes too, unless `keep_stderr` was called."""
    global _users, _kept
    with _lock:
        if _users == 0:
            _kept = _drop()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _kept is not None:
                os.dup2(_kept, _STDERR)
                os.close(_kept)


def keep_stderr() -> None:
    """Let sys.stderr write to a duplicate of file descriptor 2, so that Python's lines are not dropped with the others.

    For programs; a stream that a test or a caller put there is left as it is.
    """
    used = sys.stderr
    if used is None or used is not sys.__stderr__ or not isinstance(used, io.TextIOWrapper):
        return
    with contextlib.suppress(OSError):  # closed
        own = os.dup(_STDERR)
        used.flush()
        sys.stderr = os.fdopen(own, "w", encoding=used.encoding, errors=used.errors, buffering=1)


def _drop() -> int | None:
    """Point file descriptor 2 to nowhere; a duplicate of what it was, or None where it is closed."""
    try:
        kept = os.dup(_STDERR)
        nowhere = os.open(os.devnull, os.O_WRONLY)
    except OSError:
        return None
    os.dup2(nowhere, _STDERR)
    os.close(nowhere)
    return kept
