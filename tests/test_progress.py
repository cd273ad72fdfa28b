"""What is seen of work that takes long: bars in a terminal, lines in a log, nothing where nothing is to be seen."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from shortvox import progress
from shortvox.progress import progress_bar

Capture = pytest.CaptureFixture[str]


def work(bar: Progress) -> None:
    with bar:
        everything = bar.add_task("All trainings", total=600, note="")
        one = bar.add_task("  teacher, seed 0", total=300, note="")
        done = bar.add_task("packing", total=1, note="")
        bar.advance(done)
        bar.advance(everything, 10)
        bar.update(one, completed=10, note="loss 5.31")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOG_SECONDS", 0.0)


@pytest.mark.usefixtures("at_once")
def test_a_log_gets_lines(capsys: Capture) -> None:
    work(progress_bar())
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[-1] == ("All trainings: 10 of 600; teacher, seed 0: 10 of 300, loss 5.31")
    assert "packing" not in printed.err  # it is done
    assert not set(printed.err) & set("━⠋\r")


@pytest.mark.usefixtures("at_once")
def test_time_left_is_told(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    with progress_bar() as bar:
        ticks = iter(range(0, 1000, 5))
        monkeypatch.setattr(bar, "get_time", lambda: next(ticks))
        task = bar.add_task("Training", total=300, note="loss 4.00")
        for _ in range(3):
            bar.advance(task)
    assert capsys.readouterr().err.splitlines()[-1].startswith("Training: 3 of 300, about ")


@pytest.mark.usefixtures("at_once")
def test_what_comes_after_the_last_step_is_told(capsys: Capture) -> None:
    with progress_bar() as bar:
        task = bar.add_task("Training", total=3, note="loss 4.00")
        bar.update(task, completed=3, note="centring")
    assert capsys.readouterr().err.splitlines()[-1] == "finishing, centring"


def test_a_log_is_not_flooded(capsys: Capture) -> None:
    work(progress_bar())
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("at_once")
def test_what_is_not_shown_is_not_logged(capsys: Capture) -> None:
    work(progress_bar(shown=False))
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_bars(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, force_interactive=True, width=120)
    monkeypatch.setattr(progress, "console", screen)
    work(progress_bar())
    assert "teacher, seed 0" in screen.file.getvalue()  # type: ignore[attr-defined]
    assert capsys.readouterr().err == ""
