"""How audio files are looked for in a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shortvox.corpora.source import AUDIO_SUFFIXES
from shortvox.errors import CorpusError

HIDDEN = "names that begin with a dot"
AGAIN = "folders that are also there under another name"
BROKEN = "links that lead nowhere"


@dataclass(frozen=True, slots=True)
class Found:
    """The audio files of a folder, in order of path, and what was passed over: names relative to the folder, those of
    folders with a stroke at the end, under the reason why.
    """

    paths: tuple[Path, ...]
    passed_over: Mapping[str, Sequence[str]]


def audio_files(folder: Path) -> Found:
    """Every audio file below `folder`; links to folders are followed, each folder once.

    Raises CorpusError for a folder that cannot be listed and for a name that no text file could hold.
    """
    seen: set[str] = set()
    paths: list[Path] = []
    hidden: list[str] = []
    again: list[str] = []
    broken: list[str] = []
    for here, folders, names in os.walk(folder, followlinks=True, onerror=_refuse):
        real = os.path.realpath(here)
        inside = Path(here).relative_to(folder)
        if real in seen:
            again.append(f"{_shown(inside)}/")
            folders.clear()
            continue
        seen.add(real)
        hidden += [f"{_shown(inside / name)}/" for name in sorted(folders) if name.startswith(".")]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if Path(name.lstrip(".")).suffix.lower() not in AUDIO_SUFFIXES:
                if _leads_nowhere(Path(here) / name):
                    broken.append(_shown(inside / name))
                continue
            if name.startswith("."):
                hidden.append(_shown(inside / name))
                continue
            path = Path(here) / name
            _refuse_bytes(path)
            paths.append(path)
    return Found(tuple(paths), {HIDDEN: hidden, AGAIN: again, BROKEN: broken})


def _leads_nowhere(path: Path) -> bool:
    """A link that may have been a folder of recordings on another disk."""
    return path.is_symlink() and not os.access(path, os.F_OK)


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
