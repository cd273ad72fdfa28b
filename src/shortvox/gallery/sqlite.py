"""Voices in one SQLite file. The default engine, for one machine: exact search, several readers and writers.

Writes are transactions (write-ahead log, `BEGIN IMMEDIATE`, synced): a kill loses only what was not committed, and of
two writers one waits. What is deleted is overwritten with zeros, in the log too. Search is in memory: the centres of
all voices are read at the first search, later only those that were added, and all again after a removal.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from shortvox.errors import GalleryDownError, GalleryError
from shortvox.gallery.engine import Kept, Nearby, Stored, Tally, already_there, engine
from shortvox.gallery.matrix import Matrix
from shortvox.gallery.sqlitefile import connect, look, told, transaction, writable
from shortvox.textfiles import shown
from shortvox.verification.space import Space

_PAGE = 1000  # voices read at once
_STORED = """
SELECT name, spaces.space, embeddings, seconds, enrolled_at, consent, coalesce(compared, 0), coalesce(matched, 0),
    closest, EXISTS (SELECT 1 FROM audio WHERE audio.id = voices.id)
FROM voices JOIN spaces ON spaces.key = voices.space LEFT JOIN tallies USING (id)
"""


@engine("sqlite")
def open_sqlite(address: str, create: bool, read_only: bool) -> SqliteEngine:
    """The gallery in a file, made with its first voice where there is none and `create`."""
    return SqliteEngine(address, create, read_only)


class SqliteEngine:
    def __init__(self, address: str, create: bool = True, read_only: bool = False) -> None:
        self.address = address
        self._path = Path(address)
        self._guard = threading.RLock()
        self._memory: tuple[str, int, int, Matrix] | None = None  # space, removals, highest id, centres
        with told(self._path):
            there = look(self._path, create and not read_only)
            self.read_only = read_only or not writable(self._path)
            self._base = connect(self._path, there, self.read_only)

    def space(self) -> Space | None:
        rows = self._rows("SELECT space FROM spaces WHERE current")
        return Space(**json.loads(rows[0][0])) if rows else None

    def use(self, space: Space) -> None:
        with self._writing() as base:
            base.execute("UPDATE spaces SET current = 0")
            base.execute(
                "INSERT INTO spaces VALUES (?, ?, 1) ON CONFLICT (key) DO UPDATE SET current = 1",
                (space.key, json.dumps(asdict(space))),
            )

    def names(self, most: int) -> list[str]:
        return [name for (name,) in self._rows("SELECT name FROM voices ORDER BY name LIMIT ?", most)]

    def get(self, name: str) -> Stored | None:
        rows = self._rows(f"{_STORED} WHERE name = ?", name)
        return _stored(rows[0]) if rows else None

    def each(self) -> Iterator[Stored]:
        after = ""  # no voice has the empty name; pages keep the read transactions short
        while rows := self._rows(f"{_STORED} WHERE name > ? ORDER BY name LIMIT ?", after, _PAGE):
            yield from map(_stored, rows)
            after = rows[-1][0]

    def audio(self, name: str) -> bytes | None:
        rows = self._rows("SELECT sealed FROM audio JOIN voices USING (id) WHERE name = ?", name)
        return rows[0][0] if rows else None

    def put(self, voices: Iterable[Kept], *, replace: bool = False) -> int:
        dims: dict[str, int] = {}  # of each space
        count = 0
        with self._writing() as base:
            for stored, sealed in voices:
                if replace:
                    self._forget(stored.name)
                elif base.execute("SELECT 1 FROM voices WHERE name = ?", (stored.name,)).fetchone():
                    raise already_there(self.address, stored.name)
                key, dim = stored.space.key, stored.embeddings.shape[1]
                if key not in dims:
                    base.execute(
                        "INSERT INTO spaces VALUES (?, ?, 0) ON CONFLICT DO NOTHING",
                        (key, json.dumps(asdict(stored.space))),
                    )
                    row = base.execute("SELECT length(centre) / 4 FROM voices WHERE space = ?", (key,)).fetchone()
                    dims[key] = row[0] if row else dim
                if dim != dims[key]:
                    raise GalleryError(
                        f"{shown(self._path)}: '{stored.name}' has embeddings of {dim} dimensions, the other voices of "
                        f"its model of {dims[key]}; enrol it again"
                    )
                self._insert(stored, sealed)
                count += 1
        if replace:
            self._leave_no_trace()
        return count

    def remove(self, name: str) -> bool:
        with self._writing():
            found = self._forget(name)
        self._leave_no_trace()  # also of what an earlier removal, which was killed, left in the log
        return found

    def nearest(self, space: Space, query: np.ndarray, most: int) -> Nearby:
        with self._guard, told(self._path):
            self._base.execute("BEGIN")  # one state of the file for all that is read
            try:
                matrix = self._refreshed(space)
                ids = matrix.nearest(np.ascontiguousarray(query, np.float32), most)
                marks = ",".join("?" * len(ids))
                sql = f"SELECT id, name, centre, speech, recordings FROM voices WHERE id IN ({marks})"
                rows = {row[0]: row[1:] for row in self._base.execute(sql, ids.tolist())}
            finally:
                self._base.execute("COMMIT")
        found = [rows[number] for number in ids.tolist()]
        centres = np.stack([_vector(row[1]) for row in found]) if found else np.empty((0, len(query)), np.float32)
        seconds = np.array([row[2] for row in found], np.float64)
        recordings = np.array([row[3] for row in found], np.int64)
        return Nearby(matrix.count, tuple(row[0] for row in found), centres, seconds, recordings)

    def record(self, tallies: Mapping[str, Tally]) -> None:
        with self._writing() as base:
            base.executemany(
                "INSERT INTO tallies SELECT id, ?, ?, ? FROM voices WHERE name = ? ON CONFLICT (id) DO UPDATE SET "
                "compared = compared + excluded.compared, matched = matched + excluded.matched, "
                "closest = max(closest, excluded.closest)",
                [(tally.compared, tally.matched, tally.closest, name) for name, tally in tallies.items()],
            )

    def close(self) -> None:
        with self._guard:
            self._base.close()

    def _insert(self, stored: Stored, sealed: bytes | None) -> None:
        vectors = np.ascontiguousarray(stored.embeddings, np.float32)
        number = self._base.execute(
            "INSERT INTO voices (name, space, recordings, speech, centre, seconds, enrolled_at, consent, embeddings) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(stored.name, stored.space.key, len(stored.seconds), sum(stored.seconds), stored.centre.tobytes()),
                *(np.array(stored.seconds, np.float64).tobytes(), stored.enrolled_at.isoformat(), stored.consent),
                vectors.tobytes(),
            ),
        ).lastrowid
        if stored.compared and stored.closest is not None:
            tally = (number, stored.compared, stored.matched, stored.closest)
            self._base.execute("INSERT INTO tallies VALUES (?, ?, ?, ?)", tally)
        if sealed is not None:
            self._base.execute("INSERT INTO audio VALUES (?, ?)", (number, sealed))

    def _forget(self, name: str) -> bool:
        if not self._base.execute("DELETE FROM voices WHERE name = ?", (name,)).rowcount:
            return False
        self._base.execute("UPDATE removals SET count = count + 1")
        return True

    def _leave_no_trace(self) -> None:
        """Pages are overwritten by now (`secure_delete`), but the log still holds them as they were."""
        with self._guard, told(self._path):
            busy = self._base.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise GalleryError(
                f"{shown(self._path)}: the voice is removed, but another program reads the gallery, so that its log "
                "keeps traces; close that program, or remove any voice again"
            )

    def _refreshed(self, space: Space) -> Matrix:
        """The centres of a space as the file has them now."""
        base = self._base
        removals = base.execute("SELECT count FROM removals").fetchone()[0]
        memory, self._memory = self._memory, None  # nothing is remembered where reading fails half way
        if memory is None or memory[:2] != (space.key, removals):
            memory = (space.key, removals, 0, Matrix())
        _, _, last, matrix = memory
        highest = base.execute("SELECT max(id) FROM voices WHERE space = ?", (space.key,)).fetchone()[0] or 0
        if highest > last:
            sql = "SELECT id, centre FROM voices WHERE space = ? AND id > ? ORDER BY id"
            matrix.add(base.execute(sql, (space.key, last)))
        self._memory = (space.key, removals, highest, matrix)
        return matrix

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._guard, told(self._path):
            return self._base.execute(sql, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """All that is written inside, or nothing of it."""
        if self.read_only:
            raise GalleryDownError(f"{shown(self._path)}: is read-only; change its permissions, or work on a copy")
        with self._guard, told(self._path):
            try:
                with transaction(self._base):
                    yield self._base
            except BaseException:
                self._memory = None  # it may know what is not there
                raise


def _vector(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.float32)


def _stored(row: tuple[Any, ...]) -> Stored:
    name, space, embeddings, seconds, enrolled_at, consent, compared, matched, closest, audio = row
    lengths = np.frombuffer(seconds, np.float64)
    return Stored(
        name,
        Space(**json.loads(space)),
        _vector(embeddings).reshape(len(lengths), -1),
        tuple(lengths.tolist()),
        datetime.fromisoformat(enrolled_at),
        consent,
        compared,
        matched,
        closest,
        bool(audio),
    )
