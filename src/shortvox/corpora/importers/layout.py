"""What an importer finds in a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from shortvox.corpora.utterance import Utterance
from shortvox.errors import CorpusError
from shortvox.textfiles import lines, read_content


@dataclass(frozen=True, slots=True)
class Layout:
    """Utterances with absolute paths below `root`, and the names of what was passed over, under the reason why.

    `pieces` tells for each utterance that is a piece of one channel of its recording where that is listed.
    """

    root: Path
    utterances: tuple[Utterance, ...]
    passed_over: Mapping[str, Sequence[str]] = field(default_factory=dict)
    pieces: Mapping[str, str] = field(default_factory=dict)


MISFITS = "audio files that do not fit the layout"

Reader = Callable[[Path], Layout]


def published_lines(path: Path) -> list[str]:
    """Lines of a table that comes with a corpus; of bytes that are no UTF-8 in a name nothing is used."""
    content = read_content(path, CorpusError, "the table that comes with the corpus")
    return lines(content.decode("utf-8-sig", errors="replace"))


def gender_letter(text: str) -> str:
    """`m`, `f`, or what is there in lower case."""
    text = text.strip().lower()
    return text[0] if text in ("male", "female") else text
