"""LibriSpeech: `[subset/]speaker/chapter/speaker-chapter-number.flac`; the chapter is the session.

Gender comes from `SPEAKERS.TXT` where it lies in the folder or in one of the two above.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from shortvox.corpora.finding import audio_files
from shortvox.corpora.importers.layout import MISFITS, Layout, gender_letter, published_lines
from shortvox.corpora.utterance import Utterance

_NAME = re.compile(r"(\d+)-(\d+)-\d+")


def read(source: Path) -> Layout:
    genders = _genders(source)
    utterances, misfits = [], []
    found = audio_files(source)
    for path in found.paths:
        match = _NAME.fullmatch(path.stem)
        if match is None:
            misfits.append(path.relative_to(source).as_posix())
            continue
        utterances.append(
            Utterance(id=path.stem, speaker=match[1], path=path, session=match[2], gender=genders.get(match[1], ""))
        )
    return Layout(source, tuple(utterances), {MISFITS: misfits, **found.passed_over})


def _genders(source: Path) -> dict[str, str]:
    for folder in (source, *source.parents[:2]):
        path = folder / "SPEAKERS.TXT"
        if os.path.lexists(path):
            rows = [line.split("|") for line in published_lines(path) if line.strip() and not line.startswith(";")]
            return {row[0].strip(): gender_letter(row[1]) for row in rows if len(row) > 1}
    return {}
