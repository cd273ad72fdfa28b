"""The `shortvox` program: turns every error and every signal into one line and an exit code.

Little is imported here, because torch takes seconds to import and Ctrl-C must be heard meanwhile; `verbs.py` has the
commands.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from shortvox.cli.exits import BUG, INTERRUPTED, MISTAKE, READER_GONE
from shortvox.quiet import keep_stderr

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # must be set before torch starts its threads

LONGEST_LINE = 1200  # characters of what is told about an error
_TOLD = "interrupted; the same command continues where it stopped (train: add --resume)"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_Handler = Callable[[int, FrameType | None], Any]


def main() -> None:
    """Entry point of the `shortvox` command."""
    _hear(_leave)  # while nothing is begun, and when all is done
    atexit.register(_hear, signal.SIG_IGN)  # in the last moments of the interpreter
    _open_what_is_closed()
    _use_utf8()
    keep_stderr()
    code = run(sys.argv[1:])
    _drop_what_cannot_be_written()
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; one line on stderr says what went wrong."""
    heard = _Heard()
    try:
        refuse_what_is_not_utf8(arguments)
        from shortvox.cli.verbs import call
        from shortvox.printing import flush_output, replace_what_cannot_be_encoded

        replace_what_cannot_be_encoded()
        with _heard_by(heard):
            code = call(arguments)
        flush_output()
    except BaseException as error:
        code = INTERRUPTED if heard.any or isinstance(error, KeyboardInterrupt) else _exit_code(error)
    if code == INTERRUPTED:
        _tell(_TOLD)
    return code


def _exit_code(error: BaseException) -> int:
    """Say in one line what went wrong."""
    from shortvox.errors import ReaderGone, ShortvoxError, in_one_line

    if isinstance(error, ReaderGone):
        return READER_GONE
    if os.environ.get("SHORTVOX_DEBUG") and not isinstance(error, ShortvoxError):
        raise error
    told = in_one_line(error)
    if told is not None:
        _tell(f"error: {told}")
        return MISTAKE
    if not isinstance(error, Exception):
        raise error
    _tell(f"internal error: {type(error).__name__}: {error}; set SHORTVOX_DEBUG=1 to see where, and report it")
    return BUG


def _tell(message: str) -> None:
    """One line on stderr, not too long, whatever the message holds."""
    from shortvox.printing import printable

    line = printable(message)
    if len(line) > LONGEST_LINE:
        line = f"{line[: LONGEST_LINE - 300]} … {line[-300:]}"
    with suppress(OSError, ValueError):  # where nothing can be told, the exit code is all
        if sys.stderr is not None:
            print(line, file=sys.stderr, flush=True)


def refuse_what_is_not_utf8(arguments: list[str]) -> None:
    """Names end up in JSON, YAML and manifests, hours later; raises ShortvoxError for what these cannot hold."""
    from shortvox.errors import ShortvoxError

    for argument in arguments:
        try:
            os.fsencode(argument).decode("utf-8")
        except UnicodeError:
            raise ShortvoxError(f"argument {argument!a} is not UTF-8; rename the file or folder") from None
    try:
        os.fsencode(Path.cwd()).decode("utf-8")
    except FileNotFoundError:
        raise ShortvoxError("the working folder has been removed; change to another") from None
    except UnicodeError:
        raise ShortvoxError(
            f"the working folder {str(Path.cwd())!a} is not UTF-8; rename it or work in another"
        ) from None


class _Heard:
    """Interrupts what is being done; an exception that comes of it, in a library say, is an interruption too."""

    def __init__(self) -> None:
        self.any = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.any = True
        raise KeyboardInterrupt


def _leave(number: int, frame: FrameType | None) -> None:
    """At once: a traceback, of an import say, cannot be had."""
    with suppress(OSError):
        os.write(2, f"{_TOLD}\n".encode())
    os._exit(INTERRUPTED)


def _hear(handler: _Handler | signal.Handlers) -> dict[signal.Signals, Any]:
    """Signals that end a program go to `handler`, but those that are ignored (nohup, jobs of a shell) stay ignored.

    Returns the handlers before.
    """
    before = {each: signal.getsignal(each) for each in _SIGNALS}
    heard = {each: previous for each, previous in before.items() if previous is not signal.SIG_IGN}
    for each in heard:
        signal.signal(each, handler)
    return heard


@contextmanager
def _heard_by(handler: _Handler) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # which alone hears signals
        yield
        return
    before = _hear(handler)
    try:
        yield
    finally:
        for each, previous in before.items():
            signal.signal(each, previous or signal.SIG_DFL)


def _open_what_is_closed() -> None:
    """Where stdin, stdout or stderr is closed, the next file opened would take its place and get what is printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
            os.set_inheritable(number, True)


def _use_utf8() -> None:
    """Names in manifests are UTF-8; where the locale says otherwise, start anew with file names in UTF-8."""
    if sys.getfilesystemencoding() == "utf-8" or os.environ.get("PYTHONUTF8") == "1":
        return
    encoding = "ascii" if sys.stdout is None else sys.stdout.encoding
    os.environ["PYTHONUTF8"] = "1"
    os.environ.setdefault("PYTHONIOENCODING", f"{encoding}:backslashreplace")  # what is printed is for the locale
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _drop_what_cannot_be_written() -> None:
    """It has been told; the interpreter would try again at its end, and say so with a traceback."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
