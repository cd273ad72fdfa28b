"""Checksums of whole recordings: what results, trainings and caches know an audio file by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from shortvox.corpora.threads import in_threads


def checksums(paths: Iterable[Path]) -> dict[Path, str]:
    """blake2b of each file, every byte of it; '' for what is no file or cannot be read.

    Costs one reading of all the files: 1 GB takes about a second of one core, or what the disk needs.
    """
    distinct = tuple(dict.fromkeys(paths))
    return dict(zip(distinct, in_threads(_checksum, distinct, "Reading checksums"), strict=True))


def _checksum(path: Path) -> str:
    try:
        if not path.is_file():  # a pipe would be waited for, a device has no end
            return ""
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError:
        return ""  # reported where it is read, with a better message
