"""How audio files are looked for in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from shortvox.corpora.audio import AUDIO_SUFFIXES
from shortvox.errors import CorpusError


def audio_files(folder: Path) -> Iterator[Path]:
    """Every audio file below `folder`, in order of path; links to folders are followed, each folder once.

    Hidden files and folders are passed over. Raises CorpusError for a folder that cannot be listed and for a name that
    no text file could hold.
    """
    seen: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in AUDIO_SUFFIXES:
                path = Path(here) / name
                _refuse_bytes(path)
                yield path


def _refuse(error: OSError) -> None:
    raise CorpusError(f"{error.filename}: cannot be listed ({error.strerror}); change its permissions or remove it")


def _refuse_bytes(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise CorpusError(f"{str(path)!r}: the name is not UTF-8; rename the file") from None
