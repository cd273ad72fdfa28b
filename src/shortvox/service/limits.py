"""How much a service takes on, and what it says to what is more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from shortvox.errors import ConfigError

MEBIBYTE = 2**20


class Refused(Exception):
    """A request that is answered with an HTTP status and one line; `more` stands beside the line in the answer."""

    def __init__(
        self, status: int, line: str, *, headers: dict[str, str] | None = None, more: dict[str, Any] | None = None
    ) -> None:
        super().__init__(line)
        self.status, self.line = status, line
        self.headers, self.more = headers or {}, more or {}

    @property
    def content(self) -> dict[str, Any]:
        return {"error": self.line, **self.more}


def busy(line: str) -> Refused:
    return Refused(429, line, headers={"Retry-After": "1"})


@dataclass(frozen=True, slots=True)
class Limits:
    """`upload`: bytes of a request's body. `recordings`: of one request. `seconds`: in which a body must have arrived,
    and then again in which there is an answer. `workers`: requests that are worked on at once, and `waiting` that wait
    for it. `uploads`: bodies that arrive at once. `streams`: open WebSockets. `idle`: seconds without a frame."""

    upload: int = 10 * MEBIBYTE
    recordings: int = 20
    seconds: float = 30.0
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    waiting: int = 16
    uploads: int = 32
    streams: int = 16
    idle: float = 10.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name.replace('_', '-')} {getattr(self, name):g}: expected more than 0")


class Slots:
    """So many at once; who comes then is refused. For one event loop."""

    def __init__(self, most: int, line: str) -> None:
        self._most, self._line = most, line
        self.taken = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        if self.taken >= self._most:
            raise busy(self._line)
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
