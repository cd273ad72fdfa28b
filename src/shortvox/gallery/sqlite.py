"""Voices in one SQLite file. The default engine, for one machine: exact search, several readers and writers.

Writes are transactions (write-ahead log, `BEGIN IMMEDIATE`, synced): a kill loses only what was not committed, and of
two writers one waits. What is deleted is overwritten with zeros, in the log too. Search is in memory: the centres of
all voices are read at the first search, later only those that were added, and all again after a removal.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from shortvox.errors import GalleryDownError, GalleryError
from shortvox.gallery.engine import Kept, Nearby, Stored, Tally, already_there, engine
from shortvox.gallery.matrix import Matrix
from shortvox.textfiles import shown
from shortvox.verification.space import Space

APPLICATION = 0x53565847  # "SVXG", in the file's head
FORMAT = 1
PATIENCE = 20.0  # seconds that a writer waits for another
_PAUSE = 0.02
_PAGE = 1000  # voices read at once
_TABLES = """
CREATE TABLE spaces (key TEXT PRIMARY KEY, space TEXT NOT NULL, current INTEGER NOT NULL);
CREATE TABLE voices (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, space TEXT NOT NULL REFERENCES spaces,
    recordings INTEGER NOT NULL, speech REAL NOT NULL, centre BLOB NOT NULL, seconds BLOB NOT NULL,
    enrolled_at TEXT NOT NULL, consent TEXT NOT NULL, embeddings BLOB NOT NULL
);
CREATE INDEX voices_of_space ON voices (space, id);
CREATE TABLE tallies (id INTEGER PRIMARY KEY REFERENCES voices ON DELETE CASCADE, compared INTEGER NOT NULL,
    matched INTEGER NOT NULL, closest REAL NOT NULL);
CREATE TABLE audio (id INTEGER PRIMARY KEY REFERENCES voices ON DELETE CASCADE, sealed BLOB NOT NULL);
CREATE TABLE removals (count INTEGER NOT NULL);
INSERT INTO removals VALUES (0);
"""
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
        with self._told():
            there = self._look(create and not read_only)
            self.read_only = read_only or not _writable(self._path)
            if not there and self.read_only:
                raise GalleryError(f"{shown(self._path)}: cannot be made here (read-only); choose another folder")
            self._base = self._connect()
            try:
                self._prepare(there)
            except BaseException:
                self._base.close()
                raise

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
        with self._guard, self._told():
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
        with self._guard, self._told():
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
        with self._guard, self._told():
            return self._base.execute(sql, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """All that is written inside, or nothing of it."""
        if self.read_only:
            raise GalleryDownError(f"{shown(self._path)}: is read-only; change its permissions, or work on a copy")
        with self._guard, self._told():
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
                self._base.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled back already
                    self._base.execute("ROLLBACK")
                self._memory = None
                raise

    def _look(self, create: bool) -> bool:
        """Whether there is a file; raises GalleryError for what cannot be one."""
        if self._path.is_dir():
            raise GalleryError(f"{shown(self._path)}: is a folder; name a file for the gallery in it")
        if self._path.exists():
            if not self._path.is_file():
                raise GalleryError(f"{shown(self._path)}: not a regular file; name another for the gallery")
            return self._path.stat().st_size > 0
        if not create:
            raise GalleryError(f"{shown(self._path)}: no such gallery; `shortvox enroll` makes one")
        if not self._path.parent.is_dir():
            raise GalleryError(f"{shown(self._path)}: no such folder; make it first")
        with suppress(FileExistsError):  # voices are for nobody else's eyes
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return False

    def _connect(self) -> sqlite3.Connection:
        where = f"file:{quote(str(self._path.absolute()))}"
        logged = Path(f"{self._path}-wal").exists()
        # A log that is not there cannot be made beside a file in a folder that cannot be written.
        mode = "rw" if not self.read_only else "ro" if logged or os.access(self._path.parent, os.W_OK) else "immutable"
        uri = f"{where}?immutable=1" if mode == "immutable" else f"{where}?mode={mode}"
        return sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False)

    def _prepare(self, there: bool) -> None:
        base = self._base
        base.execute("PRAGMA temp_store = MEMORY")  # no pages in temporary files
        base.execute("PRAGMA foreign_keys = ON")
        if there:
            self._check()
        if self.read_only:
            base.execute("PRAGMA query_only = ON")
            return
        base.execute("PRAGMA secure_delete = ON")
        self._log_ahead()
        base.execute("PRAGMA synchronous = FULL")
        if not base.execute("PRAGMA application_id").fetchone()[0]:
            with self._writing():
                if not base.execute("PRAGMA application_id").fetchone()[0]:  # two may begin at once
                    for statement in _TABLES.split(";"):
                        base.execute(statement)
                    base.execute(f"PRAGMA application_id = {APPLICATION}")
                    base.execute(f"PRAGMA user_version = {FORMAT}")
        self._check()

    def _check(self) -> None:
        """Raises GalleryError for a database that is no gallery, or one of a later version."""
        found = self._base.execute("PRAGMA application_id").fetchone()[0]
        tables = self._base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if found != APPLICATION and (found or tables):
            raise GalleryError(f"{shown(self._path)}: a database of another program, not a gallery; name another file")
        version = self._base.execute("PRAGMA user_version").fetchone()[0]
        if found and version != FORMAT:
            raise GalleryError(
                f"{shown(self._path)}: a gallery of format {version}, this version reads {FORMAT}; update shortvox"
            )

    def _log_ahead(self) -> None:
        """Switch to the write-ahead log, which SQLite refuses at once where another process is doing the same."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self._base.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What SQLite says, as one line with the file and what to do."""
        try:
            yield
        except sqlite3.ProgrammingError as error:
            if "closed" not in str(error):
                raise
            raise GalleryError(f"{shown(self._path)}: the gallery is closed; open it again") from None
        except OSError as error:
            raise GalleryDownError(
                f"{shown(self._path)}: cannot be used ({error.strerror or error}); check the file and its folder"
            ) from None
        except sqlite3.Error as error:
            raise GalleryDownError(f"{shown(self._path)}: {_said(error)}") from None


def _said(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    match code:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "locked by another program; wait for it, then try again"
        case sqlite3.SQLITE_FULL:
            return "the disk is full, nothing was stored; free some space"
        case sqlite3.SQLITE_READONLY:
            return "is read-only; change its permissions, or work on a copy"
        case sqlite3.SQLITE_NOTADB:
            return "not a gallery; name another file"
        case sqlite3.SQLITE_CORRUPT:
            return f"damaged ({error}); take it back from a copy"
        case _:
            return f"cannot be used ({error}); check the file, its folder and the disk"


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _writable(path: Path) -> bool:
    return os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))


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
