"""How audio files are looked for in a folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from shortvox.corpora.audio import AUDIO_SUFFIXES
from shortvox.errors import CorpusError


@dataclass(frozen=True, slots=True)
class Found:
    """The audio files of a folder, in order of path; what was passed over because its name begins with a dot: audio
    files, and folders (with a stroke at the end), relative to the folder.
    """

    paths: tuple[Path, ...]
    hidden: tuple[str, ...]


def audio_files(folder: Path) -> Found:
    """Every audio file below `folder`; links to folders are followed, each folder once.

    Raises CorpusError for a folder that cannot be listed and for a name that no text file could hold.
    """
    seen: set[str] = set()
    paths: list[Path] = []
    hidden: list[str] = []
    for here, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        inside = Path(here).relative_to(folder)
        hidden += [f"{_shown(inside / name)}/" for name in sorted(folders) if name.startswith(".")]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if Path(name.lstrip(".")).suffix.lower() not in AUDIO_SUFFIXES:
                continue
            if name.startswith("."):
                hidden.append(_shown(inside / name))
                continue
            path = Path(here) / name
            _refuse_bytes(path)
            paths.append(path)
    return Found(tuple(paths), tuple(hidden))


def _refuse(error: OSError) -> None:
    raise CorpusError(f"{error.filename}: cannot be listed ({error.strerror}); change its permissions or remove it")


def _shown(path: Path) -> str:
    """Text even where the name is none."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _refuse_bytes(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise CorpusError(f"{str(path)!r}: the name is not UTF-8; rename the file") from None
