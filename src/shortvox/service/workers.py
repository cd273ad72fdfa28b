"""Threads that find speech, embed and look things up, while the event loop goes on listening."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from shortvox.service.limits import Limits, Refused, busy

T = TypeVar("T")


class Workers:
    """A job begins when a thread is free. Where too many wait already, it is refused at once."""

    def __init__(self, limits: Limits) -> None:
        self._pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="shortvox")
        self._most, self._seconds = limits.workers + limits.waiting, limits.seconds
        self._guard = threading.Lock()
        self._jobs = 0

    async def run(self, work: Callable[..., T], *arguments: Any, patient: bool = False) -> T:
        """What `work` returns or raises.

        Raises Refused, 429 where too many wait, 503 where there is no result in time: a job that has not begun is then
        dropped. A `patient` job is neither refused nor given up.
        """
        with self._guard:
            if self._jobs >= self._most and not patient:
                raise busy("too many requests at once; try again")
            self._jobs += 1
        try:
            future = self._pool.submit(work, *arguments)
        except RuntimeError:  # the pool is closed
            self._ended(None)
            raise shutting_down() from None
        future.add_done_callback(self._ended)
        try:
            async with asyncio.timeout(None if patient else self._seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            line = f"no answer within {self._seconds:g} s; send less, or try again"
            raise Refused(503, line, headers={"Retry-After": "5"}) from None

    def close(self) -> None:
        """Let what has begun end; what waits is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _ended(self, future: Future[Any] | None) -> None:
        with self._guard:
            self._jobs -= 1


def shutting_down() -> Refused:
    return Refused(503, "the service is shutting down", headers={"Retry-After": "5", "Connection": "close"})
