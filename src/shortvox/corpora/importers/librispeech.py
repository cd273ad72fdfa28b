"""LibriSpeech: `[subset/]speaker/chapter/speaker-chapter-number.flac`; the chapter is the session.

Gender comes from `SPEAKERS.TXT` where it lies in the folder or in one of the two above.
"""

from __future__ import annotations

import re
from pathlib import Path

from shortvox.corpora.finding import audio_files
from shortvox.corpora.importers.layout import Layout, gender_letter
from shortvox.corpora.utterance import Utterance

_NAME = re.compile(r"(\d+)-(\d+)-\d+")


def read(source: Path) -> Layout:
    genders = _genders(source)
    utterances, passed_over = [], []
    for path in audio_files(source):
        match = _NAME.fullmatch(path.stem)
        if match is None:
            passed_over.append(path.relative_to(source).as_posix())
            continue
        utterances.append(
            Utterance(id=path.stem, speaker=match[1], path=path, session=match[2], gender=genders.get(match[1], ""))
        )
    return Layout(source, tuple(utterances), tuple(passed_over))


def _genders(source: Path) -> dict[str, str]:
    for folder in (source, *source.parents[:2]):
        path = folder / "SPEAKERS.TXT"
        if path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            rows = [line.split("|") for line in lines if line.strip() and not line.startswith(";")]
            return {row[0].strip(): gender_letter(row[1]) for row in rows if len(row) > 1}
    return {}
