"""Progress on stderr, so that stdout stays free for results: bars in a terminal, a line now and then in a log."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from shortvox.printing import plain, printable

LOG_SECONDS = 30.0  # between two lines, where stderr is no terminal

console = Console(stderr=True)


class Bars(Progress):
    """A bar for each task; where stderr is no terminal, one line about all tasks every `LOG_SECONDS` instead."""

    def __init__(self, *, transient: bool, shown: bool) -> None:
        self._logs = shown and not console.is_interactive
        self._logged = time.monotonic()
        super().__init__(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=console,
            transient=transient,
            disable=not shown or self._logs,
        )

    def add_task(self, description: str, *arguments: Any, **fields: Any) -> TaskID:
        return super().add_task(printable(description), *arguments, **_printable_note(fields))

    def update(self, task_id: TaskID, **changes: Any) -> None:
        super().update(task_id, **_printable_note(changes))
        self._log()

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self._log()

    def _log(self) -> None:
        if self._logs and time.monotonic() - self._logged >= LOG_SECONDS:
            self._logged = time.monotonic()
            going = [_in_words(task) for task in self.tasks if not task.finished]
            note("; ".join(going) or ", ".join(["finishing", *filter(None, (t.fields["note"] for t in self.tasks))]))


def _printable_note(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"note": printable(fields["note"])} if "note" in fields else fields


def _in_words(task: Task) -> str:
    left = task.time_remaining
    parts = [f"{task.description.strip()}: {task.completed:.0f} of {task.total:.0f}"]
    if left:
        parts.append(f"about {f'{left:.0f} s' if left < 100 else f'{left / 60:.0f} min'} left")
    return ", ".join([*parts, *filter(None, [task.fields["note"]])])


def progress_bar(*, transient: bool = False, shown: bool = True) -> Bars:
    """What is done, time spent and time left of the tasks added; `transient` bars go when they are done."""
    return Bars(transient=transient, shown=shown)


def note(message: str) -> None:
    """One line for the person who watches."""
    with contextlib.suppress(OSError):  # nobody can be told
        console.print(plain(message), highlight=False, soft_wrap=True)
