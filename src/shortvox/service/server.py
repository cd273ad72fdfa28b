"""uvicorn on a socket: says where it listens, ends in order, and lets nobody hold a connection without asking."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from shortvox.errors import ConfigError
from shortvox.service.app import Front, make_app
from shortvox.service.conversation import LARGEST_FRAME

GRACE = 15  # seconds for what is in work when the service is to end
HEAD_WITHIN = 10.0  # seconds
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises ConfigError where there can be none."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"cannot listen on {host} port {port} ({reason}); choose another --host or --port") from None


def make_server(front: Front, ready: Callable[[str], None]) -> uvicorn.Server:
    """A server whose `run(sockets=[…])` answers until SIGTERM or Ctrl-C, or until it `should_exit`.

    `ready` is told the address once requests are answered.
    """
    config = uvicorn.Config(
        make_app(front),
        http=_PromptH11,
        ws="websockets-sansio",
        ws_max_size=4 * LARGEST_FRAME,  # what is larger than a frame may be is told in JSON; this only closes
        ws_per_message_deflate=False,
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=GRACE,
    )
    return _Server(config, front, ready)


def address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, front: Front, ready: Callable[[str], None]) -> None:
        super().__init__(config)
        self._front, self._ready = front, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets
        self._ready(address_of(sockets[0]))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._front.closing = True
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn does, but a signal has ended the service in order, and is not raised again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self.handle_exit) for each in _SIGNALS}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


class _PromptH11(H11Protocol):
    """Closes connections on which no whole request head arrives in time.

    Most clients read no answer before they have sent everything, so that what is sent after an answer is let go by, and
    as long.
    """

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _expect(self) -> None:
        is_answered = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
        if (self.conn.their_state is not h11.IDLE and not is_answered) or self.transport.get_protocol() is not self:
            self._forget()
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_WITHIN, self.transport.close)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
