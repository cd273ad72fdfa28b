"""The file of a gallery in SQLite: found, opened, checked, and what SQLite says of it told in one line."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from shortvox.errors import GalleryDownError, GalleryError
from shortvox.textfiles import shown

APPLICATION = 0x53565847  # "SVXG", in the file's head
FORMAT = 1
PATIENCE = 20.0  # seconds that a writer waits for another
_PAUSE = 0.02
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


def look(path: Path, create: bool) -> bool:
    """Whether there is a file; raises GalleryError for what cannot be one."""
    if path.is_dir():
        raise GalleryError(f"{shown(path)}: is a folder; name a file for the gallery in it")
    if path.exists():
        if not path.is_file():
            raise GalleryError(f"{shown(path)}: not a regular file; name another for the gallery")
        return path.stat().st_size > 0
    if not create:
        raise GalleryError(f"{shown(path)}: no such gallery; `shortvox enroll` makes one")
    if not path.parent.is_dir():
        raise GalleryError(f"{shown(path)}: no such folder; make it first")
    with suppress(FileExistsError):  # voices are for nobody else's eyes
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return False


def connect(path: Path, there: bool, read_only: bool) -> sqlite3.Connection:
    """The gallery in the file at `path`, made where it was not `there`."""
    where = f"file:{quote(str(path.absolute()))}"
    logged = Path(f"{path}-wal").exists()
    # A log that is not there cannot be made beside a file in a folder that cannot be written.
    mode = "rw" if not read_only else "ro" if logged or os.access(path.parent, os.W_OK) else "immutable"
    uri = f"{where}?immutable=1" if mode == "immutable" else f"{where}?mode={mode}"
    base = sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        _prepare(base, path, there, read_only)
    except BaseException:
        base.close()
        raise
    return base


@contextmanager
def transaction(base: sqlite3.Connection) -> Iterator[None]:
    """All that is written inside, or nothing of it."""
    base.execute("BEGIN IMMEDIATE")
    try:
        yield
        base.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk has rolled back already
            base.execute("ROLLBACK")
        raise


def _prepare(base: sqlite3.Connection, path: Path, there: bool, read_only: bool) -> None:
    base.execute("PRAGMA temp_store = MEMORY")  # no pages in temporary files
    base.execute("PRAGMA foreign_keys = ON")
    if there:
        _check(base, path)
    if read_only:
        if not there:
            raise GalleryError(f"{shown(path)}: is empty and cannot be written; name another file")
        base.execute("PRAGMA query_only = ON")
        return
    base.execute("PRAGMA secure_delete = ON")
    _log_ahead(base)
    base.execute("PRAGMA synchronous = FULL")
    if not base.execute("PRAGMA application_id").fetchone()[0]:
        with transaction(base):
            if not base.execute("PRAGMA application_id").fetchone()[0]:  # two may begin at once
                for statement in _TABLES.split(";"):
                    base.execute(statement)
                base.execute(f"PRAGMA application_id = {APPLICATION}")
                base.execute(f"PRAGMA user_version = {FORMAT}")
    _check(base, path)


def _check(base: sqlite3.Connection, path: Path) -> None:
    """Raises GalleryError for a database that is no gallery, or one of a later version."""
    found = base.execute("PRAGMA application_id").fetchone()[0]
    tables = base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if found != APPLICATION and (found or tables):
        raise GalleryError(f"{shown(path)}: a database of another program, not a gallery; name another file")
    version = base.execute("PRAGMA user_version").fetchone()[0]
    if found and version != FORMAT:
        raise GalleryError(
            f"{shown(path)}: a gallery of format {version}, this version reads {FORMAT}; update shortvox"
        )


def _log_ahead(base: sqlite3.Connection) -> None:
    """Switch to the write-ahead log, which SQLite refuses at once where another process is doing the same."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            base.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)


@contextmanager
def told(path: Path) -> Iterator[None]:
    """What SQLite says, as one line with the file and what to do."""
    try:
        yield
    except sqlite3.ProgrammingError as error:
        if "closed" not in str(error):
            raise
        raise GalleryError(f"{shown(path)}: the gallery is closed; open it again") from None
    except OSError as error:
        raise GalleryDownError(
            f"{shown(path)}: cannot be used ({error.strerror or error}); check the file and its folder"
        ) from None
    except sqlite3.Error as error:
        raise GalleryDownError(f"{shown(path)}: {_said(error)}") from None


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


def writable(path: Path) -> bool:
    return os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))
