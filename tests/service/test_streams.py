"""The WebSocket as a client meets it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from service.serving import Client, said, serving, wait_until
from shortvox.service.access import Access
from shortvox.service.limits import Limits
from shortvox.service.service import Service

KEY = "a-key-of-sixteen-and-more"
START = json.dumps({"type": "start", "speaker": "alice"})


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    limits = Limits(streams=2, idle=0.6)
    with serving(tmp_path_factory.mktemp("voices") / "home.db", limits=limits) as found:
        assert found.enrol("alice", 1).status == 201
        yield found


def stream(client: Client, **options: object) -> connect:
    return connect(f"ws://127.0.0.1:{client.port}/v1/stream", compression=None, **options)  # type: ignore[arg-type]


def all_of(connection: ClientConnection) -> tuple[list[dict[str, object]], int]:
    """Every message until the end, and the close code."""
    found = []
    try:
        while True:
            found.append(json.loads(connection.recv(timeout=10)))
    except ConnectionClosed as closed:
        assert closed.rcvd
        return found, closed.rcvd.code


@pytest.mark.parametrize(("speaker", "outcome"), [(1, "SAME"), (6, "DIFFERENT")])
def test_it_is_decided_while_they_speak(client: Client, speaker: int, outcome: str) -> None:
    with stream(client) as connection:
        connection.send(START)
        for block in np.split(said(speaker, 4.0, 5), 40):
            try:
                connection.send((block * 32767).astype("<i2").tobytes())
            except ConnectionClosed:
                break  # it is decided
        messages, code = all_of(connection)
    assert code == 1000 and messages[0]["type"] == "started"
    assert (messages[-1]["outcome"], messages[-1]["done"]) == (outcome, True)
    assert f'outcomes_total{{route="/v1/stream",outcome="{outcome}"}}' in client.get("/metrics").content.decode()


@pytest.mark.parametrize(
    ("message", "expected"),
    [(b"\0\0", 1008), ("garbage", 1007), (bytes(70_000), 1008), (None, 4408), ('{"type": "stop"}', 1008)],
)
def test_one_error_and_a_code(client: Client, message: str | bytes | None, expected: int) -> None:
    with stream(client) as connection:
        if message is not None:
            connection.send(message)
        messages, code = all_of(connection)
    assert code == expected and len(messages) == 1 and isinstance(messages[0]["error"], str)


@pytest.mark.parametrize("pieces", [1, 2000])
def test_frames_that_no_server_should_take(client: Client, pieces: int) -> None:
    """Whole, or in pieces that are as large together. The close code is lost where it is still being sent."""
    with stream(client) as connection:
        with suppress(ConnectionClosed):
            connection.send(bytes(2_000_000 // pieces) for _ in range(pieces))
        with pytest.raises(ConnectionClosed) as ended:
            connection.recv(timeout=10)
        assert ended.value.rcvd is None or ended.value.rcvd.code == 1009
    wait_until(lambda: client.front.streams.taken == 0)
    assert client.get("/health").status == 200


def test_one_stream_too_many_is_told_to_come_again(client: Client) -> None:
    wait_until(lambda: client.front.streams.taken == 0)
    with stream(client) as one, stream(client) as other:
        for each in (one, other):
            each.send(START)
            each.recv()
        with stream(client) as third:
            messages, code = all_of(third)
        assert code == 1013 and "too many streams" in str(messages[0]["error"])
    wait_until(lambda: client.front.streams.taken == 0)


def test_a_client_that_vanishes_leaves_its_place(client: Client) -> None:
    with stream(client) as connection:
        connection.send(START)
        connection.recv()
        connection.socket.close()
    wait_until(lambda: client.front.streams.taken == 0)


def test_a_bug_ends_a_stream_without_what_it_was(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(Service, "stream", broken)
    with stream(client) as connection:
        connection.send(START)
        messages, code = all_of(connection)
    assert code == 1011 and "secret" not in json.dumps(messages)


def test_other_sites_open_no_stream(client: Client) -> None:
    with pytest.raises(InvalidStatus) as refused:
        stream(client, origin=Origin("http://evil.example"))
    assert refused.value.response.status_code == 403
    with stream(client, origin=Origin(f"http://127.0.0.1:{client.port}")) as connection:
        connection.send(START)
        assert json.loads(connection.recv())["type"] == "started"


def test_a_stream_needs_the_key(tmp_path: Path) -> None:
    coded = base64.urlsafe_b64encode(KEY.encode()).decode().rstrip("=")
    with serving(tmp_path / "home.db", access=Access.to("127.0.0.1", KEY)) as client:
        with pytest.raises(InvalidStatus) as refused:
            stream(client)
        assert refused.value.response.status_code == 401
        with stream(client, additional_headers={"Authorization": f"Bearer {KEY}"}) as connection:
            connection.send("garbage")
            assert all_of(connection)[1] == 1007
        protocols = [Subprotocol("shortvox"), Subprotocol(f"key.{coded}")]
        with stream(client, subprotocols=protocols) as connection:
            assert connection.subprotocol == "shortvox"


def test_a_stream_ends_when_the_service_does(tmp_path: Path) -> None:
    with serving(tmp_path / "home.db") as client:
        assert client.enrol("alice", 1).status == 201
        opened = stream(client)
        connection = opened.__enter__()
        connection.send(START)
        connection.recv()
    assert all_of(connection)[1] == 1012
    opened.__exit__(None, None, None)
