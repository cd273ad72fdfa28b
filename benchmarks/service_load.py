"""What a service bears: throughput, latency, past saturation; slow and broken clients, a kill, a full disk.

    python benchmarks/service_load.py [--model default] [--seconds 8]

Starts `shortvox serve` on loopback, enrols made voices, and asks `/v1/verify` about 1.5 s of one of them. A minute in
all. Client and service share the machine, so that figures are of both.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import soundfile
from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from voices import syllables

RATE = 16_000
BOUNDARY = "a-boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def recording(speaker: int, seconds: float, seed: int) -> np.ndarray:
    return syllables(speaker, seconds, np.random.default_rng((seed, speaker)))


def wav(samples: np.ndarray) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, samples, RATE, format="WAV", subtype="PCM_16")
    return content.getvalue()


def form(**parts: bytes | str) -> bytes:
    found = b""
    for name, value in parts.items():
        upload = '; filename="x"' if isinstance(value, bytes) else ""
        content = value if isinstance(value, bytes) else value.encode()
        found += (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{upload}\r\n\r\n'.encode()
            + content
            + b"\r\n"
        )
    return found + f"--{BOUNDARY}--\r\n".encode()


class Service:
    def __init__(self, gallery: Path, model: str, *options: str, most_bytes: int | None = None) -> None:
        def limit() -> None:
            if most_bytes:
                resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

        command = [sys.executable, "-m", "shortvox", "serve", "--port", "0", "--json", "--model", model]
        began = time.monotonic()
        self.process = subprocess.Popen(
            [*command, "--gallery", str(gallery), *options],
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=limit,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert self.process.stdout
        self.port = urlsplit(json.loads(self.process.stdout.readline())["address"]).port
        self.started = time.monotonic() - began

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": FORM} if body else {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def enrol(self, name: str, voice: bytes) -> int:
        return self.ask("POST", f"/v1/speakers/{name}", form(enrolment=voice))[0]

    def memory(self) -> float:
        """MiB resident."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20

    def worked(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def names(self) -> set[str]:
        return {each["name"] for each in json.loads(self.ask("GET", "/v1/speakers")[1])["speakers"]}


@contextmanager
def serving(gallery: Path, model: str, *options: str, most_bytes: int | None = None) -> Iterator[Service]:
    service = Service(gallery, model, *options, most_bytes=most_bytes)
    try:
        yield service
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(30) == 0
    finally:
        service.process.kill()
        service.process.wait()


def loaded(clients: int, seconds: float, ask: Callable[[], int]) -> tuple[Counter[int], list[float]]:
    """Statuses, and the latencies of the 200s, of so many clients that each ask again once they are answered."""
    statuses: Counter[int] = Counter()
    latencies: list[float] = []
    guard = threading.Lock()
    end = time.monotonic() + seconds

    def client() -> None:
        while time.monotonic() < end:
            began = time.monotonic()
            status = ask()
            with guard:
                statuses[status] += 1
                if status == 200:
                    latencies.append(time.monotonic() - began)
            if status == 429:
                time.sleep(0.2)  # a client that does as it is told, and sooner

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses, latencies


def told(statuses: Counter[int], latencies: list[float], seconds: float) -> str:
    p50, p99 = np.percentile(latencies, (50, 99)) * 1000
    answers = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    return f"{statuses[200] / seconds:.1f} decisions/s, p50 {p50:.0f} ms, p99 {p99:.0f} ms ({answers})"


def streamed(service: Service, samples: np.ndarray) -> float:
    """Seconds from the last sample that was needed to the decision, where samples come as they are spoken."""
    with connect(f"ws://127.0.0.1:{service.port}/v1/stream", compression=None) as stream:
        stream.send(json.dumps({"type": "start", "speaker": "alice"}))
        stream.recv()
        delays = []
        for first in range(0, len(samples), RATE // 10):
            time.sleep(0.1)
            sent = time.monotonic()
            stream.send((samples[first : first + RATE // 10] * 32767).astype("<i2").tobytes())
            while True:
                try:
                    message = json.loads(stream.recv(timeout=0.05))
                except TimeoutError:
                    break
                if message["llr"] is not None:
                    delays.append(time.monotonic() - sent)
                if message["done"]:
                    return delays[-1]
    raise SystemExit("no decision")


def saturated(service: Service, ask: Callable[[], int], seconds: float) -> None:
    for clients in (1, 4, 16, 64):
        before = service.worked()
        statuses, latencies = loaded(clients, seconds, ask)
        each = 1000 * (service.worked() - before) / statuses[200]
        found = (
            f"{told(statuses, latencies, seconds)}; {each:.0f} ms of processor time each; {service.memory():.0f} MiB"
        )
        print(f"{clients} clients: {found}", flush=True)


def disturbed(service: Service, ask: Callable[[], int], seconds: float) -> None:
    """Uploads that stand still, break off, or are announced too large."""
    head = f"POST /v1/verify HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\nContent-Length: "
    held = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(30)]
    for each in held:
        each.sendall(f"{head}100000\r\n\r\n--{BOUNDARY}\r\n".encode())
    print(f"beside 30 uploads that stand still: {told(*loaded(4, seconds, ask), seconds)}")
    for each in held:
        each.close()
    print(f"after all of them broke off: {told(*loaded(4, seconds, ask), seconds)}", flush=True)
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        began = time.monotonic()
        connection.sendall(f"{head}2147483648\r\n\r\n".encode())
        status = connection.recv(100).split()[1].decode()
        print(f"2 GiB announced: {status} after {1000 * (time.monotonic() - began):.0f} ms")


def killed(gallery: Path, model: str, voice: bytes, seconds: float) -> None:
    service = Service(gallery, model)
    acknowledged = {"alice"}

    def enrol(thread: int) -> None:
        for number in range(1000):
            try:
                if service.enrol(f"{thread}-{number}", voice) == 201:
                    acknowledged.add(f"{thread}-{number}")
            except (OSError, http.client.HTTPException):
                return

    threads = [threading.Thread(target=enrol, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    service.process.kill()
    service.process.wait()
    for thread in threads:
        thread.join()
    with serving(gallery, model) as again:
        kept = again.names()
    lost = len(acknowledged - kept)
    print(
        f"killed while 4 clients enrolled: {len(acknowledged)} acknowledged, {lost} lost, {len(kept)} kept", flush=True
    )


def full(gallery: Path, model: str, voice: bytes) -> None:
    with serving(gallery, model, most_bytes=200_000) as service:
        statuses = Counter(service.enrol(f"v{number}", voice) for number in range(40))
        answers = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
        after, _ = service.ask("POST", "/v1/verify", form(speaker="v0", test=voice))
        print(f"disk full: {answers}; kept {len(service.names())}; a decision after that: {after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--seconds", type=float, default=8)
    options = parser.parse_args()
    voice, test, seconds = wav(recording(2, 3.0, 1)), recording(2, 1.5, 2), options.seconds
    question = form(speaker="alice", test=wav(test))
    with tempfile.TemporaryDirectory() as folder:
        gallery = Path(folder) / "voices.db"
        with serving(gallery, options.model) as service:
            print(
                f"{os.cpu_count()} cores, model {options.model}, first answer after {service.started:.1f} s", flush=True
            )

            def ask() -> int:
                return service.ask("POST", "/v1/verify", question)[0]

            assert (service.enrol("alice", voice), ask()) == (201, 200)
            saturated(service, ask, seconds)
            delay = np.median([streamed(service, test) for _ in range(3)])
            print(f"WebSocket: from a block to its decision {1000 * delay:.0f} ms")
            disturbed(service, ask, seconds / 2)
        killed(gallery, options.model, voice, seconds / 2)
        full(Path(folder) / "small.db", options.model, voice)


if __name__ == "__main__":
    main()
