"""How long the systems of a study train: numbers of steps, epochs, and sums of them by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from shortvox.config import Settings, nearest_name
from shortvox.errors import ConfigError
from shortvox.training.settings import MOST_EPOCHS, MOST_STEPS, epoch_steps


class Epochs(Settings):
    """Passes over the training utterances; how many steps they are depends on the corpus and the batch."""

    epochs: float = Field(gt=0, le=MOST_EPOCHS)


def _steps_or_epochs(value: Any) -> int | Epochs:
    if isinstance(value, Epochs):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_STEPS:
        return value
    if isinstance(value, Mapping) and set(value) == {"epochs"}:
        number = value["epochs"]
        if isinstance(number, int | float) and not isinstance(number, bool) and 0 < number <= MOST_EPOCHS:
            return Epochs(epochs=number)
    raise ValueError(
        f"expected a number of steps from 1 to {MOST_STEPS}, or {{epochs: NUMBER}} with at most {MOST_EPOCHS:g}"
    )


Length = Annotated[int | Epochs, BeforeValidator(_steps_or_epochs)]


def parse_length(text: str | int, budget: Mapping[str, int | Epochs]) -> list[int | Epochs]:
    """The terms of a sum such as `T+S` or `500`; raises ConfigError for one that is neither a number nor a name."""
    terms: list[int | Epochs] = []
    for term in str(text).replace(" ", "").split("+"):
        if term in budget:
            terms.append(budget[term])
        elif re.fullmatch(r"0*[1-9][0-9]{0,8}", term):
            terms.append(int(term))
        else:
            shown = term if len(term) <= 40 else f"{term[:40]}…"
            raise ConfigError(f"'{shown}' is no number of steps and not in budget{nearest_name(shown, budget)}")
    return terms


def count_steps(terms: Sequence[int | Epochs], utterances: int | None, crops: int) -> int:
    """Steps of `crops` crops that the terms come to for a corpus of so many training utterances."""
    total = 0
    for term in terms:
        if isinstance(term, int):
            total += term
        elif utterances is None:
            raise ValueError("epochs are steps only for a corpus: ask study.on(utterances)")
        else:
            total += epoch_steps(term.epochs, utterances, crops)
    return total
