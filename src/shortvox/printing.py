"""What is printed. Data is shown as it is and never acts: it holds no markup, no terminal escapes, no line ends.

Results go to stdout through `show`, `show_json` and `show_table`, whatever can be encoded there; what is told beside
them goes to stderr through `progress.note`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from shortvox.errors import ReaderGone, ShortvoxError

WIDE = 120  # columns of a table in a file or a pipe


def printable(text: str) -> str:
    """`text` with an escape, as in Python's repr, for each character that is not seen or does something else."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def plain(value: object, style: str = "") -> Text:
    """Data for a table."""
    return Text(printable(str(value)), style=style)


def show(line: str) -> None:
    """One line on stdout."""
    _write(printable(line) + "\n")


def show_json(content: Any) -> None:
    """One JSON object on stdout, in ASCII, so that it is the same everywhere; NaN is a bug."""
    _write(json.dumps(content, allow_nan=False) + "\n")


def show_table(table: RenderableType) -> None:
    """A table or several, whose cells with data are `plain`, as wide as the terminal, or wide enough for the widest."""
    console = Console(width=None if sys.stdout is not None and sys.stdout.isatty() else WIDE)
    with console.capture() as captured:
        console.print(table)
    _write(captured.get())


def flush_output() -> None:
    """Raises ReaderGone or ShortvoxError where what was printed cannot be written."""
    if sys.stdout is not None:
        _write("")


def replace_what_cannot_be_encoded() -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _write(text: str) -> None:
    if sys.stdout is None:
        raise ShortvoxError("stdout: closed; open it, or send it to /dev/null")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as error:
        raise ShortvoxError(
            f"stdout: cannot be written ({error.strerror or error}); send it to another file or free some space"
        ) from None
