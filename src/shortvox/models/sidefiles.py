"""What stands beside the weights in a model folder: names of the head's rows, history of the training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from shortvox.environment import each_once
from shortvox.errors import ModelError
from shortvox.jsonfile import MOST_BYTES, Content, read_json
from shortvox.textfiles import read_lines

Count = Annotated[int, Field(ge=0, le=10**15)]
Figure = Annotated[float, Field(ge=-1e30, le=1e30)]
Number = Annotated[int | float, Field(ge=-1e30, le=1e30)]
Recorded = dict[str, str | Number | None]


class History(Content):
    """What `training.json` says of the training that made the model; None or nothing for a model without it."""

    step: Count | None = None
    seconds_heard: Figure | None = None
    wall_seconds: Figure | None = None
    wrapped: Count | None = None
    loss: tuple[tuple[Count, Figure], ...] = ()
    validation: tuple[dict[str, Number], ...] = ()
    environment: Recorded | None = None
    earlier: tuple[tuple[Count, Recorded], ...] = ()  # up to which step it ran elsewhere

    def environments(self) -> list[Recorded]:
        """All that it was trained on, each once."""
        return each_once([*(left for _, left in self.earlier), *filter(None, [self.environment])])


def read_history(folder: Path) -> History:
    """The history in a model folder; raises ModelError naming `training.json` for what is none."""
    found = read_json(folder / "training.json", History, "a training's history")
    return History() if found is None else found[0]


def read_names(path: Path) -> tuple[str, ...]:
    """The names of the head's rows, in order: one a line. Raises ModelError for an empty name and for one twice."""
    names = read_lines(path, ModelError, "the names of the head's rows; copy the model again", most=MOST_BYTES)
    if (problem := unfit_names(names)) is not None:
        raise ModelError(f"{path}: {problem}; copy the model again")
    return tuple(names)


def unfit_names(names: Sequence[str]) -> str | None:
    """What is wrong with the names of rows, if anything: each must be another, and none may be empty."""
    rows: dict[str, int] = {}
    for row, name in enumerate(names, start=1):
        if not name.strip():
            return f"row {row} has no name"
        if name in rows:
            return f"{name!r} is the name of row {rows[name]} and of row {row}"
        rows[name] = row
    return None
