"""Keys, host names and origins: who gets an answer."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from service.serving import serving, wav
from shortvox.cli.main import run
from shortvox.errors import ConfigError
from shortvox.service.access import Access, read_key
from shortvox.service.limits import Refused

KEY = "a-key-of-sixteen-and-more"


def status(access: Access, **headers: str) -> int:
    given = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    try:
        access.check_source(given)
        access.check_key(given)
    except Refused as refused:
        return refused.status
    return 200


@pytest.mark.parametrize("host", ["localhost", "localhost:8017", "127.0.0.1:1", "[::1]:8017", "LOCALHOST"])
def test_loopback_answers_to_its_names(host: str) -> None:
    assert status(Access.to("127.0.0.1", None), host=host) == 200


@pytest.mark.parametrize("host", ["", "evil.example", "evil.example:8017", "localhost.evil.example", "127.0.0.1.x"])
def test_loopback_answers_to_no_other_name(host: str) -> None:
    """A page that lets its own name resolve to this machine."""
    assert status(Access.to("127.0.0.1", None), host=host) == 403
    assert status(Access.to("127.0.0.1", None, ("evil.example",)), host="evil.example") == 200


def test_pages_of_other_sites_are_not_answered() -> None:
    access = Access.to("127.0.0.1", None)
    for origin, expected in (
        ("http://localhost:8017", 200),
        ("http://evil.example", 403),
        ("http://localhost:3000", 403),
        ("null", 403),
        ("file://", 403),
    ):
        assert status(access, host="localhost:8017", origin=origin) == expected


def test_off_loopback_there_is_no_service_without_a_key() -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org"):
        with pytest.raises(ConfigError, match="an API key is needed"):
            Access.to(host, None)
        assert status(Access.to(host, KEY), host="any.name") == 401
        assert status(Access.to(host, KEY), host="any.name", authorization=f"Bearer {KEY}") == 200


def test_the_command_refuses_to_start_without_a_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHORTVOX_API_KEY", raising=False)
    assert run(["serve", "--host", "0.0.0.0", "--port", "0"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "an API key is needed" in told


def test_a_key_comes_in_three_ways() -> None:
    access = Access.to("0.0.0.0", KEY)
    coded = base64.urlsafe_b64encode(KEY.encode()).decode().rstrip("=")
    right = (
        {"authorization": f"bearer {KEY}"},
        {"x_api_key": KEY},
        {"sec_websocket_protocol": f"shortvox, key.{coded}"},
    )
    wrong = (
        {},
        {"authorization": f"Basic {KEY}"},
        {"authorization": f"Bearer {KEY}x"},
        {"x_api_key": KEY[:-1]},
        {"x_api_key": "ключ"},
        {"sec_websocket_protocol": f"shortvox, {coded}"},
        {"sec_websocket_protocol": "key.!"},
        {"sec_websocket_protocol": "key._w"},
    )
    assert [status(access, host="a", **each) for each in right] == [200] * len(right)
    for each in wrong:
        with pytest.raises(Refused) as refused:
            access.check_key(Headers(raw=[(n.replace("_", "-").encode(), v.encode()) for n, v in each.items()]))
        assert refused.value.status == 401


def test_a_key_is_read_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHORTVOX_API_KEY", raising=False)
    assert read_key(None) is None
    monkeypatch.setenv("SHORTVOX_API_KEY", KEY)
    assert read_key(None) == KEY
    (tmp_path / "key").write_text(f"{KEY[::-1]}\n")
    assert read_key(tmp_path / "key") == KEY[::-1]
    for content in (b"", b"short", b"two keys-in-one-file here", b"\xff" * 20, KEY.encode() * 2 + b"\n" + KEY.encode()):
        (tmp_path / "key").write_bytes(content)
        with pytest.raises(ConfigError, match="key"):
            read_key(tmp_path / "key")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_key(tmp_path / "none")


def test_what_is_open_without_a_key_holds_nothing() -> None:
    with serving(access=Access.to("127.0.0.1", KEY)) as client:
        for path in ("/", "/health", "/docs", "/openapi.json", "/reports"):
            assert client.get(path).status == 200
        for path in (
            "/metrics",
            "/v1/service",
            "/v1/speakers",
            "/v1/reports",
            "/v1/reports/a",
            "/nowhere",
            "//",
            "/health/",
        ):
            assert client.get(path).status == 401
        test = (("enrolment", wav(1)), ("test", wav(1, 2.0, 3)))
        assert client.post("/v1/verify", *test).status == 401
        assert client.post("/v1/verify", *test, Authorization=f"Bearer {KEY}").status == 200
        assert client.post("/v1/verify", *test, **{"X-API-Key": KEY, "Origin": "http://evil.example"}).status == 403
        assert client.get("/health", Host="evil.example").status == 403
