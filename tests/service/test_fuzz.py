"""Whatever is sent, the answer is one line and the service lives."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from service.serving import FORM, RATE, Client, as_wav, form, said, serving, wav

POSTS = ("/v1/verify", "/v1/identify", "/v1/enrol", "/v1/speakers/x", "/v1/voice/verify", "/v1/voice/register")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(tmp_path_factory.mktemp("voices") / "home.db") as found:
        assert found.enrol("alice", 1).status == 201
        yield found


def is_told(client: Client, path: str, body: bytes, kind: str = FORM) -> int:
    """Asserts that it is a 4xx with one line, or an answer."""
    answer = client.ask("POST", path, body, {"Content-Type": kind})
    content = answer.json
    if answer.status >= 400:
        assert answer.status < 500 and isinstance(content["error"], str), (answer.status, content)
        assert content["error"] and "\n" not in content["error"] and len(content["error"]) < 1000
    return answer.status


@settings(max_examples=60)
@given(st.sampled_from(POSTS), st.binary(max_size=300), st.sampled_from([FORM, "application/json", "", "text/\xff"]))
def test_any_bytes(client: Client, path: str, body: bytes, kind: str) -> None:
    is_told(client, path, body, kind)


@settings(max_examples=60)
@given(
    st.sampled_from(POSTS[:4]),
    st.lists(
        st.tuples(
            st.sampled_from(["test", "enrolment", "speaker", "max_fpr", "prior", "consent", "x\r\ny", '"', ""]),
            st.one_of(st.text(max_size=20), st.sampled_from([b"", b"RIFF", wav(1), wav(1)[:100], wav(1)[:9000]])),
        ),
        max_size=4,
    ),
    st.integers(0, 60),
)
def test_any_form_whole_or_cut(client: Client, path: str, parts: list[tuple[str, bytes | str]], cut: int) -> None:
    body = form(*((name, value if isinstance(value, bytes) else value.encode().decode()) for name, value in parts))
    status = is_told(client, path, body[: len(body) - cut])
    if cut > 4:  # the last boundary
        assert status >= 400


KEYS = st.sampled_from(["audio", "name", "id"])
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["audio", "name", "id"]), inner)
    ),
    max_leaves=5,
)


@settings(max_examples=40)
@given(st.sampled_from(["embed", "verify", "register", "identify", "forget"]), JSON)
def test_any_json(client: Client, verb: str, content: object) -> None:
    assert is_told(client, f"/v1/voice/{verb}", json.dumps(content).encode(), "application/json") >= 400


@settings(max_examples=30)
@given(st.binary(min_size=1, max_size=60))
def test_any_name(client: Client, name: bytes) -> None:
    path = "/v1/speakers/" + "".join(f"%{each:02x}" for each in name)
    for method in ("GET", "DELETE"):
        answer = client.ask(method, path)
        assert 400 <= answer.status < 500 and "\n" not in answer.json["error"]


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("a.wav", wav(1))
    return content.getvalue()


def of_channels(count: int) -> bytes:
    return as_wav(np.repeat(said(1)[:, None], count, axis=1))


def with_nan() -> bytes:
    content = io.BytesIO()
    samples = said(1).copy()
    samples[5000] = np.nan
    soundfile.write(content, samples, RATE, format="WAV", subtype="FLOAT")
    return content.getvalue()


def announced(seconds: int) -> bytes:
    """A WAV file whose header promises more than is there."""
    content = bytearray(wav(1))
    content[40:44] = (seconds * 2 * RATE).to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize(
    ("recording", "status"),
    [
        (as_wav(said(1)[:0]), 422),
        (as_wav(said(1)[:1]), 422),
        (announced(36_000), 422),
        (as_wav(np.zeros(36_000 * 200, np.float32), 200), 413),
        (as_wav(np.repeat(said(1), 12), 12 * RATE), 201),
        (of_channels(8), 201),
        (with_nan(), 422),
        (archive(), 422),
        (b"", 422),
        (b"#EXTM3U\n/etc/passwd\n", 422),
        (b"\x1aE\xdf\xa3" + bytes(50), 422),
    ],
    ids=[
        "no-sample",
        "a-sample",
        "promised",
        "10-hours",
        "192-khz",
        "8-channels",
        "nan",
        "zip",
        "empty",
        "list",
        "webm",
    ],
)
def test_recordings_of_every_kind(client: Client, recording: bytes, status: int) -> None:
    assert is_told(client, "/v1/speakers/new", form(("enrolment", recording))) == status
    assert client.ask("DELETE", "/v1/speakers/new").status == (204 if status == 201 else 404)
