"""What an importer finds in a folder, and how files are looked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shortvox.corpora.audio import AUDIO_SUFFIXES
from shortvox.corpora.utterance import Utterance


@dataclass(frozen=True, slots=True)
class Layout:
    """Utterances with absolute paths below `root`, and audio files that did not fit (relative to `root`)."""

    root: Path
    utterances: tuple[Utterance, ...]
    passed_over: tuple[str, ...] = ()


Reader = Callable[[Path], Layout]


def audio_files(folder: Path) -> Iterator[Path]:
    """Every audio file below `folder`, in order of path; links to folders are followed, each folder once."""
    seen: set[str] = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in AUDIO_SUFFIXES:
                yield Path(here) / name


def gender_letter(text: str) -> str:
    """`m`, `f`, or what is there in lower case."""
    text = text.strip().lower()
    return text[0] if text in ("male", "female") else text
