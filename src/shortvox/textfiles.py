"""Text that users bring: tables, lists, settings. All of it is read here, so that one rule holds for all.

UTF-8, with or without a byte order mark. Lines end with `\\n` or `\\r\\n`; no other character ends one. A regular file,
or a stream that is already open (`/dev/stdin`, a shell's `<(…)`), which is read once. Anything else is refused before
a byte of it is read: a named pipe would wait for ever, a device may never end.
"""

from __future__ import annotations

import os
import re
import stat
import string
from pathlib import Path

from shortvox.errors import ShortvoxError

MOST = 2**31  # bytes: a score file of 50 million trials
_STREAM = re.compile(r"/dev/stdin|/(?:dev|proc/self)/fd/(\d{1,6})")
_BLOCK = 2**20
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # characters that neither a list nor a terminal takes as they are
_WHITE_SPACE = re.compile(r"\s+", re.ASCII)  # the same characters as in string.whitespace


def read_content(path: Path, raising: type[ShortvoxError], expected: str, *, most: int = MOST) -> bytes:
    """The bytes of a file or an open stream. Raises `raising`, which says what was `expected`."""
    stream = _STREAM.fullmatch(str(path))
    try:
        about = os.fstat(int(stream[1] or 0)) if stream else path.stat()
        if stat.S_ISREG(about.st_mode):
            content = path.read_bytes() if about.st_size <= most else None
        elif stream and (stat.S_ISFIFO(about.st_mode) or stat.S_ISSOCK(about.st_mode)):
            content = _read_stream(int(stream[1] or 0), most)
        else:
            kind = "a folder" if stat.S_ISDIR(about.st_mode) else "not a regular file"
            raise raising(f"{path}: {kind}; expected {expected}")
    except FileNotFoundError:
        raise raising(f"{path}: no such file; expected {expected}") from None
    except OSError as error:
        raise raising(f"{shown(path)}: cannot be read ({error.strerror or error}); expected {expected}") from None
    if content is None:
        raise raising(f"{path}: larger than {most:,} bytes; expected {expected}")
    return content


def read_text(path: Path, raising: type[ShortvoxError], expected: str, *, most: int = MOST) -> str:
    """The text of a file, line ends as they are. Raises `raising`, which says what was `expected`."""
    return decode(read_content(path, raising, expected, most=most), path, raising)


def read_lines(path: Path, raising: type[ShortvoxError], expected: str, *, most: int = MOST) -> list[str]:
    """The lines of a file, without line ends. Raises `raising`, which says what was `expected`."""
    return lines(read_text(path, raising, expected, most=most))


def decode(content: bytes, path: Path, raising: type[ShortvoxError]) -> str:
    """Bytes as text without byte order mark. Raises `raising`, which names the row, for what is no UTF-8."""
    for start, name in _COMPRESSED.items():
        if content.startswith(start):
            raise raising(f"{path}: compressed ({name}); unpack it first")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff") or (len(content) > 1 and (content[0] == 0) != (content[1] == 0)):
        raise raising(f"{path}: UTF-16, not UTF-8; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise raising(
            f"{path}: row {row}: not UTF-8 (byte 0x{content[error.start]:02x}); save the file as UTF-8"
        ) from None
    if (inside := text.find("\ufeff")) >= 0:
        row = text.count("\n", 0, inside) + 1
        raise raising(f"{path}: row {row}: a byte order mark, as where two files were joined; remove it")
    return text


def lines(text: str) -> list[str]:
    """`str.splitlines` would also end a line at U+2028, U+0085, a form feed and others that may stand in a name."""
    found = [line.removesuffix("\r") for line in text.split("\n")]
    return found if found[-1] else found[:-1]


def fields(line: str, most: int | None = None) -> list[str]:
    """What ASCII white space separates, as in Kaldi; `str.split` would also part a name at a no-break space.

    At most `most` fields, the last of them with all the rest of the line.
    """
    bare = line.strip(string.whitespace)
    return _WHITE_SPACE.split(bare, maxsplit=most - 1 if most else 0) if bare else []


def refuse_stream(path: Path, raising: type[ShortvoxError]) -> None:
    """Raises `raising` for what can be read only once, where several processes are going to read it."""
    if _STREAM.fullmatch(str(path)):
        raise raising(f"{path}: a stream, which can be read only once; write it to a file and name that")


def shown(path: Path) -> str:
    """A path as an error line can hold it: too long a name is cut."""
    text = str(path)
    return text if len(text) <= 500 else f"{text[:250]}…{text[-100:]}"


def _read_stream(descriptor: int, most: int) -> bytes | None:
    """All that is left of an open stream; None for more than `most` bytes."""
    content = bytearray()
    while block := os.read(descriptor, _BLOCK):
        content += block
        if len(content) > most:
            return None
    return bytes(content)
