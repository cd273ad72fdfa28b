from __future__ import annotations

import json
import resource
import signal
from pathlib import Path

import pytest

from shortvox.errors import ShortvoxError
from shortvox.files import ensure_writable, write_atomic, write_bytes, write_json, write_text


def test_a_failing_writer_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    write_text(path, "old")

    def half(error: Exception) -> object:
        def write(temporary: Path) -> None:
            temporary.write_text("ne")
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
