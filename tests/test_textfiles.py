"""One rule for every text that users bring."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shortvox.errors import CorpusError
from shortvox.textfiles import fields, lines, read_content, read_lines, refuse_stream


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "list.txt"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\n\r\nb\r\n", ["a", "", "b"]),
        (b"\xef\xbb\xbfa\n", ["a"]),
        ("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\rh\n".encode(), ["a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\rh"]),
    ],
)
def test_lines_end_at_line_feeds_only(tmp_path: Path, content: bytes, expected: list[str]) -> None:
    assert read_lines(saved(tmp_path, content), CorpusError, "names") == expected


def test_fields_stand_apart_by_ascii_white_space_only() -> None:
    assert fields(" a\u00a0b \t c\u3000d\u2028e\x1cf\r") == ["a\u00a0b", "c\u3000d\u2028e\x1cf"]
    assert fields(" \t") == []
    assert fields(" r1 \t my  file.wav \r", most=2) == ["r1", "my  file.wav"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a\nb\xe9\n", r"row 2: not UTF-8 \(byte 0xe9\); save"),
        ("1 a b\n".encode("utf-16"), "UTF-16, not UTF-8; save it as UTF-8"),
        ("1 a b\n".encode("utf-16-le"), "UTF-16"),
        ("1 a b\n".encode("utf-16-be"), "UTF-16"),
        (gzip.compress(b"1 a b\n"), r"compressed \(gzip\); unpack it first"),
        (b"PK\x03\x04rest", r"compressed \(zip\)"),
        ("a\n\ufeffb\n".encode(), "row 2: a byte order mark, as where two files were joined"),
        (b"x" * 101, "larger than 100 bytes; expected names"),
    ],
)
def test_what_is_no_text_is_one_line(tmp_path: Path, content: bytes, expected: str) -> None:
    with pytest.raises(CorpusError, match=expected) as caught:
        read_lines(saved(tmp_path, content), CorpusError, "names", most=100)
    assert str(caught.value).startswith(str(tmp_path / "list.txt")) and "\n" not in str(caught.value)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name, expected in (
        ("nothing", "no such file; expected names"),
        ("", "a folder; expected names"),
        ("fifo", "not a regular file"),
        ("zero", "not a regular file"),
        ("/dev/null", "not a regular file"),
        ("/dev/fd/9999", "cannot be read"),
        ("loop", "cannot be read"),
        ("x" * 5000, "cannot be read"),
    ):
        with pytest.raises(CorpusError, match=expected) as caught:
            read_content(tmp_path / name, CorpusError, "names")
        assert len(str(caught.value)) < 600


def test_an_open_stream_is_read_once_and_to_its_end(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from shortvox.errors import CorpusError; from shortvox.textfiles import read_content\n"
        "print(len(read_content(pathlib.Path(sys.argv[1]), CorpusError, 'names')))"
    )
    content = b"1 a b\n" * 50_000  # more than a pipe holds
    for name in ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"):
        read = subprocess.run([sys.executable, "-c", code, name], input=content, capture_output=True, check=True)
        assert int(read.stdout) == len(content)
    with saved(tmp_path, content).open("rb") as file:
        read = subprocess.run([sys.executable, "-c", code, "/dev/stdin"], stdin=file, capture_output=True, check=True)
    assert int(read.stdout) == len(content)


def test_a_stream_has_a_bound_and_cannot_be_shared() -> None:
    one, other = socket.socketpair()
    with one, other:
        other.sendall(b"x" * 200)
        other.shutdown(socket.SHUT_WR)
        path = Path(f"/dev/fd/{one.fileno()}")
        with pytest.raises(CorpusError, match="larger than 100 bytes"):
            read_content(path, CorpusError, "names", most=100)
        with pytest.raises(CorpusError, match="a stream, which can be read only once"):
            refuse_stream(path, CorpusError)
    refuse_stream(Path("list.txt"), CorpusError)


def test_lines_of_a_text() -> None:
    assert lines("a\r\nb\n\n") == ["a", "b", ""]
