from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

from shortvox.errors import ShortvoxError
from shortvox.files import ensure_writable, remove_leftovers, write_atomic, write_bytes, write_json, write_text


def test_a_failing_writer_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    write_text(path, "old")

    def half(error: Exception) -> object:
        def write(handle: BinaryIO) -> None:
            handle.write(b"ne")
            raise error

        return write

    with pytest.raises(ShortvoxError, match=r"kept\.txt: cannot be written"):
        write_atomic(path, half(OSError(28, "No space left on device")))
    with pytest.raises(RuntimeError):
        write_atomic(path, half(RuntimeError("a bug")))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(ShortvoxError, match="free some space"):
            write_bytes(tmp_path / "large", bytes(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    assert not list(tmp_path.iterdir())


def test_content_is_replaced_and_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    write_json(path, {"x": 1})
    write_json(path, {"x": "é"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"x": "é"}
    assert list(path.parent.iterdir()) == [path]


def test_json_holds_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"eer": float("nan")})


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ShortvoxError, match=r"output folder cannot be written .*choose another"):
            ensure_writable(folder)
    with pytest.raises(ShortvoxError, match="cannot be written"):
        write_text(tmp_path / "file" / "x.txt", "")
    assert ensure_writable(tmp_path / "new" / "deep").is_dir()
    assert not list((tmp_path / "new" / "deep").iterdir())


KILLED = """
import os, signal, sys
from pathlib import Path
from shortvox.files import write_atomic

def write(handle):
    handle.write(bytes(100_000))
    print(flush=True)
    sys.stdin.read()

write_atomic(Path(sys.argv[1]), write)
"""


def test_what_a_killed_writer_left_is_removed_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    path = tmp_path / "kept.bin"
    write_bytes(path, b"old")
    others = [tmp_path / name for name in (".x.tmp", "x.0123456789abcdef.tmp", ".x.0123456789abcdef", ".x.123.tmp")]
    for other in others:
        other.write_text("somebody else's")
    others += [tmp_path / f".{name}.0123456789abcdef.tmp" for name in ("folder", "pipe")]
    others[-2].mkdir()
    os.mkfifo(others[-1])
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (temporary,) = tmp_path.glob(".kept.bin.*")
        for sweep in (lambda: remove_leftovers(tmp_path), lambda: write_text(tmp_path / "other.txt", "")):
            sweep()
            assert temporary.exists()
        process.kill()
    assert temporary.exists()
    assert path.read_bytes() == b"old"
    ensure_writable(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([path, tmp_path / "other.txt", *others])


def test_a_write_clears_its_folder(tmp_path: Path) -> None:
    (tmp_path / ".gone.bin.0123456789abcdef.tmp").write_text("left by a kill")
    write_text(tmp_path / "new.txt", "")
    assert [path.name for path in tmp_path.iterdir()] == ["new.txt"]


def test_no_link_is_written_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda count: "0" * 2 * count)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "out"
    folder.mkdir()
    for name in ("x.txt", "write-test"):
        (folder / f".{name}.{16 * '0'}.tmp").symlink_to(victim)
    with pytest.raises(ShortvoxError, match=r"x\.txt: cannot be written \(File exists\)"):
        write_text(folder / "x.txt", "theirs")
    with pytest.raises(ShortvoxError, match=r"cannot be written \(File exists\)"):
        ensure_writable(folder)
    assert victim.read_text() == "mine"


def test_new_files_have_the_permissions_that_the_umask_leaves(tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        write_text(tmp_path / "x.txt", "")
    finally:
        os.umask(previous)
    assert (tmp_path / "x.txt").stat().st_mode & 0o777 == 0o640
