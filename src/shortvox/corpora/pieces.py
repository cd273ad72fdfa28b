"""The same speech in two rows: under two speakers, or twice under one. No recording needs to be opened to see it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from shortvox.corpora.manifest import Problem
from shortvox.corpora.utterance import Utterance

OVERLAP = 0.1  # seconds; the ends of neighbouring pieces are rounded, and marked by hand

Row = tuple[int, Utterance]


def shared_speech(rows: Iterable[Row]) -> list[Problem]:
    """Pieces of one recording and channel that overlap and belong to two speakers; pieces of one speaker that are
    listed twice, or lie in two files whose names differ in the suffix only, as where a corpus was converted.
    """
    rows = tuple(rows)
    of_file: dict[Path, list[Row]] = {}
    for row in rows:
        of_file.setdefault(row[1].path, []).append(row)
    found = [problem for own in of_file.values() for problem in _two_voices(own)]
    found += _listed_twice(rows)
    found += _other_formats([own[0] for own in of_file.values()])
    return found


def _two_voices(rows: Sequence[Row]) -> Iterator[Problem]:
    """One finding for each piece that begins before a piece of another speaker has ended."""
    # For each channel, the pieces of two speakers that end last: one of the two is not the speaker of the next piece.
    latest: dict[int | None, list[tuple[float, Row]]] = {}
    for number, u in sorted(rows, key=lambda row: row[1].start):
        same = latest.values() if u.channel is None else (latest.get(u.channel, []), latest.get(None, []))
        before = [
            (end, row)
            for ending in same
            for end, row in ending
            if row[1].speaker != u.speaker and end > u.start + OVERLAP
        ]
        if before:
            _, (row, other) = max(before, key=lambda found: found[0])
            yield Problem(
                number,
                "two speakers",
                f"{u.path}: speaker {u.speaker!r} from {u.start:g} s, where speaker {other.speaker!r} of row {row} is "
                "still heard; correct the times, the channel or the speaker",
                u.id,
            )
        end = float("inf") if u.duration is None else u.start + u.duration
        ends = [*latest.get(u.channel, []), (end, (number, u))]
        ends.sort(key=lambda found: -found[0])
        others = [found for found in ends if found[1][1].speaker != ends[0][1][1].speaker]
        latest[u.channel] = [ends[0], *others[:1]]


def _listed_twice(rows: Sequence[Row]) -> Iterator[Problem]:
    first: dict[tuple[object, ...], int] = {}
    for number, u in rows:
        piece = (u.speaker, u.path, u.start, u.duration, u.channel)
        if piece in first:
            message = f"{u.path}: the same piece as row {first[piece]}; a trial would compare it with itself: keep one"
            yield Problem(number, "listed twice", message, u.id)
        first.setdefault(piece, number)


def _other_formats(rows: Sequence[Row]) -> Iterator[Problem]:
    first: dict[tuple[str, Path], Row] = {}
    for number, u in rows:
        key = (u.speaker, u.path.with_suffix(""))
        row, other = first.setdefault(key, (number, u))
        if row != number:
            message = f"{u.path}: row {row} has {other.path.name}, which seems to be the same recording: keep one"
            yield Problem(number, "two formats", message, u.id)
