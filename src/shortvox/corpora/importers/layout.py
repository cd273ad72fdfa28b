"""What an importer finds in a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shortvox.corpora.utterance import Utterance


@dataclass(frozen=True, slots=True)
class Layout:
    """Utterances with absolute paths below `root`, and audio files that did not fit (relative to `root`).

    `pieces` tells for each utterance that is a piece of one channel of its recording where that is listed.
    """

    root: Path
    utterances: tuple[Utterance, ...]
    passed_over: tuple[str, ...] = ()
    pieces: Mapping[str, str] = field(default_factory=dict)


Reader = Callable[[Path], Layout]


def gender_letter(text: str) -> str:
    """`m`, `f`, or what is there in lower case."""
    text = text.strip().lower()
    return text[0] if text in ("male", "female") else text
