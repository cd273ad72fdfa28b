"""What was measured of a file, kept while the file stays as it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import TypeVar

Measured = TypeVar("Measured")
_KEPT = 1 << 20  # files
_SETTLED = 2.0  # seconds; a file that was written later may be written again within one tick of its clock


def remembered(measure: Callable[[Path], Measured]) -> Callable[[Path], Measured]:
    """`measure`, once for each file, size and time of change in this process: crops are read by the thousand."""

    @lru_cache(_KEPT)
    def of(path: Path, size: int, modified: int, changed: int) -> Measured:
        return measure(path)

    @wraps(measure)
    def once(path: Path) -> Measured:
        status = path.stat()
        if time.time() - max(status.st_mtime, status.st_ctime) < _SETTLED:
            return measure(path)
        return of(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    return once
