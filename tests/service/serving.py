"""A service on a port of this machine, within the process of a test, and clients that may misbehave."""

from __future__ import annotations

import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import soundfile

from amounts import AMOUNTS
from shortvox.encoders.encoder import Encoder
from shortvox.gallery.gallery import Gallery
from shortvox.service.access import Access
from shortvox.service.app import Front
from shortvox.service.limits import Limits
from shortvox.service.server import bind, make_server
from shortvox.service.service import Service
from shortvox.verification.verifier import Verifier
from voices import voice

RATE = 16_000
BOUNDARY = "a-boundary"


@cache
def said(speaker: int, seconds: float = 2.0, seed: int = 0) -> np.ndarray:
    return voice(speaker, seconds, np.random.default_rng((seed, speaker)))


def log_spectrum(samples: np.ndarray) -> np.ndarray:
    frames = samples[: len(samples) // 400 * 400].reshape(-1, 400)
    return np.log(1e-7 + np.square(np.abs(np.fft.rfft(frames))).mean(axis=0))[2:100]


@cache
def usual() -> np.ndarray:
    """The spectrum of all made voices together."""
    return np.mean([log_spectrum(said(speaker, 2.0, 99)) for speaker in range(1, 9)], axis=0)


def spectrum(waveforms: Sequence[np.ndarray]) -> np.ndarray:
    """What is a made voice's own in its long-term spectrum."""
    found = np.stack([log_spectrum(one) - usual() for one in waveforms])
    return found - found.mean(axis=1, keepdims=True)


VERIFIER = Verifier(Encoder("spectrum", "test", "here", 98, "f", 1600, spectrum), AMOUNTS, "none")


@cache
def wav(speaker: int, seconds: float = 2.0, seed: int = 0) -> bytes:
    return as_wav(said(speaker, seconds, seed))


def as_wav(samples: np.ndarray, rate: int = RATE) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, samples, rate, format="WAV", subtype="PCM_16")
    return content.getvalue()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True)
class Client:
    address: str
    front: Front

    @property
    def port(self) -> int:
        port = urlsplit(self.address).port
        assert port
        return port

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, told, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, *parts: tuple[str, bytes | str], **headers: str) -> Answer:
        """A form: bytes are uploads, text is a field."""
        return self.ask("POST", path, form(*parts), {"Content-Type": FORM, **headers})

    def enrol(self, name: str, speaker: int, seed: int = 0) -> Answer:
        recordings = (("enrolment", wav(speaker, 3.0, seed + 10)), ("enrolment", wav(speaker, 3.0, seed + 11)))
        return self.post(f"/v1/speakers/{quote(name, safe='')}", *recordings)

    @contextmanager
    def raw(self, content: bytes) -> Iterator[socket.socket]:
        """A connection over which this was sent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(content)
            yield connection


FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form(*parts: tuple[str, bytes | str]) -> bytes:
    found = b""
    for name, value in parts:
        upload = '; filename="../../etc/passwd"\r\nContent-Type: audio/wav' if isinstance(value, bytes) else ""
        content = value if isinstance(value, bytes) else value.encode()
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{upload}\r\n\r\n'
        found += head.encode() + content + b"\r\n"
    return found + f"--{BOUNDARY}--\r\n".encode()


@contextmanager
def serving(
    gallery: Path | None = None,
    *,
    verifier: Verifier = VERIFIER,
    access: Access | None = None,
    limits: Limits | None = None,
    reports: Path | None = None,
) -> Iterator[Client]:
    """A service that runs until the block ends, and then must end in order."""
    voices = Gallery.open(gallery, verifier) if gallery else None
    front = Front(Service(verifier, voices), access or Access.to("127.0.0.1", None), limits or Limits(), reports)
    listening = bind("127.0.0.1", 0)
    addresses: Queue[str] = Queue()
    running = make_server(front, addresses.put)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield Client(addresses.get(timeout=20), front)
    finally:
        running.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
        if voices:
            voices.close()


def wait_until(what: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)
