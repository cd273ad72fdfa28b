"""Progress on stderr, so that stdout stays free for results."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(stderr=True)


def progress_bar(*, transient: bool = False, shown: bool = True) -> Progress:
    """A bar with what is done, time spent and time left; quiet lines where stderr is no terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
        console=console,
        transient=transient,
        disable=not shown,
    )


def note(message: str) -> None:
    """One line for the person who watches."""
    console.print(message, highlight=False, markup=False, soft_wrap=True)
