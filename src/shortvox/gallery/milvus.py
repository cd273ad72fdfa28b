"""Voices in Milvus, beyond one machine: `milvus:http://host:19530` is a server or a cluster, `milvus:PATH.db` a folder.

Needs the extra `[milvus]`; the folder is milvus-lite's. A token or `user:password` comes from $SHORTVOX_MILVUS_TOKEN; a
path after the port names a database. Search is exact (index FLAT, inner product). Milvus has no transactions: a voice
becomes visible by one row, which is written after all else of it, and several voices are written one after another; of
two who write one name at once, the later stays.

    shortvox_voices_KEY   a row for each voice of the space KEY, with its centre
    shortvox_parts        embeddings and sealed audio, in pieces of text that fit into a field
    shortvox_facts        what the gallery is (its space and format), and the counts of each voice
"""

from __future__ import annotations

import base64
import logging
import os
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from shortvox.errors import GalleryDownError, GalleryError
from shortvox.gallery.engine import Kept, Nearby, Stored, Tally, already_there, engine, key_of
from shortvox.gallery.milvusrows import EMPTY, FACTS, PARTS, VOICES, pages, piece, pieces_of, row_of, table_of
from shortvox.verification.space import Space

TOKEN = "SHORTVOX_MILVUS_TOKEN"
FORMAT = 1
_PIECE = 45_000  # bytes; 60,000 characters in base64, of the 65,535 that a field holds
_PAGE = 100  # rows at once: a message of pieces stays far below Milvus's limit
_MOST_ROWS = 16_384  # that Milvus gives for one query


@engine("milvus")
def open_milvus(address: str, create: bool, read_only: bool) -> MilvusEngine:
    return MilvusEngine(address, create, read_only)


class MilvusEngine:
    def __init__(self, place: str, create: bool = True, read_only: bool = False) -> None:
        self.address = f"milvus:{place}"
        self.read_only = read_only
        self._guard = threading.RLock()
        self._there: set[str] = set()  # collections that were made or seen
        remote = "://" in place
        if not remote:
            self._look(Path(place), create)
        try:
            from pymilvus import MilvusClient
        except ImportError:
            raise GalleryError("a gallery in Milvus needs its client; pip install 'shortvox[milvus]'") from None
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs what it raises as well
        with self._told():
            self._client = MilvusClient(place, **({"token": os.environ.get(TOKEN, "")} if remote else {}))
        try:
            self._check()
        except BaseException:
            self._client.close()
            raise

    def space(self) -> Space | None:
        found = self._facts(["gallery"]).get("gallery")
        return Space(**found["space"]) if found else None

    def use(self, space: Space) -> None:
        self._write_facts({"gallery": {"format": FORMAT, "space": asdict(space)}})

    def names(self, most: int) -> list[str]:
        return self._names()[:most]

    def get(self, name: str) -> Stored | None:
        return next(iter(self._stored([name])), None)

    def each(self) -> Iterator[Stored]:
        names = self._names()
        for at in range(0, len(names), _PAGE):
            yield from self._stored(names[at : at + _PAGE])

    def audio(self, name: str) -> bytes | None:
        for row in self._rows([name]):
            if row["about"]["pieces"]["audio"]:
                return self._joined(row["about"], "audio")
        return None

    def put(self, voices: Iterable[Kept], *, replace: bool = False) -> int:
        done: list[str] = []
        try:
            for page in pages(voices, _PAGE):
                with self._writing():
                    self._put(page, replace)
                done += [stored.name for stored, _ in page]
        except BaseException:
            if not replace:  # what was replaced cannot be had back
                for name in done:
                    self.remove(name)
            raise
        return len(done)

    def remove(self, name: str) -> bool:
        with self._writing():
            found = bool(self._rows([name]))
            for collection in self._spaces():
                self._delete(collection, ids=[key_of(name)])
            self._delete(PARTS, filter=f'owner == "{key_of(name)}"')  # also of a write that was killed
            self._delete(FACTS, ids=[key_of(name)])
        return found

    def nearest(self, space: Space, query: np.ndarray, most: int) -> Nearby:
        collection = VOICES + space.key
        if not self._has(collection):
            return Nearby(0, (), np.empty((0, len(query)), np.float32), np.empty(0), np.empty(0, np.int64))
        with self._guard, self._told():
            counted = self._client.query(collection, filter="", output_fields=["count(*)"])
            fields = ["name", "centre", "speech", "recordings"]
            vector = np.ascontiguousarray(query, np.float32)
            (found,) = self._client.search(collection, data=[vector], limit=most, output_fields=fields)
            rows = [hit["entity"] for hit in found]
        return Nearby(
            int(counted[0]["count(*)"]),
            tuple(row["name"] for row in rows),
            np.array([row["centre"] for row in rows], np.float32).reshape(-1, len(query)),
            np.array([row["speech"] for row in rows], np.float64),
            np.array([row["recordings"] for row in rows], np.int64),
        )

    def record(self, tallies: Mapping[str, Tally]) -> None:
        with self._writing():
            there = {key_of(row["name"]) for row in self._rows(list(tallies))}
            told = {key_of(name): tally for name, tally in tallies.items() if key_of(name) in there}
            known = self._facts(list(told))
            self._write_facts({key: asdict(_sum(known.get(key), tally)) for key, tally in told.items()})

    def close(self) -> None:
        with self._guard, self._told():
            self._client.close()

    def _put(self, page: list[Kept], replace: bool) -> None:
        """Pieces first; the row of a voice makes them count, at once; what it replaces goes last."""
        there = {row["id"]: row["name"] for row in self._rows([stored.name for stored, _ in page])}
        if there and not replace:
            raise already_there(self.address, next(iter(there.values())))
        rows: dict[str, list[dict[str, Any]]] = {}
        pieces: list[dict[str, Any]] = []
        counts: dict[str, dict[str, Any]] = {}
        for stored, sealed in page:
            key, version = key_of(stored.name), secrets.token_hex(16)
            parts = {"embeddings": stored.embeddings.astype(np.float32).tobytes(), "audio": sealed or b""}
            cut = {kind: pieces_of(key, version, kind, content, _PIECE) for kind, content in parts.items()}
            pieces += [piece for each in cut.values() for piece in each]
            numbers = {kind: len(each) for kind, each in cut.items()}
            rows.setdefault(VOICES + stored.space.key, []).append(row_of(stored, version, numbers))
            if stored.compared and stored.closest is not None:
                counts[key] = asdict(Tally(stored.compared, stored.matched, stored.closest))
        self._delete(FACTS, ids=[*there])
        self._write_facts(counts)
        self._upsert(PARTS, pieces)
        for collection, own in rows.items():
            self._upsert(collection, own, len(own[0]["centre"]))
            for row in own:
                if row["id"] in there:
                    self._forget_before(row["id"], row["about"]["version"], collection)

    def _forget_before(self, key: str, version: str, collection: str) -> None:
        """Remove what a voice was before its `version`."""
        for other in self._spaces():
            if other != collection:
                self._delete(other, ids=[key])
        self._delete(PARTS, filter=f'owner == "{key}" and version != "{version}"')

    def _joined(self, about: dict[str, Any], kind: str) -> bytes:
        """Embeddings or audio of a voice."""
        ids = [piece(about["version"], kind, number) for number in range(about["pieces"][kind])]
        found = {row["id"]: base64.b64decode(row["data"]) for row in self._by_id(PARTS, ids, ["id", "data"])}
        if len(found) < len(ids):
            raise GalleryError(f"{self.address}: {kind} of a voice are not all there; try again, or enrol it anew")
        return b"".join(found[one] for one in ids)

    def _stored(self, names: list[str]) -> list[Stored]:
        """The voices of these names that are there, sorted by name."""
        rows = sorted(self._rows(names), key=lambda row: row["name"])
        counts = self._facts([row["id"] for row in rows])
        found: list[Stored] = []
        for row in rows:
            about = row["about"]
            seconds = tuple(about["seconds"])
            content = self._joined(about, "embeddings")
            counted = counts.get(row["id"], {"compared": 0, "matched": 0, "closest": None})
            found.append(
                Stored(
                    row["name"],
                    Space(**about["space"]),
                    np.frombuffer(content, np.float32).reshape(len(seconds), -1),
                    seconds,
                    datetime.fromisoformat(about["enrolled_at"]),
                    about["consent"],
                    **counted,
                    keeps_audio=about["pieces"]["audio"] > 0,
                )
            )
        return found

    def _rows(self, names: list[str]) -> list[dict[str, Any]]:
        """Rows of voices of any space, without their centres; one for each name that is there."""
        keys = [key_of(name) for name in names]
        found = (row for collection in self._spaces() for row in self._by_id(collection, keys, ["id", "name", "about"]))
        return [*{row["id"]: row for row in found}.values()]

    def _names(self) -> list[str]:
        return sorted({name for collection in self._spaces() for name in self._names_in(collection)})

    def _names_in(self, collection: str, start: str = "") -> list[str]:
        """Names of the voices whose ids begin with `start`: all at once, or by their next digit where they are many."""
        with self._guard, self._told():
            found = self._client.query(
                collection, filter=f'id like "{start}%"', output_fields=["name"], limit=_MOST_ROWS
            )
        if len(found) < _MOST_ROWS:
            return [row["name"] for row in found]
        return [name for digit in "0123456789abcdef" for name in self._names_in(collection, start + digit)]

    def _spaces(self) -> list[str]:
        """The collections of voices, loaded."""
        with self._guard, self._told():
            found = sorted(name for name in self._client.list_collections() if name.startswith(VOICES))
            return [name for name in found if self._has(name)]

    def _facts(self, keys: list[str]) -> dict[str, dict[str, Any]]:
        return {row["id"]: row["value"] for row in self._by_id(FACTS, keys, ["id", "value"])}

    def _write_facts(self, facts: dict[str, dict[str, Any]]) -> None:
        with self._writing():
            self._upsert(FACTS, [{"id": key, "value": value, "empty": EMPTY} for key, value in facts.items()])

    def _by_id(self, collection: str, ids: list[str], fields: list[str]) -> list[dict[str, Any]]:
        if not ids or not self._has(collection):
            return []
        with self._guard, self._told():
            return [
                row
                for at in range(0, len(ids), _PAGE)
                for row in self._client.query(collection, ids=ids[at : at + _PAGE], output_fields=fields)
            ]

    def _upsert(self, collection: str, rows: list[dict[str, Any]], dim: int = len(EMPTY)) -> None:
        for at in range(0, len(rows), _PAGE):
            self._make(collection, dim)
            self._client.upsert(collection, rows[at : at + _PAGE])

    def _delete(self, collection: str, **which: Any) -> None:
        if self._has(collection) and which.get("ids") != []:
            self._client.delete(collection, **which)
            self._client.compact(collection)  # until then what is deleted is only hidden

    def _has(self, collection: str) -> bool:
        with self._guard, self._told():
            if collection not in self._there and self._client.has_collection(collection):
                self._client.load_collection(collection)  # a server that was started anew has loaded none
                self._there.add(collection)
        return collection in self._there

    def _make(self, collection: str, dim: int) -> None:
        """Make a collection where there is none yet."""
        if self._has(collection):
            return
        schema, index = table_of(collection, dim)
        self._client.create_collection(collection, schema=schema, index_params=index, consistency_level="Strong")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self.read_only:
            raise GalleryError(f"{self.address}: opened to be read only; open it for writing")
        with self._guard, self._told():
            yield

    def _check(self) -> None:
        found = self._facts(["gallery"]).get("gallery")
        if found and found.get("format") != FORMAT:
            version = found.get("format")
            raise GalleryError(
                f"{self.address}: a gallery of format {version}, this version reads {FORMAT}; update shortvox"
            )

    def _look(self, path: Path, create: bool) -> None:
        """Raises GalleryError for what milvus-lite cannot open."""
        if path.suffix != ".db":
            raise GalleryError(f"{self.address}: expected a path that ends in .db, or http://HOST:PORT")
        if path.is_file():
            raise GalleryError(f"{self.address}: a file, where milvus-lite keeps a folder; name another")
        if not create and not path.exists():
            raise GalleryError(f"{self.address}: no such gallery; `shortvox enroll` makes one")
        if path.is_dir() and not (path / "collections").is_dir() and any(path.iterdir()):
            raise GalleryError(f"{self.address}: a folder of something else; name another")
        if not path.absolute().parent.is_dir():
            raise GalleryError(f"{self.address}: no such folder to make it in; make it first")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What Milvus says, as one line with the address and what to do."""
        from pymilvus.exceptions import MilvusException

        try:
            yield
        except MilvusException as error:
            reason = " ".join(str(error.message).split())
            told = f"{self.address}: {reason[:300]}; check the server, or who has the file open"
            raise GalleryDownError(told) from None


def _sum(known: dict[str, Any] | None, tally: Tally) -> Tally:
    return Tally(**known) + tally if known else tally
