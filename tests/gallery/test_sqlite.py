"""One file: what a removal leaves, what a kill costs, two writers, and every fault as one line."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gallery.fakes import ROOM, person, unit, voice_of
from shortvox.errors import GalleryError
from shortvox.gallery import matrix
from shortvox.gallery.engine import Stored, Tally
from shortvox.gallery.sqlite import SqliteEngine

WRITER = """
import sys
from pathlib import Path
from gallery.fakes import voice_of
from shortvox.gallery.engine import Stored
from shortvox.gallery.sqlite import SqliteEngine
path, who, many = sys.argv[1], sys.argv[2], int(sys.argv[3])
engine = SqliteEngine(path)
engine.use(voice_of(0).space)
for number in range(many):
    name = f"{who} {number}"
    long, short = voice_of(number, (1.0,) * 40), voice_of(number)
    engine.put([(Stored.of(name, long, name), bytes(5000)), (Stored.of(name + " too", short, name), None)])
    print(number, flush=True)
"""


EYE = np.eye(1, 8, dtype=np.float32)


def writing(*arguments: str) -> subprocess.Popen[str]:
    """A process that runs WRITER."""
    command = [sys.executable, "-c", WRITER, *arguments]
    where = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # that of this file too
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=where)


def kept(name: str, seed: int = 0, seconds: tuple[float, ...] = (3.0,)) -> Stored:
    return Stored.of(name, voice_of(seed, seconds), f"consent of {name}")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SqliteEngine]:
    found = SqliteEngine(str(tmp_path / "g.db"))
    found.use(ROOM)
    yield found
    found.close()


def files_of(engine: SqliteEngine) -> dict[str, bytes]:
    path = Path(engine.address)
    return {each.name: each.read_bytes() for each in path.parent.iterdir() if each.is_file()}


@pytest.mark.parametrize("seed", range(2))
def test_a_removal_leaves_no_byte_of_a_voice(engine: SqliteEngine, seed: int) -> None:
    """While the file is open, in a file that has grown, been rewritten and shrunk; also of what was replaced."""
    rng = np.random.default_rng(seed)
    traces: dict[str, list[bytes]] = {}
    for number in range(90):
        name = f"somebody {number} {rng.bytes(8).hex()}"
        voice, audio = kept(name, number, (2.0,) * int(rng.integers(1, 30))), rng.bytes(int(rng.integers(1, 9000)))
        engine.put([(voice, audio)])
        traces[name] = [name.encode(), *(row.tobytes() for row in voice.embeddings), voice.centre.tobytes()]
        traces[name] += [audio[at : at + 24] for at in range(0, len(audio) - 24, 1000)]
        if number % 3 == 0:
            engine.record({name: Tally(1, 0, 0.1)})
        if number % 5 == 0:
            other = kept(name, number + 1000, (1.0,))
            engine.put([(other, None)], replace=True)
            content = b"".join(files_of(engine).values())
            assert not any(trace in content for trace in traces[name][1:]), "replaced"
            traces[name] = [name.encode(), other.embeddings.tobytes()]
    names = [str(name) for name in rng.permutation([*traces])]
    content = b"".join(files_of(engine).values())
    assert all(trace in content for name in names for trace in traces[name][:2])
    for name in names[:60]:
        assert engine.remove(name)
        content = b"".join(files_of(engine).values())
        assert not any(trace in content for trace in traces[name]), name
    assert sorted(each.name for each in engine.each()) == sorted(names[60:])
    assert not engine.remove(names[0])


def test_traces_that_another_reader_holds_are_told(engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.put([(kept("alice"), None)])
    engine._base.execute("PRAGMA busy_timeout = 50")
    reader = sqlite3.connect(engine.address, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM voices").fetchall()
    with pytest.raises(GalleryError, match="is removed, but another program reads"):
        engine.remove("alice")
    reader.close()
    assert not engine.remove("alice")
    assert not any(b"alice" in content for content in files_of(engine).values())


def test_a_kill_loses_only_what_was_not_committed(tmp_path: Path) -> None:
    path, rng, told = tmp_path / "g.db", np.random.default_rng(0), 0
    for attempt in range(5):
        writer = writing(str(path), f"writer {attempt}", "100000")
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(rng.uniform(0, 0.05))
        writer.send_signal(signal.SIGKILL)
        done = len(writer.stdout.read().split()) + 1
        writer.wait()
        writer.stdout.close()
        told += done
        engine = SqliteEngine(str(path))
        mine = [each for each in engine.each() if each.name.startswith(f"writer {attempt} ")]
        assert len(mine) in (2 * done, 2 * done + 2)  # what was told, and at most one more that could not be
        assert all(each.consent in each.name and each.keeps_audio != each.name.endswith("too") for each in mine)
        assert all(engine.audio(each.name) == (bytes(5000) if each.keeps_audio else None) for each in mine)
        assert engine._base.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        engine.close()
    assert told > 10


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    """Both begin where there is no file yet."""
    path = tmp_path / "g.db"
    writers = [writing(str(path), who, "50") for who in ("one", "two")]
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    engine = SqliteEngine(str(path))
    assert len({each.name for each in engine.each()}) == 200
    engine.close()


def test_search_is_exact_and_knows_what_others_wrote(engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "ROWS", 7)
    other = SqliteEngine(engine.address)
    rng, names = np.random.default_rng(0), list[str]()
    for number in range(40):
        writer = (engine, other)[int(rng.integers(2))]
        if names and rng.random() < 0.3:
            writer.remove(names.pop(int(rng.integers(len(names)))))
        else:
            writer.put([(kept(f"p{number}", number, (1.0, 2.0)[: rng.integers(1, 3)]), None)])
            names.append(f"p{number}")
        query = unit(rng.standard_normal(16))
        near = engine.nearest(ROOM, query, 5)
        voices = {name: found for name in names if (found := engine.get(name))}
        assert len(voices) == len(names) == near.voices
        right = sorted(names, key=lambda name: -float(voices[name].centre @ query))[:5]
        assert list(near.names) == right
        for at, name in enumerate(right):
            assert np.array_equal(near.centres[at], voices[name].centre)
            assert (near.seconds[at], near.recordings[at]) == (sum(voices[name].seconds), len(voices[name].seconds))
    other.close()


def test_what_fails_on_the_way_leaves_nothing(engine: SqliteEngine) -> None:
    def voices() -> Iterator[tuple[Stored, bytes | None]]:
        yield kept("alice"), b"audio"
        raise GalleryError("the file ends here")

    with pytest.raises(GalleryError, match="ends here"):
        engine.put(voices())
    engine.put([(kept("bob"), None)])
    with pytest.raises(GalleryError, match="'bob' is enrolled already"):
        engine.put([(kept("carla"), None), (kept("bob"), None)])
    assert [each.name for each in engine.each()] == ["bob"]
    assert engine.nearest(ROOM, person(0), 5).names == ("bob",)


def test_voices_of_another_dimension_are_refused(engine: SqliteEngine) -> None:
    engine.put([(kept("alice"), None)])
    bob = kept("bob")
    for page in ([replace(bob, embeddings=EYE)], [bob, replace(kept("c"), embeddings=EYE)]):
        with pytest.raises(GalleryError, match="has embeddings of 8 dimensions, the other voices of its model of 16"):
            engine.put([(each, None) for each in page])
    assert engine.nearest(ROOM, person(0), 9).names == ("alice",)


def test_a_full_disk_is_told_and_leaves_nothing(engine: SqliteEngine) -> None:
    engine.put([(kept("alice"), None)])
    pages = engine._base.execute("PRAGMA page_count").fetchone()[0]
    engine._base.execute(f"PRAGMA max_page_count = {pages + 3}")
    with pytest.raises(GalleryError, match=r"g\.db: the disk is full, nothing was stored; free some space"):
        engine.put([(kept("bob"), None), (kept("carla"), bytes(100_000))])
    assert [each.name for each in engine.each()] == ["alice"]
    engine._base.execute("PRAGMA max_page_count = 1000000")
    engine.put([(kept("bob"), None)])


def test_a_lock_is_waited_for_and_then_told(engine: SqliteEngine) -> None:
    engine._base.execute("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(engine.address, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(GalleryError, match="locked by another program; wait"):
        engine.put([(kept("alice"), None)])
    assert engine.get("alice") is None
    other.close()
    engine.put([(kept("alice"), None)])


def foreign(path: Path) -> None:
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE x (y)")
    base.commit()
    base.close()


def of_another_program(path: Path) -> None:
    foreign(path)
    base = sqlite3.connect(path)
    base.execute("PRAGMA application_id = 5")
    base.close()


def of_a_later_version(path: Path) -> None:
    SqliteEngine(str(path)).close()
    base = sqlite3.connect(path)
    base.execute("PRAGMA user_version = 2")
    base.close()


def damaged(path: Path) -> None:
    engine = SqliteEngine(str(path))
    engine.put([(kept(f"p{number}", number, (1.0,) * 50), None) for number in range(50)])
    engine.close()
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(b ^ 0x55 for b in content[4096:])
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda path: path.write_text("alice,bob\n" * 200), "not a gallery; name another file"),
        (lambda path: path.mkdir(), "is a folder; name a file"),
        (lambda path: os.mkfifo(path), "not a regular file"),
        (foreign, "a database of another program"),
        (of_another_program, "a database of another program"),
        (of_a_later_version, "a gallery of format 2, this version reads 1; update shortvox"),
        (damaged, "damaged .*; take it back from a copy"),
        (lambda path: None, "no such gallery; `shortvox enroll` makes one"),
    ],
)
def test_what_is_no_gallery_is_named(tmp_path: Path, made, told: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "g.db"
    made(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(GalleryError, match=rf"g\.db: {told}"):
        list(SqliteEngine(str(path), create=False).each())
    assert before == (path.read_bytes() if path.is_file() else None)


def test_a_gallery_in_no_folder_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="no such folder; make it first"):
        SqliteEngine(str(tmp_path / "not there" / "g.db"))
    with pytest.raises(GalleryError, match="no such gallery"):
        SqliteEngine(str(tmp_path / "g.db"), read_only=True)
    with pytest.raises(GalleryError, match="File name too long"):
        SqliteEngine(str(tmp_path / ("g" * 300)))
    assert not [*tmp_path.iterdir()]
    (tmp_path / "g.db").touch()
    with pytest.raises(GalleryError, match="is empty and cannot be written"):
        SqliteEngine(str(tmp_path / "g.db"), read_only=True)


@pytest.mark.parametrize("logged", [False, True])
def test_what_cannot_be_written_is_read(
    engine: SqliteEngine, logged: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By whoever may not write, beside a log that a writer has open, and without one."""
    engine.put([(kept("alice"), None)])
    if not logged:
        engine.close()
    folder = Path(engine.address).parent
    program = f"""
import os
from shortvox.errors import GalleryError
from shortvox.gallery.sqlite import SqliteEngine
from shortvox.gallery.engine import Tally
os.setgid(65534)
os.setuid(65534)
engine = SqliteEngine({engine.address!r})
print(engine.read_only, engine.get("alice").name)
for call in (lambda: engine.remove("alice"), lambda: engine.record({{"alice": Tally(1, 1, 1.0)}})):
    try:
        call()
    except GalleryError as error:
        print(error)
"""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    for above in (folder, *folder.parents):
        if above.stat().st_uid == 0 and above.is_relative_to(tmp_path_factory.getbasetemp().parent):
            above.chmod(0o755)
    for each in folder.iterdir():
        each.chmod(0o644)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    one, *others = done.stdout.splitlines()
    assert one == "True alice"
    assert others == [f"{engine.address}: is read-only; change its permissions, or work on a copy"] * 2


def test_only_its_owner_can_read_a_gallery(engine: SqliteEngine) -> None:
    engine.put([(kept("alice"), None)])
    modes = {each.name: each.stat().st_mode & 0o777 for each in Path(engine.address).parent.iterdir()}
    assert modes == dict.fromkeys(("g.db", "g.db-wal", "g.db-shm"), 0o600)


def test_what_is_closed_says_so(tmp_path: Path) -> None:
    engine = SqliteEngine(str(tmp_path / "g.db"))
    engine.close()
    engine.close()
    with pytest.raises(GalleryError, match="the gallery is closed; open it again"):
        engine.get("alice")
