"""`shortvox serve` as a process: it says where it listens, ends in order, and loses nothing that it acknowledged."""

from __future__ import annotations

import http.client
import json
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from service.serving import FORM, as_wav, form
from shortvox.cli.main import run
from shortvox.gallery.gallery import Gallery
from voices import syllables

VOICE = as_wav(syllables(3, 2.0, np.random.default_rng(0)))


class Process:
    def __init__(self, gallery: Path, most_bytes: int | None = None) -> None:
        def limit() -> None:
            if most_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

        command = [
            sys.executable,
            "-m",
            "shortvox",
            "serve",
            "--model",
            "tiny",
            "--port",
            "0",
            "--json",
            "--gallery",
            str(gallery),
        ]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limit,
        )
        assert self.process.stdout
        told = json.loads(self.process.stdout.readline())
        self.port = urlsplit(told["address"]).port

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"Content-Type": FORM} if body else {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def enrol(self, name: str) -> int:
        return self.ask("POST", f"/v1/speakers/{name}", form(("enrolment", VOICE)))[0]

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Exit code, and what was said on stderr."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said


@contextmanager
def started(gallery: Path, most_bytes: int | None = None) -> Iterator[Process]:
    running = Process(gallery, most_bytes)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.process.communicate()


def kept(gallery: Path) -> set[str]:
    with Gallery.open(gallery) as voices:
        return {profile.name for profile in voices.profiles()}


def test_it_ends_in_order_and_answers_what_it_has_begun(tmp_path: Path) -> None:
    with started(tmp_path / "home.db") as running:
        assert running.enrol("alice") == 201
        body = form(("speaker", "alice"), ("test", VOICE))
        head = f"POST /v1/verify HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
        with socket.create_connection(("127.0.0.1", running.port), timeout=20) as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-10])
            time.sleep(0.2)
            running.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            connection.sendall(body[-10:])
            answer = b""
            while more := connection.recv(65536):
                answer += more
        assert answer.startswith(b"HTTP/1.1 200") and b'"outcome":"SAME"' in answer
        assert running.end(signal.SIGTERM) == (0, "")
    assert kept(tmp_path / "home.db") == {"alice"}


def test_what_it_has_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    acknowledged: set[str] = set()
    with started(tmp_path / "home.db") as running:

        def enrol(thread: int) -> None:
            for number in range(100):
                try:
                    if running.enrol(f"{thread}-{number}") == 201:
                        acknowledged.add(f"{thread}-{number}")
                except (OSError, http.client.HTTPException):
                    return

        threads = [threading.Thread(target=enrol, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        while len(acknowledged) < 4:
            time.sleep(0.01)
        assert running.end(signal.SIGKILL)[0] == -signal.SIGKILL
        for thread in threads:
            thread.join()
    found = kept(tmp_path / "home.db")
    assert acknowledged <= found and len(found) <= len(acknowledged) + len(threads)


def test_a_full_disk_is_told_and_survived(tmp_path: Path) -> None:
    with started(tmp_path / "home.db", most_bytes=150_000) as running:
        statuses = []
        while len(statuses) < 40 and 503 not in statuses:
            statuses.append(running.enrol(f"v{len(statuses)}"))
        assert statuses[0] == 201 and statuses[-1] == 503
        stored = {f"v{number}" for number, status in enumerate(statuses) if status == 201}
        status, told = running.ask("GET", "/v1/speakers")
        assert status == 200 and {each["name"] for each in json.loads(told)["speakers"]} == stored
        assert running.ask("POST", "/v1/verify", form(("speaker", "v0"), ("test", VOICE)))[0] == 200
        assert running.ask("GET", "/health")[0] == 200
    assert kept(tmp_path / "home.db") == stored


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(["serve", "--port", str(taken.getsockname()[1])]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "cannot listen" in told and "--port" in told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--report", "nowhere"], "no such folder"),
        (["--api-key-file", "nowhere"], "cannot be read"),
    ],
)
def test_options_that_cannot_be(
    options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["serve", "--port", "0", *options]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and words in told
