"""Score files of any toolkit: both ids, score and label of every trial, as TSV or Parquet.

Files have millions of rows. They are read in pieces, ids as codes into a list of names: text by pyarrow, and where
that finds something odd, the piece line by line, which knows what a cell may hold and names the row of one that
does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from shortvox.corpora.corpus import Corpus
from shortvox.errors import ScoreError
from shortvox.evaluation.trials import Trials
from shortvox.files import write_atomic, write_text
from shortvox.textfiles import decode, fields, lines, read_content

COLUMNS = ("enrol", "test", "score", "label")
EXPECTED = f"TSV with the header {' '.join(COLUMNS)}, or Parquet"
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
PIECE = 2**24  # bytes of text parsed at once
ROWS = 2**19  # rows of Parquet parsed at once


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """One row per trial: enrol and test (n,), positions in `names`, score (n,) float64, label (n,) bool.

    `names` are utterance ids. `row` (n,) is where each trial stands in its file; the header of text is row 1.
    """

    names: tuple[str, ...]
    enrol: np.ndarray
    test: np.ndarray
    score: np.ndarray
    label: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    @classmethod
    def of_ids(
        cls, enrol: Sequence[str], test: Sequence[str], score: Sequence[float], label: Sequence[bool]
    ) -> ScoreTable:
        names: dict[str, int] = {}
        first, second = (np.array([names.setdefault(name, len(names)) for name in side]) for side in (enrol, test))
        row = np.arange(len(label)) + 2
        return cls(tuple(names), first, second, np.array(score, np.float64), np.array(label, bool), row)

    @classmethod
    def of(cls, trials: Trials, corpus: Corpus, scores: np.ndarray) -> ScoreTable:
        """The scores (n_trials,) of a trial list, with the corpus's utterance ids."""
        ids = tuple(utterance.id for utterance in corpus.utterances)
        return cls(
            ids, trials.enrol, trials.test, np.asarray(scores, np.float64), trials.label, np.arange(len(trials)) + 2
        )


def read_scores(path: Path) -> ScoreTable:
    """Read TSV (or other white space) with a header, or Parquet: enrol, test, score, label in any order.

    Labels are 1/0 or target/nontarget; further columns are ignored. Raises ScoreError, naming row and
    column (the header is row 1), for a missing file or column, a column that stands twice, a row of another
    length, an unknown label, a score that is no finite number, and a trial whose label contradicts another row.
    """
    content = read_content(path, ScoreError, EXPECTED)
    try:
        parts = list(_parquet_parts(content, path) if content[:4] == b"PAR1" else _text_parts(content, path))
    except pa.ArrowException as error:
        raise ScoreError(f"{path}: cannot be read ({str(error).splitlines()[0]}); expected {EXPECTED}") from error
    return _joined(parts, path)


def write_scores(path: Path, table: ScoreTable) -> None:
    """Write Parquet where the name ends in .parquet, TSV otherwise; atomically."""
    names = pa.array(table.names, pa.string())
    sides = [names.take(pa.array(side)) for side in (table.enrol, table.test)]
    if path.suffix == ".parquet":
        columns = (*sides, pa.array(table.score), pa.array(table.label))
        content = pa.table(dict(zip(COLUMNS, columns, strict=True)))
        write_atomic(path, lambda temporary: pq.write_table(content, temporary))
        return
    rows = ["\t".join(COLUMNS)]
    cells = (*(side.to_pylist() for side in sides), table.score.tolist(), table.label)
    for enrol, test, score, label in zip(*cells, strict=True):
        rows.append(f"{enrol}\t{test}\t{score!r}\t{int(label)}")
    write_text(path, "\n".join(rows) + "\n")


def repeated_trials(table: ScoreTable) -> str | None:
    """How many rows repeat a trial of an earlier row, in words; None where none does."""
    pairs = np.sort(table.enrol.astype(np.int64) * len(table.names) + table.test)
    again = int((pairs[1:] == pairs[:-1]).sum())
    if not again:
        return None
    return f"{again} of {len(table)} rows repeat a trial of an earlier row; each counts as often as it stands there"


@dataclass(frozen=True, eq=False)
class _Part:
    """Some rows of a file; `names` are those of this part."""

    names: Sequence[str]
    enrol: np.ndarray
    test: np.ndarray
    score: np.ndarray
    label: np.ndarray
    row: np.ndarray


def _text_parts(content: bytes, path: Path) -> Iterator[_Part]:
    end = content.find(b"\n") + 1 or len(content)
    first = decode(content[:end], path, ScoreError)
    if not first.strip():
        raise ScoreError(f"{path}: {'no header in row 1' if content else 'empty'}; expected {EXPECTED}")
    tabs = "\t" in first
    header = [cell.strip().lower() for cell in (first.rstrip("\r\n").split("\t") if tabs else fields(first))]
    at = _find_columns(header, path)
    number = 2
    while end < len(content):
        start, end = end, content.find(b"\n", end + PIECE) + 1 or len(content)
        piece = content[start:end]
        found = _quick(piece, tabs, len(header), at, number)
        yield found or _by_line(_decoded(piece, content, path), tabs, len(header), at, path, number)
        number += piece.count(b"\n")


def _decoded(piece: bytes, content: bytes, path: Path) -> str:
    try:
        return decode(piece, path, ScoreError)
    except ScoreError:
        return decode(content, path, ScoreError)  # which names the row


def _quick(piece: bytes, tabs: bool, width: int, at: Sequence[int], number: int) -> _Part | None:
    """The rows of a piece of text without a peculiarity; None where there is one, be it right or wrong."""
    piece = piece.replace(b"\r\n", b"\n")
    if not tabs:
        piece = piece.replace(b" ", b"\t")
        while b"\t\t" in piece:
            piece = piece.replace(b"\t\t", b"\t")
    if b"\r" in piece or b"\xef\xbb\xbf" in piece or b"\x00" in piece:
        return None
    names = [str(index) for index in range(width)]
    kinds = (pa.dictionary(pa.int32(), pa.string()),) * 2 + (pa.float64(), pa.dictionary(pa.int32(), pa.string()))
    try:
        table = csv.read_csv(
            pa.BufferReader(piece),
            read_options=csv.ReadOptions(column_names=names, block_size=2 * PIECE, use_threads=False),
            parse_options=csv.ParseOptions(delimiter="\t", quote_char=False, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types={str(index): kind for index, kind in zip(at, kinds, strict=True)},
                include_columns=[str(index) for index in at],
                null_values=[],
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowException:
        return None
    try:
        return _part([column.combine_chunks() for column in table.columns], np.arange(number, number + len(table)))
    except _Odd:
        return None


class _Odd(Exception):
    """A cell that only the reader of single cells can judge; its column and its place in it."""

    def __init__(self, column: str, place: int) -> None:
        self.column = column
        self.place = place


def _part(columns: Sequence[pa.Array], row: np.ndarray) -> _Part:
    """From arrays of ids and labels (any type) and scores (numbers). Raises _Odd at the first that does not fit."""
    names: dict[str, int] = {}
    sides = []
    for column, cells in zip(COLUMNS, columns[:2], strict=False):
        codes, values = _coded(cells, column)
        texts = [str(value) for value in values]
        odd = [place for place, text in enumerate(texts) if not text or text != text.strip()]
        if odd:
            raise _Odd(column, int(np.argmax(np.isin(codes, odd))))
        sides.append(np.array([names.setdefault(text, len(names)) for text in texts], np.int32)[codes])
    scores = columns[2].to_numpy(zero_copy_only=False).astype(np.float64)
    if columns[2].null_count or not np.isfinite(scores).all():
        raise _Odd("score", int(np.argmin(np.isfinite(scores))))
    codes, values = _coded(columns[3], "label")
    read = [LABELS.get(str(value).lower()) for value in values]
    if None in read:
        raise _Odd("label", int(np.argmax(np.isin(codes, [place for place, one in enumerate(read) if one is None]))))
    return _Part(tuple(names), sides[0], sides[1], scores, np.array(read, bool)[codes], row.astype(np.int32))


def _coded(cells: pa.Array, column: str) -> tuple[np.ndarray, list[Any]]:
    """Codes (n,) and the values that they stand for."""
    if not pa.types.is_dictionary(cells.type):
        try:
            cells = cells.dictionary_encode()
        except pa.ArrowException:  # lists, structures
            raise _Odd(column, 0) from None
    if cells.null_count:
        raise _Odd(column, int(np.argmax(cells.is_null().to_numpy(zero_copy_only=False))))
    return cells.indices.to_numpy(zero_copy_only=False), cells.dictionary.to_pylist()


def _by_line(text: str, tabs: bool, width: int, at: Sequence[int], path: Path, number: int) -> _Part:
    """Every cell of a piece of text by itself. Raises ScoreError for the first that does not fit."""
    kept: list[list[str]] = [[], [], [], []]
    rows: list[int] = []
    for row, line in enumerate(lines(text), start=number):
        if not line.strip():
            continue
        cells = line.split("\t") if tabs else fields(line)
        if len(cells) != width:
            raise ScoreError(f"{path}: row {row}: {len(cells)} columns, the header has {width}")
        for column, index in zip(kept, at, strict=True):
            column.append(cells[index].strip())
        rows.append(row)
    return _of_cells(kept, path, np.array(rows, np.int64))


def _of_cells(kept: Sequence[Sequence[Any]], path: Path, row: np.ndarray) -> _Part:
    """The same of single cells as text, which may be numbers in any writing."""
    scores = []
    for place, cell in enumerate(kept[2]):
        try:
            scores.append(_finite(cell))
        except (TypeError, ValueError):
            raise _unfit(path, "score", cell, int(row[place])) from None
    columns = [pa.array(cells) for cells in (kept[0], kept[1], scores, kept[3])]
    try:
        return _part(columns, row)
    except _Odd as odd:
        raise _unfit(path, odd.column, kept[COLUMNS.index(odd.column)][odd.place], int(row[odd.place])) from None


def _unfit(path: Path, column: str, cell: object, row: int) -> ScoreError:
    expected = {"score": "a finite number", "label": "1, 0, target or nontarget"}.get(column, "an utterance id")
    return ScoreError(f"{path}: row {row}: column {column} has {cell!r}; expected {expected}")


def _finite(cell: Any) -> float:
    value, text = float(cell), str(cell)
    if not np.isfinite(value) or "_" in text or not text.isascii():  # Python reads 1_000 and digits of other scripts
        raise ValueError
    return value


def _parquet_parts(content: bytes, path: Path) -> Iterator[_Part]:
    file = pq.ParquetFile(pa.BufferReader(content))
    header = file.schema_arrow.names
    chosen = [header[index] for index in _find_columns([name.lower() for name in header], path)]
    start = 1
    for batch in file.iter_batches(ROWS, columns=chosen, use_threads=False):
        row = np.arange(start, start + len(batch))
        columns = [batch.column(name) for name in chosen]
        start += len(batch)
        try:
            if not (pa.types.is_floating(columns[2].type) or pa.types.is_integer(columns[2].type)):
                raise _Odd("score", 0)
            yield _part(columns, row)
        except _Odd:
            yield _of_cells([column.to_pylist() for column in columns], path, row)


def _find_columns(header: list[str], path: Path) -> list[int]:
    for name in COLUMNS:
        if header.count(name) != 1:
            missing = ", ".join(each for each in COLUMNS if each not in header)
            what = f"no column {missing}" if missing else f"{header.count(name)} columns {name}"
            raise ScoreError(f"{path}: row 1: {what}; needed: {' '.join(COLUMNS)}, each once")
    return [header.index(name) for name in COLUMNS]


def _joined(parts: Iterable[_Part], path: Path) -> ScoreTable:
    names: dict[str, int] = {}
    kept: dict[str, list[np.ndarray]] = {name: [] for name in (*COLUMNS, "row")}
    for part in parts:
        code = np.array([names.setdefault(name, len(names)) for name in part.names], np.int32)
        for name in kept:
            values = getattr(part, name)
            kept[name].append(code[values] if name in ("enrol", "test") else values)
    if not kept["row"]:
        raise ScoreError(f"{path}: no trials; expected {EXPECTED}")
    table = ScoreTable(tuple(names), **{name: np.concatenate(values) for name, values in kept.items()})
    _refuse_contradictions(table, path)
    return table


def _refuse_contradictions(table: ScoreTable, path: Path) -> None:
    """Raises ScoreError for two rows that give one pair of utterances, in either order, different labels."""
    itself = np.flatnonzero((table.enrol == table.test) & ~table.label)
    if len(itself):
        place = int(itself[0])
        raise ScoreError(
            f"{path}: row {table.row[place]}: {table.names[table.enrol[place]]!r} against itself is called a non-target"
        )
    low, high = np.minimum(table.enrol, table.test), np.maximum(table.enrol, table.test)
    pairs = low.astype(np.int64) * len(table.names) + high
    ordered = np.sort(2 * pairs + table.label)
    both = ordered[1:][(ordered[1:] == ordered[:-1] + 1) & (ordered[1:] % 2 == 1)] // 2
    if len(both):
        found = np.flatnonzero(np.isin(pairs, both))
        first = int(found[0])
        other = int(found[(pairs[found] == pairs[first]) & (table.label[found] != table.label[first])][0])
        names = [table.names[side[other]] for side in (table.enrol, table.test)]
        raise ScoreError(
            f"{path}: row {table.row[other]}: {names[0]!r} and {names[1]!r} "
            f"are a {'target' if table.label[other] else 'non-target'} trial, and not in row {table.row[first]} "
            f"({len(both)} such pairs); correct one of them"
        )
