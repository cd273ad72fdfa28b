"""How the program ends: errors, signals at any moment, and outputs that cannot take what is printed."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from rich.table import Table
from typer import Typer

from shortvox import printing
from shortvox.cli import verbs
from shortvox.cli.main import LONGEST_LINE, run
from shortvox.errors import CorpusError
from shortvox.progress import note, progress_bar

Capture = pytest.CaptureFixture[str]

# The real program with a verb of our own, which starts at once.
PROGRAM = """
import os, signal, sys, time, types
from shortvox.cli.main import main

def stop():
    os.kill(os.getpid(), {number})
    time.sleep(20)

class Importing:
    def find_spec(self, name, path=None, target=None):
        if name == "shortvox.cli.verbs":
            stop()

def call(arguments):
    from shortvox.printing import show, show_json
    {body}
    return 0

if {importing}:
    sys.meta_path.insert(0, Importing())
else:
    sys.modules["shortvox.cli.verbs"] = types.SimpleNamespace(call=call)
sys.argv = ["shortvox"]
main()
"""


def program(
    body: str = "pass", *, number: int = 0, importing: bool = False, shell: str = "", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    code = PROGRAM.format(number=number, body=body, importing=importing)
    command = [sys.executable, "-c", code]
    if shell:
        command = ["bash", "-c", f'"$0" "$@" {shell}', *command]
    return subprocess.run(command, capture_output=True, timeout=60, env={**os.environ, **environment}, check=False)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize(
    ("body", "importing"),
    [
        ("pass", True),
        ("stop()", False),
        ("""try: stop()
    except BaseException: raise ImportError("a library that made something else of it")""", False),
        ("""import threading
    threading.Thread(target=time.sleep, args=(0.2,)).start()
    threading.Timer(0.05, os.kill, (os.getpid(), {number})).start()""", False),
    ],
    ids=["importing", "working", "disguised", "leaving"],
)  # fmt: skip
def test_a_signal_ends_with_one_line_and_130(name: str, body: str, importing: bool) -> None:
    number = int(getattr(signal, name))
    ended = program(body.replace("{number}", str(number)), number=number, importing=importing)
    assert ended.returncode == 130
    assert ended.stderr.decode().splitlines() == [
        "interrupted; the same command continues where it stopped (train: add --resume)"
    ]


def test_what_nohup_ignores_stays_ignored() -> None:
    code = PROGRAM.format(number=1, body="os.kill(os.getpid(), signal.SIGHUP); show('done')", importing=False)
    started = ["bash", "-c", 'trap "" HUP; "$0" "$@"', sys.executable, "-c", code]
    ended = subprocess.run(started, capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, b"done\n")


def test_stdout_that_takes_nothing() -> None:
    assert program("show('x')", shell=">&-").stderr.startswith(b"error: stdout: closed")
    assert program("show('x')", shell=">&-").returncode == 2
    full = program("print('x' * 100_000)", shell=">/dev/full")
    assert full.returncode == 2
    assert full.stderr.count(b"\n") == 1
    assert full.stderr.startswith(b"error: ")
    assert b"No space left on device" in full.stderr
    gone = program("show('x' * 100_000)", shell="| true; exit ${PIPESTATUS[0]}")
    assert (gone.returncode, gone.stderr) == (141, b"")


def test_closed_standard_files_are_not_given_to_the_next_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    body = f"handle = open({str(path)!r}, 'w'); os.write(2, b'told'); handle.flush(); show(str(handle.fileno()))"
    ended = program(body, shell="2>&-")
    assert ended.returncode == 0
    assert path.read_bytes() == b""


def test_data_in_an_encoding_that_lacks_it() -> None:
    body = "show('Łucja'); show_json({'name': 'Łucja'})"
    ended = program(body, PYTHONIOENCODING="ascii")
    assert ended.returncode == 0
    first, second = ended.stdout.decode("ascii").splitlines()
    assert first == r"\u0141ucja"
    assert json.loads(second) == {"name": "Łucja"}


def test_file_names_are_utf8_in_every_locale(tmp_path: Path) -> None:
    path = tmp_path / "é"
    body = f"open({str(path)!a}, 'w').close(); show('\\xe9')"
    ended = program(body, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout == b"\\xe9\n"
    assert path.exists()


def ends_with(monkeypatch: pytest.MonkeyPatch, capsys: Capture, error: BaseException) -> tuple[int, str]:
    def fail(**options: object) -> None:
        raise error

    monkeypatch.setattr(verbs, "app", fail)
    monkeypatch.delenv("SHORTVOX_DEBUG", raising=False)
    capsys.readouterr()
    return run([]), capsys.readouterr().err


def no_such_memory() -> BaseException:
    try:
        np.empty(2**55)
    except MemoryError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (CorpusError("row 3\nof \x1b[31mred\u202e"), r"error: row 3\nof \x1b[31mred\u202e"),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", "a\nb"),
            r"error: a\nb: cannot be used (File name too long)",
        ),
        (OSError(errno.EMFILE, "Too many open files"), "error: the system refuses: Too many open files"),
        (no_such_memory(), "error: out of memory (Unable to allocate"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: …"), "error: out of memory (DefaultCPUAllocator"),
        (RecursionError("maximum recursion depth exceeded"), "error: the input is nested too deeply"),
        (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"), "error: text that cannot be"),
    ],
)
def test_a_mistake_is_one_line(
    error: BaseException, told: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    code, line = ends_with(monkeypatch, capsys, error)
    assert code == 2
    assert line.startswith(told)
    assert line.count("\n") == 1


def test_a_long_line_is_cut(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    _, line = ends_with(monkeypatch, capsys, CorpusError("x" * 10_000 + "the remedy"))
    assert len(line) <= LONGEST_LINE + 5
    assert line.endswith("the remedy\n")


def test_arguments_that_are_not_utf8_are_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(verbs, "app", pytest.fail)
    assert run(["embed", "--out", "no/\udcff"]) == 2
    assert capsys.readouterr().err == "error: argument 'no/\\udcff' is not UTF-8; rename the file or folder\n"


def test_a_working_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert run(["models"]) == 2
    assert "the working folder has been removed" in capsys.readouterr().err
    monkeypatch.undo()


NASTY = "[/b] [red]x :warning: \x1b]0;title\x07 a\nb\u2028c"
SHOWN = r"[/b] [red]x :warning: \x1b]0;title\x07 a\nb\u2028c"


def test_data_never_acts(capsys: Capture) -> None:
    printing.show(NASTY)
    table = Table(title=printing.plain(NASTY))
    table.add_column(printing.plain("column"))
    table.add_row(printing.plain(NASTY))
    printing.show_table(table)
    note(NASTY)
    printed = capsys.readouterr()
    assert printed.out.count(SHOWN) == 3
    assert printed.err == SHOWN + "\n"


def test_data_never_acts_in_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from shortvox import progress

    terminal = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=terminal, force_terminal=True, width=200))
    with progress_bar() as bar:
        task = bar.add_task(NASTY, total=1, note="")
        bar.update(task, note=NASTY)
        bar.refresh()
    assert SHOWN in terminal.getvalue()
    assert "\x1b]0;" not in terminal.getvalue()


def test_every_number_on_the_command_line_is_bounded() -> None:
    imported = [verbs.imported(name) for name in verbs.VERBS]
    groups = [one for one in imported if isinstance(one, Typer)]
    callbacks = [one for one in imported if one not in groups]
    callbacks += [command.callback for group in groups for command in group.registered_commands]
    numbers = [
        (callback.__name__, name, get_args(hint))
        for callback in callbacks
        for name, hint in get_type_hints(callback, include_extras=True).items()
        if get_args(hint) and {int, float} & {get_args(hint)[0], *get_args(get_args(hint)[0])}
    ]
    assert len(numbers) >= 7
    assert not [(verb, name) for verb, name, (_, option) in numbers if None in (option.min, option.max)]
