"""Size, time and number of requests: what is too much is told at once, and the others are served."""

from __future__ import annotations

import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.serving import FORM, RATE, VERIFIER, Answer, Client, as_wav, form, serving, spectrum, wait_until, wav
from shortvox.errors import ConfigError
from shortvox.service import server
from shortvox.service.limits import Limits

HEAD = "POST /v1/identify HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=a-boundary\r\n"


def status_of(connection: socket.socket) -> int:
    told = b""
    while b"\r\n\r\n" not in told:
        more = connection.recv(4096)
        assert more, "closed without an answer"
        told += more
    return int(told.split()[1])


def is_closed(connection: socket.socket) -> bool:
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def test_two_gigabytes_announced_are_refused_at_once() -> None:
    with serving() as client:
        for size in ("2147483648", str(10 * 2**20 + 1), "9" * 40):
            began = time.monotonic()
            with client.raw(f"{HEAD}Content-Length: {size}\r\n\r\n".encode()) as connection:
                assert status_of(connection) in (400, 413)
            assert time.monotonic() - began < 2
        assert client.get("/health").status == 200


def test_what_arrives_is_counted_whatever_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_WITHIN", 0.4)
    with serving(limits=Limits(upload=100_000)) as client:
        chunk = b"2710\r\n" + bytes(10_000) + b"\r\n"
        with client.raw(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode()) as connection:
            opening = b'--a-boundary\r\nContent-Disposition: form-data; name="test"; filename="x"\r\n\r\n'
            connection.sendall(b"%x\r\n%b\r\n" % (len(opening), opening) + 9 * chunk)
            time.sleep(0.1)
            connection.sendall(2 * chunk)
            assert status_of(connection) == 413
            with pytest.raises(ConnectionError):  # what is sent after the answer is let go by, but not forever
                while True:
                    connection.sendall(chunk)
        assert client.post("/v1/identify", ("test", bytes(99_000))).status == 404
        assert client.post("/v1/identify", ("test", bytes(100_000))).status == 413


def test_a_body_that_does_not_come_is_not_waited_for_forever() -> None:
    with serving(limits=Limits(seconds=0.3)) as client:
        with client.raw(f"{HEAD}Content-Length: 1000\r\n\r\n--a-bound".encode()) as connection:
            assert status_of(connection) == 408 and is_closed(connection)
        with client.raw(f"{HEAD}Content-Length: 1000\r\n\r\n--a-bound".encode()) as connection:
            pass  # the client is gone
        wait_until(lambda: client.front.metrics.in_flight == 0)
        assert client.get("/health").status == 200


def test_nobody_holds_a_connection_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_WITHIN", 0.2)
    with serving() as client:
        for sent in (b"", b"GET /heal"):
            with client.raw(sent) as connection:
                assert is_closed(connection)
        with client.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n") as connection:
            assert status_of(connection) == 200
            connection.sendall(b"GET /he")  # of a second request on the same connection
            assert is_closed(connection)
        with client.raw(b"nonsense\r\n\r\n") as connection:
            assert status_of(connection) == 400


class Gate:
    """An encoder that waits until it is let on."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = 0

    def __call__(self, waveforms: Any) -> np.ndarray:
        self.entered += 1
        assert self.open.wait(20)
        return spectrum(waveforms)


def test_past_saturation_it_is_told_to_come_again_and_nothing_is_lost() -> None:
    gate = Gate()
    verifier = replace(VERIFIER, encoder=replace(VERIFIER.encoder, run=gate))

    def ask(client: Client) -> Answer:
        return client.post("/v1/verify", ("enrolment", wav(1, 1.0)), ("test", wav(1, 1.0, 3)))

    with serving(verifier=verifier, limits=Limits(workers=2, waiting=3)) as client, ThreadPoolExecutor(12) as many:
        admitted = [many.submit(ask, client) for _ in range(5)]
        wait_until(lambda: client.front.workers._jobs == 5)
        wait_until(lambda: gate.entered == 2)
        for _ in range(4):
            refused = ask(client)
            assert refused.status == 429 and refused.headers["retry-after"] == "1"
        assert client.get("/health").status == 200  # which needs no worker
        gate.open.set()
        assert [each.result().status for each in admitted] == [200] * 5
        assert ask(client).status == 200


def test_what_takes_too_long_is_503_and_what_waits_behind_it_is_dropped() -> None:
    gate = Gate()
    verifier = replace(VERIFIER, encoder=replace(VERIFIER.encoder, run=gate))
    with serving(verifier=verifier, limits=Limits(workers=1, seconds=0.3)) as client, ThreadPoolExecutor(2) as many:
        asked = [many.submit(client.post, "/v1/verify", ("enrolment", wav(1)), ("test", wav(2))) for _ in range(2)]
        assert [each.result().status for each in asked] == [503, 503]
        assert gate.entered == 1
        gate.open.set()
        wait_until(lambda: client.front.workers._jobs == 0)
        assert gate.entered <= 2  # both embeddings of the first


def test_while_it_shuts_down_nothing_new_is_begun() -> None:
    with serving() as client:
        client.front.closing = True
        answer = client.get("/health")
        assert answer.status == 503 and answer.headers["retry-after"]
        client.front.closing = False
        ending = server.make_server(client.front, print)
        ending.handle_exit(signal.SIGTERM, None)
        assert ending.should_exit and client.front.closing


def test_slow_and_broken_clients_do_not_keep_others_waiting() -> None:
    with serving(limits=Limits(uploads=4, seconds=5)) as client:
        slow = [client.raw(f"{HEAD}Content-Length: 1000\r\n\r\n--a-bound".encode()) for _ in range(3)]
        held = [each.__enter__() for each in slow]
        wait_until(lambda: client.front.intake._slots.taken == 3)
        answer = client.post("/v1/verify", ("enrolment", wav(1)), ("test", wav(1, 2.0, 3)))
        assert answer.status == 200
        with client.raw(f"{HEAD}Content-Length: 1000\r\n\r\n--a-bound".encode()):
            wait_until(lambda: client.front.intake._slots.taken == 4)
            assert client.post("/v1/identify", ("test", wav(1))).status == 429
        for each, connection in zip(slow, held, strict=True):
            connection.close()
            each.__exit__(None, None, None)
        wait_until(lambda: client.front.intake._slots.taken == 0)


def test_half_an_upload_stores_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "home.db") as client:
        body = form(("enrolment", wav(1)), ("enrolment", wav(1, 2.0, 3)))
        head = f"POST /v1/speakers/eve HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
        with client.raw(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-30]):
            wait_until(lambda: client.front.intake._slots.taken == 1)
        wait_until(lambda: client.front.intake._slots.taken == 0)
        assert client.ask("POST", "/v1/speakers/eve", body[:-10], {"Content-Type": FORM}).status == 400
        assert client.get("/v1/speakers").json == {"speakers": []}


def test_limits_are_above_nothing() -> None:
    with pytest.raises(ConfigError, match="workers 0"):
        Limits(workers=0)


@pytest.mark.parametrize("samples", [0, 1])
def test_hardly_a_recording(samples: int) -> None:
    with serving() as client:
        answer = client.post("/v1/verify", ("enrolment", wav(1)), ("test", as_wav(np.zeros(samples, np.float32), RATE)))
        told = answer.json
        assert answer.status == 422 or told["outcome"] == "TOO_LITTLE_SPEECH", told
