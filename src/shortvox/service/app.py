"""The application: access, limits, errors and metrics around the routes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shortvox import __version__
from shortvox.errors import GalleryDownError, ShortvoxError, UnknownVoiceError, VoiceTakenError, in_one_line
from shortvox.progress import note
from shortvox.service.access import Access
from shortvox.service.intake import Intake
from shortvox.service.limits import Limits, Refused, Slots
from shortvox.service.metrics import Metrics
from shortvox.service.service import NoGalleryError, Service
from shortvox.service.workers import Workers, shutting_down

OPEN = frozenset({"/health", "/openapi.json", "/", "/docs", "/reports"})  # without a key: nothing in them is secret
OPEN_FOLDER = "/page/"
_STATUS = {UnknownVoiceError: 404, NoGalleryError: 404, VoiceTakenError: 409, GalleryDownError: 503}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass
class Front:
    """What the routes share: who is asked, and within which limits."""

    service: Service
    access: Access
    limits: Limits = field(default_factory=Limits)
    reports: Path | None = None
    closing: bool = False

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        self.workers = Workers(self.limits)
        self.intake = Intake(self.limits)
        self.streams = Slots(self.limits.streams, "too many streams at once; try again")

    def told(self, error: BaseException) -> Refused | None:
        """What is answered to an error; None for a bug."""
        if isinstance(error, Refused):
            return error
        line = in_one_line(error)
        if line is None:
            return None
        if self.service.gallery is not None:
            line = line.replace(f"{self.service.gallery.address}: ", "")  # a path of this machine
        if isinstance(error, ShortvoxError):
            status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 422)
        else:  # memory, disk, files
            status, line = 503, "the service cannot do this just now"
            note(f"service: {in_one_line(error)}")
        return Refused(status, line, headers={"Retry-After": "5"} if status == 503 else None)


def make_app(front: Front) -> FastAPI:
    from shortvox.service import aliases, pages, routes, streams

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        front.closing = True
        front.workers.close()

    app = FastAPI(
        title="shortvox",
        version=__version__,
        summary="Who speaks, from a second of speech.",
        description="Outcomes are three: SAME, DIFFERENT and TOO_LITTLE_SPEECH. `llr` is a natural logarithm, seconds "
        "are net speech. This is no protection against recordings that are played back, or voices that are made.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    for each in (routes, aliases, streams, pages):
        app.include_router(each.make_router(front))

    def refuse(request: Request, error: Exception) -> JSONResponse:
        told = front.told(error)
        assert told is not None
        return JSONResponse(told.content, told.status, told.headers)

    def no_route(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return JSONResponse({"error": str(error.detail).lower()}, error.status_code, error.headers)

    app.add_exception_handler(Refused, refuse)
    app.add_exception_handler(ShortvoxError, refuse)
    app.add_exception_handler(HTTPException, no_route)
    app.add_middleware(Door, front=front)
    return app


class Door:
    """Outermost: who may come in, what is counted, and the last word on an error."""

    def __init__(self, app: ASGIApp, front: Front) -> None:
        self._app, self._front = app, front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        front, began, status = self._front, time.monotonic(), 0
        is_http = scope["type"] == "http"

        async def tell(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = Headers(raw=message.get("headers", []))
                more = [
                    (name.lower().encode(), value.encode()) for name, value in _HEADERS.items() if name not in given
                ]
                message = {**message, "headers": [*message.get("headers", []), *more]}
            await send(message)

        front.metrics.in_flight += is_http
        try:
            self._admit(scope)
            await self._app(scope, receive, tell)
        except Exception as error:
            refused = front.told(error)
            if refused is None:
                note(f"service: internal error: {type(error).__name__}: {error}")
                refused = Refused(500, "an internal error; what was asked is not at fault")
            if not status and is_http:
                await JSONResponse(refused.content, refused.status, refused.headers)(scope, receive, tell)
            elif not is_http:
                await _refuse_socket(refused, scope, receive, send)
        finally:
            front.metrics.in_flight -= is_http
            if is_http:
                route: Any = scope.get("route")
                path = getattr(route, "path", "other")
                front.metrics.answered(path, scope["method"], status, time.monotonic() - began)

    def _admit(self, scope: Scope) -> None:
        if self._front.closing:
            raise shutting_down()
        headers = Headers(scope=scope)
        self._front.access.check_source(headers)
        if scope["path"] not in OPEN and not scope["path"].startswith(OPEN_FOLDER):
            self._front.access.check_key(headers)


async def _refuse_socket(refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    """A WebSocket that was not opened yet is answered in HTTP."""
    try:
        if "websocket.http.response" in scope.get("extensions", {}):
            response = JSONResponse(refused.content, refused.status, refused.headers)
            await send(
                {"type": "websocket.http.response.start", "status": refused.status, "headers": response.raw_headers}
            )
            await send({"type": "websocket.http.response.body", "body": response.body})
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": refused.line[:100]})
    except RuntimeError:  # it was open, and its end is told already
        return
