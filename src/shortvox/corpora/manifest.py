"""`manifest.csv`: one row per utterance, paths relative to the manifest's folder and never outside it.

Columns: `utterance,speaker,path` are required, `session,duration,gender,start,channel` are understood, any other is
kept. A path may not be absolute and may not contain `..`. It may pass through a symbolic link that lies in
the folder: the importers make one (`audio`), so that recordings stay where they are.
"""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from shortvox.corpora.utterance import Utterance, channel_number, seconds_number
from shortvox.errors import CorpusError
from shortvox.files import write_text
from shortvox.textfiles import CONTROL, read_text

MANIFEST = "manifest.csv"
REQUIRED = ("utterance", "speaker", "path")
NAMES = ("utterance", "speaker")  # they stand in lists, one a line or parted by white space
STANDARD = ("utterance", "speaker", "session", "path", "duration", "gender")
PIECE = ("start", "channel")  # which part of the recording; written only where some utterance needs it
KNOWN = (*STANDARD, *PIECE)
LONGEST_PATH = 4096  # bytes


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one row; `row` counts lines as a spreadsheet does, so the header is row 1."""

    row: int
    kind: str
    message: str
    utterance: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The rows that can be used, each with its row number, and the problems of those that cannot."""

    path: Path
    rows: tuple[tuple[int, Utterance], ...]
    problems: tuple[Problem, ...]


def read_manifest(folder: Path) -> Manifest:
    """Read `folder/manifest.csv`, collecting the problems of single rows.

    Raises CorpusError where no row can be understood: no manifest, no header, a required column missing, not
    UTF-8.
    """
    folder = folder.absolute()
    path = folder / MANIFEST
    header, records = _read_table(path)
    rows: list[tuple[int, Utterance]] = []
    problems: list[Problem] = []
    first_row_of: dict[str, int] = {}
    for number, cells in records:
        cell = dict(zip(header, cells, strict=False))
        found = (
            _parse(folder, cell)
            if len(cells) == len(header)
            else ("malformed row", f"{len(cells)} cells under {len(header)} columns")
        )
        if isinstance(found, Utterance) and found.id in first_row_of:
            found = (
                "duplicate id",
                f"column utterance: {found.id!r} is also in row "
                f"{first_row_of[found.id]}; give each utterance its own id",
            )
        if isinstance(found, Utterance):
            first_row_of[found.id] = number
            rows.append((number, found))
        else:
            problems.append(Problem(number, found[0], found[1], cell.get("utterance", "")))
    return Manifest(path, tuple(rows), tuple(problems))


def write_manifest(folder: Path, utterances: Iterable[Utterance]) -> None:
    """Write `folder/manifest.csv` (atomically), with paths relative to `folder`.

    Raises CorpusError for an utterance whose recording lies outside the folder, and for one whose row could not be
    read back.
    """
    folder = folder.absolute()
    utterances = tuple(utterances)
    piece = tuple(name for name in PIECE if any(u.column(name) for u in utterances))
    extra = tuple(dict.fromkeys(name for u in utterances for name, _ in u.extra))
    header = (*STANDARD, *piece, *extra)
    lines = [",".join(map(_quoted, header))]
    for u in utterances:
        if not u.path.is_relative_to(folder):
            raise CorpusError(
                f"{folder / MANIFEST}: {u.path} lies outside the corpus folder; move or link the recordings into it"
            )
        relative = u.path.relative_to(folder).as_posix()
        refuse_row(u, relative)
        cell = {**dict(u.extra), **{name: u.column(name) for name in KNOWN}, "path": relative}
        lines.append(",".join(_quoted(cell.get(name, "")) for name in header))
    write_text(folder / MANIFEST, "\n".join(lines) + "\n")


def refuse_row(u: Utterance, relative: str) -> None:
    """Raises CorpusError, naming the recording, for an utterance whose row in a manifest could not be read back."""
    found = _parse(Path(), {**{name: u.column(name) for name in KNOWN}, "path": relative})
    if not isinstance(found, Utterance):
        raise CorpusError(f"{str(u.path)!r}: {found[1]}")


def _quoted(text: str) -> str:
    """Python's csv writer leaves a carriage return unquoted, and then reads it as the end of a row."""
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text


def _read_table(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    text = read_text(path, CorpusError, "a table of utterances (`shortvox corpus import` makes one)")
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        records = [(number, cells) for number, cells in enumerate(lines, start=1) if cells]
    except csv.Error as error:
        raise CorpusError(f"{path}: row {lines.line_num}: not CSV ({error})") from None
    if not records:
        raise CorpusError(f"{path}: empty; the first row must name the columns {','.join(STANDARD)}")
    header = records[0][1]
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise CorpusError(f"{path}: row 1: column {missing[0]} is missing; the columns are {','.join(STANDARD)}")
    repeated = [name for name, times in Counter(header).items() if times > 1]
    if repeated:
        raise CorpusError(f"{path}: row 1: column {repeated[0]!r} appears more than once")
    return header, iter(records[1:])


def _parse(folder: Path, cell: Mapping[str, str]) -> Utterance | tuple[str, str]:
    """An utterance, or (kind of problem, message), of one row: its text by column."""
    for name in REQUIRED:
        if not cell[name].strip():
            return "malformed row", f"column {name}: empty"
        if CONTROL.search(cell[name]):
            return "malformed row", (
                f"column {name}: {cell[name]!r} holds a control character such as a tab or a "
                "line end, which lists cannot hold; remove it"
            )
    for name in NAMES:
        if cell[name] != cell[name].strip():
            return "malformed row", f"column {name}: {cell[name]!r} begins or ends with a space; remove it"
    if len(os.fsencode(cell["path"])) > LONGEST_PATH:
        return "malformed row", f"column path: longer than {LONGEST_PATH} bytes, which no file system takes"
    if _leaves(cell["path"]):
        return "path outside", (
            f"column path: {cell['path']!r} leaves the corpus folder; use a path relative to the manifest, without '..'"
        )
    numbers: dict[str, float | None] = {}
    for name, positive in (("duration", True), ("start", False)):
        text = cell.get(name, "").strip()
        numbers[name] = seconds_number(text) if text else None
        value = numbers[name]
        if text and (value is None or value < 0 or (positive and value == 0)):
            bound = "above 0" if positive else "from 0 up"
            return "malformed row", f"column {name}: {text!r} is not a number of seconds {bound}"
    text = cell.get("channel", "").strip()
    channel = channel_number(text)
    if text and channel is None:
        return "malformed row", f"column channel: {text!r} is not a channel of the recording, counted 0, 1, 2, …"
    return Utterance(
        id=cell["utterance"],
        speaker=cell["speaker"],
        path=folder / cell["path"],
        session=cell.get("session", ""),
        duration=numbers["duration"],
        gender=cell.get("gender", ""),
        start=numbers["start"] or 0.0,
        channel=channel,
        extra=tuple((name, text) for name, text in cell.items() if name not in KNOWN),
    )


def _leaves(text: str) -> bool:
    """Judged by the text alone: `audio/../x` is refused too, for `audio` may be a link to anywhere."""
    path = PurePosixPath(text)
    return path.is_absolute() or bool(PureWindowsPath(text).anchor) or ".." in path.parts
