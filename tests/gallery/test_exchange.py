"""Files that carry voices: whole or refused, whatever is in them."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gallery.fakes import ROOM, voice_of
from shortvox.errors import GalleryError
from shortvox.gallery.engine import Kept, Stored
from shortvox.gallery.exchange import read, write
from shortvox.gallery.sqlite import SqliteEngine

OTHER_ROOM = replace(ROOM, encoder="encoder 2")


def voices() -> Iterator[Kept]:
    yield replace(Stored.of("alice", voice_of(1, (1.0, 2.0)), "yes"), compared=2, matched=1, closest=-0.5), b"sealed"
    yield Stored.of("Боб/../x", voice_of(2, (4.0,), OTHER_ROOM), ""), None
    yield Stored.of("carla", voice_of(3), "also"), None


@pytest.fixture
def file(tmp_path: Path) -> Path:
    assert write(tmp_path / "voices.zip", ROOM, voices()) == 3
    return tmp_path / "voices.zip"


def all_of(path: Path) -> list[Kept]:
    return [*read(path)[1]]


def changed(path: Path, change: Callable[[dict[str, bytes]], None], packing: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def told(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    def within(members: dict[str, bytes]) -> None:
        content = json.loads(members["voices.json"])
        change(content)
        members["voices.json"] = json.dumps(content).encode()

    return changed(path, within)


def test_what_is_written_is_read(file: Path) -> None:
    space, found = read(file)
    assert space == ROOM
    for (mine, audio), (theirs, sealed) in zip(voices(), found, strict=True):
        assert audio == sealed
        assert np.array_equal(mine.embeddings, theirs.embeddings)
        same = replace(mine, embeddings=theirs.embeddings, enrolled_at=theirs.enrolled_at, keeps_audio=bool(audio))
        assert vars(same) == vars(theirs)
    assert file.stat().st_mode & 0o777 == 0o600


def test_an_empty_gallery_can_be_carried(tmp_path: Path) -> None:
    assert write(tmp_path / "none.zip", None, iter(())) == 0
    space, found = read(tmp_path / "none.zip")
    assert (space, [*found]) == (None, [])


def voice(number: int, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["voices"][number].update(values)


@pytest.mark.parametrize(
    "change",
    [
        voice(0, name="carla"),
        voice(0, name=""),
        voice(0, name="a\nb"),
        voice(0, name="e\u0301"),
        voice(0, name=5),
        voice(0, seconds=[]),
        voice(0, seconds=[1.0]),
        voice(0, seconds=[1.0, 2.0, 3.0]),
        voice(0, seconds=[1.0, 0.0]),
        voice(0, seconds=[1.0, float("nan")]),
        voice(0, enrolled_at="2026-01-01T00:00:00"),
        voice(0, enrolled_at="yesterday"),
        voice(0, compared=-1),
        voice(0, compared=0),
        voice(0, closest=None),
        voice(0, consent="x" * 2001),
        voice(0, space="../../etc/passwd"),
        voice(0, path="/etc/passwd"),
        voice(1, audio=True),
        lambda content: content.update(format=2),
        lambda content: content.update(space="0" * 16),
        lambda content: content["spaces"].update({ROOM.key: content["spaces"][OTHER_ROOM.key]}),
        lambda content: content["voices"].pop(),
        lambda content: content.pop("spaces"),
    ],
)
def test_what_does_not_fit_together_is_refused(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(GalleryError, match=r"voices\.zip: (not a file that|of format 2)"):
        all_of(told(file, change))


def array(content: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda members: members.update({f"{ROOM.key}.npy": content})


def saved(values: Any, **options: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, values, **options)
    return content.getvalue()


def promising(shape: str) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)


@pytest.mark.parametrize(
    "change",
    [
        array(b""),
        array(b"\x93NUMPY"),
        array(pickle.dumps([1.0])),
        array(saved(np.array([{}], object), allow_pickle=True)),
        array(saved(np.ones((3, 16)))),
        array(saved(np.ones((3, 16), np.float32))),
        array(saved(np.full((3, 16), np.nan, np.float32))),
        array(saved(np.ones(48, np.float32))),
        array(saved(np.zeros((3, 0), np.float32))),
        array(promising("(1000000000000, 16)")),
        array(promising("(-1, 16)")),
        array(promising("(3, 2.5)")),
        lambda members: members.pop(f"{ROOM.key}.npy"),
        lambda members: members.pop("voices.json"),
        lambda members: members.pop("audio/0.bin"),
        lambda members: members.update({"voices.json": b"[" * 100_000}),
        lambda members: members.update({"voices.json": b"\xff\xfe"}),
        lambda members: members.update({"audio/0.bin": bytes(2**26 + 5000)}),
    ],
)
def test_arrays_and_members_that_are_none_are_refused(file: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    with pytest.raises(GalleryError, match=r"voices\.zip: not a file that"):
        all_of(changed(file, change))


def test_nothing_is_unpacked_and_nothing_becomes_larger(file: Path) -> None:
    with pytest.raises(GalleryError, match="is compressed or encrypted"):
        all_of(changed(file, lambda members: None, zipfile.ZIP_DEFLATED))


def test_damage_anywhere_is_one_line(file: Path) -> None:
    """Or it changes nothing: CRC-32 guards the content, nothing some fields of the zip's directory."""
    content = file.read_bytes()
    before = [stored.name for stored, _ in voices()]
    for at in range(0, len(content), 3):
        file.write_bytes(content[:at] + bytes([content[at] ^ 0x41]) + content[at + 1 :])
        try:
            assert [stored.name for stored, _ in all_of(file)] == before
        except GalleryError as error:
            assert "\n" not in str(error)
    for end in range(0, len(content), 11):
        file.write_bytes(content[:end])
        with pytest.raises(GalleryError):
            all_of(file)


@pytest.mark.parametrize("made", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("x")])
def test_what_is_no_such_file_is_named(tmp_path: Path, made: Callable[[Path], object]) -> None:
    made(tmp_path / "x.zip")
    with pytest.raises(GalleryError, match=r"x\.zip: "):
        read(tmp_path / "x.zip")
    SqliteEngine(str(tmp_path / "g.db")).close()
    with pytest.raises(GalleryError, match=r"g\.db: is a gallery or another database"):
        write(tmp_path / "g.db", ROOM, voices())
    (tmp_path / "folder").mkdir()
    with pytest.raises(GalleryError, match="is a folder; name a file in it"):
        write(tmp_path / "folder", ROOM, voices())
