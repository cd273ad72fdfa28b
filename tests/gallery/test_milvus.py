"""What is special about Milvus: servers that end, pieces, what is no gallery of its."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gallery.fakes import ROOM, person, voice_of
from shortvox.errors import GalleryError
from shortvox.gallery import milvus
from shortvox.gallery.engine import Stored, key_of
from shortvox.gallery.milvus import MilvusEngine

Address = Callable[[str], str]


def opened(lite: Address, **options: bool) -> MilvusEngine:
    return MilvusEngine(lite("g").removeprefix("milvus:"), **options)


def kept(name: str, seed: int = 0) -> Stored:
    return Stored.of(name, voice_of(seed, (1.0, 2.0)), "")


@pytest.fixture
def engine(lite: Address) -> Iterator[MilvusEngine]:
    found = opened(lite)
    found.use(ROOM)
    yield found
    found.close()


@pytest.mark.parametrize(
    "asked",
    [
        lambda engine: engine.space() == ROOM,
        lambda engine: engine.names(9) == ["alice"],
        lambda engine: [each.name for each in engine.each()] == ["alice"],
        lambda engine: engine.nearest(ROOM, person(0), 3).names == ("alice",),
        lambda engine: engine.audio("alice") == bytes(100_000),
        lambda engine: engine.put([(kept("bob"), None)]) == 1,
        lambda engine: engine.remove("alice"),
    ],
)
def test_a_server_that_starts_again_has_all(
    engine: MilvusEngine, lite: Address, asked: Callable[[MilvusEngine], bool]
) -> None:
    """As the next process does, which loads what the last one wrote, whatever it is asked first."""
    from milvus_lite.server_manager import server_manager_instance

    engine.put([(kept("alice"), bytes(100_000))])
    server_manager_instance.release_all()
    assert asked(opened(lite, create=False))


def test_large_audio_goes_in_pieces_and_leaves_none(engine: MilvusEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus, "_PIECE", 1000)
    content = np.random.default_rng(0).bytes(123_456)
    engine.put([(kept("alice"), content), (kept("bob"), b"short")])
    assert engine.audio("alice") == content
    engine.put([(kept("alice", 1), content[:5000])], replace=True)
    assert engine.audio("alice") == content[:5000]
    assert pieces_of(engine, "alice") == 1 + 5
    engine.remove("alice")
    assert pieces_of(engine, "alice") == 0
    assert engine.audio("bob") == b"short"


def test_what_fails_on_the_way_leaves_nothing(engine: MilvusEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus, "_PAGE", 2)

    def voices() -> Iterator[tuple[Stored, bytes | None]]:
        for name in ("alice", "bob", "carla"):
            yield kept(name), b"audio"
        raise GalleryError("the file ends here")

    with pytest.raises(GalleryError, match="ends here"):
        engine.put(voices())
    assert engine.names(9) == []
    assert [pieces_of(engine, name) for name in ("alice", "bob", "carla")] == [0, 0, 0]


def test_a_voice_whose_last_row_was_not_written_is_not_there(
    engine: MilvusEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the pieces and the row; enrolling again leaves nothing of the first time."""
    upsert = engine._upsert

    def killed(collection: str, rows: list[dict[str, object]], dim: int = 2) -> None:
        if collection.startswith("shortvox_voices"):
            raise KeyboardInterrupt
        upsert(collection, rows, dim)

    monkeypatch.setattr(engine, "_upsert", killed)
    monkeypatch.setattr(engine, "remove", lambda name: False)
    with pytest.raises(KeyboardInterrupt):
        engine.put([(kept("alice"), b"audio")])
    monkeypatch.undo()
    assert engine.get("alice") is None
    assert pieces_of(engine, "alice") == 2
    engine.put([(kept("alice", 1), b"other")])
    assert engine.audio("alice") == b"other"
    engine.remove("alice")
    assert pieces_of(engine, "alice") == 0


def pieces_of(engine: MilvusEngine, name: str) -> int:
    return len(engine._client.query("shortvox_parts", filter=f'owner == "{key_of(name)}"', output_fields=["id"]))


@pytest.mark.parametrize(
    ("name", "made", "told"),
    [
        ("g", lambda path: None, "expected a path that ends in"),
        ("g.db", lambda path: path.write_text("x"), "a file, where milvus-lite keeps a folder"),
        ("g.db", lambda path: (path / "x").mkdir(parents=True), "a folder of something else"),
        ("no/g.db", lambda path: None, "no such folder to make it in"),
    ],
)
def test_what_is_no_gallery_is_named(tmp_path: Path, name: str, made: Callable[[Path], object], told: str) -> None:
    made(tmp_path / name)
    with pytest.raises(GalleryError, match=f"g(.db)?: {told}"):
        MilvusEngine(str(tmp_path / name))


def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GalleryError, match=r"milvus:http://127\.0\.0\.1:9: .*; check the server"):
        MilvusEngine("http://127.0.0.1:9")


def test_a_gallery_of_a_later_version_is_named(engine: MilvusEngine, lite: Address) -> None:
    engine._write_facts({"gallery": {"format": 2, "space": {}}})
    with pytest.raises(GalleryError, match="a gallery of format 2, this version reads 1; update shortvox"):
        opened(lite)


def test_without_the_client_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pymilvus", None)
    with pytest.raises(GalleryError, match=r"pip install 'shortvox\[milvus\]'"):
        MilvusEngine(str(tmp_path / "g.db"))
