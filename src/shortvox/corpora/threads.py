"""Work on many recordings at once, in order, with a progress bar."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from shortvox.progress import progress_bar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], title: str) -> Iterator[Result]:
    """Results of `work` in order, a few ahead: libsndfile, soxr and hashes run without Python's lock."""
    threads = min(os.cpu_count() or 1, 8)
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool, progress_bar(transient=True) as bar:
        task = bar.add_task(title, total=len(items), note="")
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > 4 * threads:
                    yield waiting.popleft().result()
                    bar.advance(task)
            while waiting:
                yield waiting.popleft().result()
                bar.advance(task)
        finally:
            for future in waiting:
                future.cancel()
