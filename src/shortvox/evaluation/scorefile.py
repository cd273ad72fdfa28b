"""Score files of any toolkit: both ids, score and label of every trial, as TSV or Parquet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shortvox.corpora.corpus import Corpus
from shortvox.errors import ScoreError
from shortvox.evaluation.trials import Trials
from shortvox.files import write_atomic, write_text

COLUMNS = ("enrol", "test", "score", "label")
LABELS = {
    "1": True,
    "0": False,
    "target": True,
    "nontarget": False,
    "true": True,
    "false": False,
    "1.0": True,
    "0.0": False,
}  # as Parquet has booleans and floats


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """One row per trial: utterance ids enrol and test (n,) str, score (n,) float64, label (n,) bool."""

    enrol: tuple[str, ...]
    test: tuple[str, ...]
    score: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    @classmethod
    def of(cls, trials: Trials, corpus: Corpus, scores: np.ndarray) -> ScoreTable:
        """The scores (n_trials,) of a trial list, with the corpus's utterance ids."""
        ids = [utterance.id for utterance in corpus.utterances]
        return cls(
            tuple(ids[i] for i in trials.enrol),
            tuple(ids[i] for i in trials.test),
            np.asarray(scores, dtype=np.float64),
            trials.label,
        )


def read_scores(path: Path) -> ScoreTable:
    """Read TSV (or other white space) with a header, or Parquet: enrol, test, score, label in any order.

    Labels are 1/0 or target/nontarget; further columns are ignored. Raises ScoreError, naming row and
    column (the header is row 1), for a missing file or column, a row of another length, an unknown label or
    a score that is no finite number.
    """
    try:
        with path.open("rb") as handle:
            is_parquet = handle.read(4) == b"PAR1"
        return _read_parquet(path) if is_parquet else _read_text(path)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise ScoreError(
            f"{path}: cannot be read ({str(error).splitlines()[0]}); expected TSV with "
            f"the header {' '.join(COLUMNS)}, or Parquet"
        ) from error


def write_scores(path: Path, table: ScoreTable) -> None:
    """Write Parquet where the name ends in .parquet, TSV otherwise; atomically."""
    if path.suffix == ".parquet":
        content = pa.table({name: pa.array(getattr(table, name)) for name in COLUMNS})
        write_atomic(path, lambda handle: pq.write_table(content, handle))
        return
    rows = ["\t".join(COLUMNS)]
    columns = table.enrol, table.test, table.score.tolist(), table.label
    for enrol, test, score, label in zip(*columns, strict=True):
        rows.append(f"{enrol}\t{test}\t{score!r}\t{int(label)}")
    write_text(path, "\n".join(rows) + "\n")


def read_speakers(path: Path) -> dict[str, str]:
    """Speaker of each utterance id: two columns, or a CSV/TSV whose header names `utterance` and `speaker`.

    A corpus's manifest.csv and Kaldi's utt2spk both fit. Raises ScoreError naming the row of a malformed
    line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ScoreError(f"{path}: speakers cannot be read as text ({error})") from error
    separator = next((mark for mark in ("\t", ",") if lines and mark in lines[0]), None)
    header = [name.strip() for name in lines[0].split(separator)] if lines else []
    named = {"utterance", "speaker"} <= set(header)
    at = (header.index("utterance"), header.index("speaker")) if named else (0, 1)
    speakers: dict[str, str] = {}
    for row, line in enumerate(lines[named:], start=1 + named):
        if not line.strip():
            continue
        fields = [text.strip().strip('"') for text in line.split(separator)]
        if len(fields) <= max(at) or (not named and len(fields) != 2):
            raise ScoreError(f"{path}: row {row}: {len(fields)} columns; expected utterance and speaker")
        utterance, speaker = (fields[i] for i in at)
        if not utterance or not speaker or speakers.get(utterance, speaker) != speaker:
            raise ScoreError(f"{path}: row {row}: utterance {utterance!r} has no speaker, or a second one")
        speakers[utterance] = speaker
    return speakers


def _read_text(path: Path) -> ScoreTable:
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    if not lines:
        raise ScoreError(f"{path}: empty; expected the header {' '.join(COLUMNS)}")
    separator = "\t" if "\t" in lines[0] else None
    header = [name.strip().lower() for name in lines[0].split(separator)]
    at = _find_columns(header, path)
    kept: list[list[Any]] = [[], [], [], []]
    numbers: list[int] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        fields = line.split(separator)
        if len(fields) != len(header):
            raise ScoreError(f"{path}: row {number}: {len(fields)} columns, the header has {len(header)}")
        for column, index in zip(kept, at, strict=True):
            column.append(fields[index].strip())
        numbers.append(number)
    return _table(kept, path, numbers.__getitem__)


def _read_parquet(path: Path) -> ScoreTable:
    content = pq.read_table(path)
    at = _find_columns([name.lower() for name in content.column_names], path)
    return _table([content.column(index).to_pylist() for index in at], path, lambda row: row + 1)


def _find_columns(header: list[str], path: Path) -> list[int]:
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise ScoreError(f"{path}: row 1: no column {', '.join(missing)}; needed: {' '.join(COLUMNS)}")
    return [header.index(name) for name in COLUMNS]


def _table(columns: list[list[Any]], path: Path, row_number: Callable[[int], int]) -> ScoreTable:
    enrol, test, score, label = columns

    def parse(name: str, cells: list[Any], read: Callable[[Any], Any], expected: str) -> list[Any]:
        values = []
        for row, cell in enumerate(cells):
            try:
                values.append(read(cell))
            except (TypeError, ValueError, KeyError):
                raise ScoreError(
                    f"{path}: row {row_number(row)}: column {name} has {cell!r}; expected {expected}"
                ) from None
        return values

    return ScoreTable(
        tuple(parse("enrol", enrol, _utterance, "an utterance id")),
        tuple(parse("test", test, _utterance, "an utterance id")),
        np.array(parse("score", score, _finite, "a finite number"), dtype=np.float64),
        np.array(parse("label", label, _label, "1, 0, target or nontarget"), dtype=bool),
    )


def _utterance(cell: object) -> str:
    if cell is None or cell == "":
        raise ValueError
    return str(cell)


def _finite(cell: Any) -> float:
    value = float(cell)
    if not np.isfinite(value):
        raise ValueError
    return value


def _label(cell: object) -> bool:
    return LABELS[str(cell).lower()]
