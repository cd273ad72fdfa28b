"""Bodies of requests: read into memory under limits that count what arrives, not what is announced.

No file name, path or type that a client names is used, and nothing is written to disk.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request

from shortvox.config import nearest_name
from shortvox.service.forms import FormReader
from shortvox.service.limits import MEBIBYTE, Limits, Refused, Slots

_ON = {"true": True, "1": True, "on": True, "yes": True, "false": False, "0": False, "off": False, "no": False}


@dataclass(frozen=True, slots=True)
class Form:
    """Uploads and text fields by name, in their order."""

    uploads: dict[str, tuple[bytes, ...]]
    fields: dict[str, str]

    def only(self, uploads: Collection[str], fields: Collection[str]) -> Form:
        """Itself; raises Refused (400) where there is anything else in it."""
        for given, known, kind in ((self.uploads, uploads, "upload"), (self.fields, fields, "field")):
            for name in given:
                if name not in known:
                    if name in (*uploads, *fields):
                        other = "a text field" if kind == "upload" else "an upload"
                        raise Refused(400, f"'{name[:100]}': expected {other}, this is {kind} with a file name or none")
                    raise Refused(400, f"unknown {kind} '{name[:100]}'{nearest_name(name, [*known])}")
        return self

    def several(self, name: str) -> tuple[bytes, ...]:
        if not self.uploads.get(name):
            raise Refused(400, f"no upload '{name}'; send one or more recordings under this name")
        return self.uploads[name]

    def one(self, name: str) -> bytes:
        found = self.several(name)
        if len(found) > 1:
            raise Refused(400, f"{len(found)} uploads '{name}'; send one")
        return found[0]

    def number(self, name: str) -> float:
        try:
            value = float(self.fields[name])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise Refused(400, f"{name} '{self.fields[name][:40]}': expected a number")
        return value

    def flag(self, name: str) -> bool:
        given = self.fields.get(name, "false")
        if given.lower() not in _ON:
            raise Refused(400, f"{name} '{given[:40]}': expected true or false")
        return _ON[given.lower()]


class Intake:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._slots = Slots(limits.uploads, "too many uploads at once; try again")

    async def form(self, request: Request) -> Form:
        """The multipart form of a request. Raises Refused for what is none, too large, too slow or one too many."""
        reader = FormReader(request.headers.get("content-type", ""), self._limits.recordings)
        async with self._reading(request) as chunks:
            async for chunk in chunks:
                reader.feed(chunk)
        reader.close()
        return Form({name: tuple(found) for name, found in reader.uploads.items()}, reader.fields)

    async def json(self, request: Request) -> dict[str, Any]:
        """The JSON object of a request. Raises Refused as `form` does."""
        async with self._reading(request) as chunks:
            content = b"".join([chunk async for chunk in chunks])
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            raise Refused(400, "the body is not JSON") from None
        if not isinstance(found, dict):
            raise Refused(400, "the body is not a JSON object")
        return found

    @asynccontextmanager
    async def _reading(self, request: Request) -> AsyncIterator[AsyncGenerator[bytes, None]]:
        announced = request.headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced[:20]) > self._limits.upload:
            raise self._too_large()
        with self._slots.one():
            try:
                async with asyncio.timeout(self._limits.seconds):
                    yield self._counted(request)
            except TimeoutError:
                line = f"the body did not arrive within {self._limits.seconds:g} s"
                raise Refused(408, line, headers={"Connection": "close"}) from None
            except ClientDisconnect:
                raise Refused(400, "the upload broke off", headers={"Connection": "close"}) from None

    async def _counted(self, request: Request) -> AsyncGenerator[bytes, None]:
        heard = 0
        async for chunk in request.stream():
            heard += len(chunk)
            if heard > self._limits.upload:
                raise self._too_large()
            yield chunk

    def _too_large(self) -> Refused:
        most = self._limits.upload / MEBIBYTE
        return Refused(413, f"the body is larger than {most:g} MiB")
