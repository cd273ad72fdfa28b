"""Interleaved timing of two callables, so that a busy machine slows both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import cache

from shortvox.environment import environment, in_words


@cache
def _say_where() -> None:
    """What the ratios are measured on, once before the first."""
    print(in_words(environment()), flush=True)


def ratio(ours: Callable[[], object], peer: Callable[[], object], *, rounds: int = 7) -> float:
    """Median time of `peer` over that of `ours`: above 1, ours is faster."""
    ours(), peer()
    _say_where()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for spent, call in zip(times, (ours, peer), strict=True):
            start = time.perf_counter()
            call()
            spent.append(time.perf_counter() - start)
    return statistics.median(times[1]) / statistics.median(times[0])
