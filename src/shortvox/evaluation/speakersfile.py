"""Who speaks in each utterance of a score file: Kaldi's utt2spk, a manifest.csv, or any table of two columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from shortvox.errors import ScoreError
from shortvox.textfiles import fields, lines, read_text

EXPECTED = "utterance and speaker in each row, as in Kaldi's utt2spk or a corpus's manifest.csv"
NAMES = ("utterance", "speaker")


def read_utt2spk(path: Path) -> dict[str, str]:
    """Speaker of each utterance id: two columns, or a table whose header names `utterance` and `speaker`.

    With a header, cells stand apart by commas or tabs as in CSV, quotes included; without one, by tabs or white
    space as in utt2spk, or by a comma where there is no white space. Raises ScoreError naming the row of a
    malformed line, and for a file that names nobody.
    """
    text = read_text(path, ScoreError, EXPECTED)
    rows = _rows(text)
    width, at = 2, [0, 1]
    first = next(rows, (0, []))
    if set(NAMES) <= set(first[1]):
        width, at = len(first[1]), [first[1].index(name) for name in NAMES]
        if any(first[1].count(name) > 1 for name in NAMES):
            raise ScoreError(f"{path}: row 1: a column stands twice; {EXPECTED}")
    else:
        rows = _rows(text)
    speakers: dict[str, str] = {}
    try:
        for number, cells in rows:
            if len(cells) != width:
                raise ScoreError(f"{path}: row {number}: {len(cells)} columns; expected {EXPECTED}")
            utterance, speaker = (cells[index] for index in at)
            if not utterance or not speaker or speakers.get(utterance, speaker) != speaker:
                raise ScoreError(f"{path}: row {number}: utterance {utterance!r} has no speaker, or a second one")
            speakers[utterance] = speaker
    except csv.Error as error:
        raise ScoreError(f"{path}: not CSV ({error}); {EXPECTED}") from None
    if not speakers:
        raise ScoreError(f"{path}: names no utterance; expected {EXPECTED}")
    return speakers


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """(row, cells) of every row that is not blank; its first line says how cells stand apart."""
    first = next(filter(str.strip, lines(text)), "")
    for separator in "\t,":
        if set(NAMES) <= {cell.strip(' "') for cell in first.split(separator)} or (
            separator in first and (separator == "\t" or len(fields(first)) == 1)
        ):
            reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
            rows: Iterator[list[str]] = iter(reader)
            break
    else:
        rows = map(fields, lines(text))
    for number, cells in enumerate(rows, start=1):
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield number, stripped
