"""What is answered over HTTP, by a service that runs."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from service.serving import RATE, VERIFIER, Client, as_wav, form, serving, wav
from shortvox.service.service import Service
from shortvox.verification.decision import Decision


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(tmp_path_factory.mktemp("voices") / "home.db") as found:
        assert found.enrol("alice", 1).status == 201
        assert found.enrol("bob", 2).status == 201
        yield found


def test_a_decision_is_the_one_that_python_gives(client: Client) -> None:
    enrolment = [wav(1, 2.0, 1), wav(1, 2.0, 2)]
    answer = client.post(
        "/v1/verify", *(("enrolment", one) for one in enrolment), ("test", wav(1)), ("max_fpr", "0.02")
    )
    voiceprint = VERIFIER.enrol(enrolment)
    expected = VERIFIER.verify(voiceprint, wav(1), max_fpr=0.02)  # type: ignore[arg-type]
    assert isinstance(expected, Decision)
    assert answer.status == 200
    told = answer.json
    assert {name: told[name] for name in expected.as_dict()} == expected.as_dict()
    assert told["outcome"] == "SAME" and told["seconds"] == 2 and told["segments"] == [[0, 2]]


def test_a_stranger_is_another_and_a_name_will_do(client: Client) -> None:
    for speaker, outcome in ((1, "SAME"), (4, "DIFFERENT")):
        told = client.post("/v1/verify", ("speaker", "alice"), ("test", wav(speaker, 2.0, 5))).json
        assert told["outcome"] == outcome
    cheap = client.post(
        "/v1/verify", ("speaker", "alice"), ("test", wav(1)), ("cost_miss", "1"), ("cost_false_alarm", "5")
    )
    assert cheap.json["accept"] == cheap.json["reject"] == pytest.approx(np.log(5))


def test_segments_are_where_the_speech_is() -> None:
    from shortvox.verification.speech import Speech

    with_pause = Speech(np.zeros(RATE, np.float32), ((160, 4000), (8000, 16000)))
    from shortvox.service.service import found

    assert found(with_pause) == {"seconds": 1.0, "segments": [[0.01, 0.25], [0.5, 1.0]]}


def test_who_speaks(client: Client) -> None:
    told = client.post("/v1/identify", ("test", wav(2, 2.0, 7))).json
    assert told["name"] == "bob" and told["voices"] == 2 and told["decision"]["outcome"] == "SAME"
    nobody = client.post("/v1/identify", ("test", wav(8, 2.0, 7))).json
    assert nobody["name"] is None and nobody["reason"]


def test_a_voice_comes_is_shown_and_goes(client: Client) -> None:
    path = "/v1/speakers/" + quote("Ällen / O'Neil?", safe="")
    assert client.post(path, ("enrolment", wav(3))).json["name"] == "Ällen / O'Neil?"
    assert (client.get(path).status, client.ask("DELETE", path).status) == (200, 204)
    kept = client.post("/v1/speakers/carla", ("enrolment", wav(3)), ("consent", "in person"))
    assert kept.status == 201
    assert (kept.json["name"], kept.json["consent"], kept.json["recordings"]) == ("carla", "in person", 1)
    assert 0 < kept.json["percent"] <= 100 and kept.json["state"] == "never compared"
    assert client.get("/v1/speakers/carla").json["name"] == "carla"
    assert "carla" in [each["name"] for each in client.get("/v1/speakers").json["speakers"]]
    again = client.post("/v1/speakers/carla", ("enrolment", wav(3)))
    assert again.status == 409 and "enrolled already" in again.json["error"]
    assert client.post("/v1/speakers/carla", ("enrolment", wav(3)), ("replace", "true")).status == 201
    assert client.ask("DELETE", "/v1/speakers/carla").status == 204
    gone = client.get("/v1/speakers/carla")
    assert (
        gone.status == 404 and "nobody is called 'carla'" in gone.json["error"] and "home.db" not in gone.json["error"]
    )
    assert client.ask("DELETE", "/v1/speakers/carla").status == 404


def test_what_cannot_be_enrolled_is_not_kept(client: Client) -> None:
    silence = as_wav(np.zeros(RATE, np.float32))
    for recordings, status in (((silence,), 422), ((b"RIFF", wav(3)), 422), ((wav(3), wav(3)), 422)):
        answer = client.post("/v1/speakers/dora", *(("enrolment", one) for one in recordings))
        assert answer.status == status and "\n" not in answer.json["error"]
        assert client.get("/v1/speakers/dora").status == 404


def test_an_enrolment_is_looked_at_before_it_is_kept(client: Client) -> None:
    one = client.post("/v1/enrol", ("enrolment", wav(3, 0.4))).json
    two = client.post("/v1/enrol", ("enrolment", wav(3, 0.4)), ("enrolment", wav(3, 2.0, 1))).json
    assert 0 < one["percent"] < two["percent"] and one["advice"]
    mixed = client.post("/v1/enrol", ("enrolment", wav(3, 3.0)), ("enrolment", wav(5, 3.0))).json
    assert (mixed["outcome"], mixed["reason"]) == ("TOO_LITTLE_SPEECH", "two_voices")
    refused = client.post("/v1/verify", ("enrolment", wav(3, 3.0)), ("enrolment", wav(5, 3.0)), ("test", wav(3))).json
    assert (refused["side"], refused["reason"]) == ("enrolment", "two_voices")


@pytest.mark.parametrize(
    ("path", "parts", "words"),
    [
        ("/v1/verify", [("test", wav(1))], "either uploads 'enrolment' or a field 'speaker'"),
        ("/v1/verify", [("speaker", "alice"), ("enrolment", wav(1)), ("test", wav(1))], "either"),
        ("/v1/verify", [("speaker", "alice")], "no upload 'test'"),
        ("/v1/verify", [("speaker", "alice"), ("test", wav(1)), ("test", wav(2))], "2 uploads 'test'"),
        ("/v1/verify", [("speaker", "alice"), ("speaker", "bob"), ("test", wav(1))], "twice"),
        ("/v1/verify", [("speaker", "alice"), ("tst", wav(1))], "did you mean 'test'?"),
        ("/v1/verify", [("speaker", "alice"), ("test", wav(1)), ("max_fpr", "nan")], "expected a number"),
        ("/v1/verify", [("speaker", "alice"), ("test", wav(1)), ("cost_miss", "1")], "together"),
        ("/v1/verify", [("speaker", wav(1)), ("test", wav(1))], "expected a text field"),
        ("/v1/identify", [("test", "a path")], "expected an upload"),
        ("/v1/speakers/x", [("enrolment", wav(1)), ("replace", "perhaps")], "expected true or false"),
        ("/v1/identify", [("test", wav(1)) for _ in range(21)], "more than 20 recordings"),
        ("/v1/speakers/x", [(f"f{number}", "x") for number in range(21)], "more than 20 fields"),
        ("/v1/speakers/x", [("enrolment", wav(1)), ("consent", "x" * 16_385)], "longer than 16384 bytes"),
        ("/v1/speakers/x", [("e" * 5000, wav(1))], "the form cannot be used"),
    ],
)
def test_a_request_that_makes_no_sense_is_400(
    client: Client, path: str, parts: list[tuple[str, bytes | str]], words: str
) -> None:
    answer = client.post(path, *parts)
    assert answer.status == 400 and words in answer.json["error"]


@pytest.mark.parametrize(
    ("path", "parts", "status", "words"),
    [
        ("/v1/verify", [("speaker", "nobody"), ("test", wav(1))], 404, "nobody is called"),
        ("/v1/verify", [("speaker", "alice"), ("test", wav(1)), ("max_fpr", "2")], 422, "expected a probability"),
        ("/v1/verify", [("speaker", "alice"), ("test", b"")], 422, "empty"),
        ("/v1/verify", [("speaker", "alice"), ("test", b"PK\x03\x04" + bytes(99))], 422, "recording"),
        ("/v1/verify", [("speaker", "alice"), ("test", as_wav(np.zeros(301 * 8000), 8000))], 422, "too long"),
        ("/v1/speakers/x", [("enrolment", wav(1)), ("consent", "a\x00b")], 422, "control characters"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(
    client: Client, path: str, parts: list[tuple[str, bytes | str]], status: int, words: str
) -> None:
    answer = client.post(path, *parts)
    assert answer.status == status and words in answer.json["error"]
    assert "\n" not in answer.json["error"] and "/tmp" not in answer.json["error"]


def test_the_verbs_of_other_servers(client: Client) -> None:
    def ask(verb: str, **content: object) -> tuple[int, dict[str, object]]:
        answer = client.ask("POST", f"/v1/voice/{verb}", json.dumps(content).encode())
        return answer.status, answer.json if answer.content else {}

    audio = [base64.b64encode(wav(6, 2.0, seed)).decode() for seed in range(3)]
    status, told = ask("embed", audio=audio[0], model="any")
    assert status == 200 and told["dim"] == 98
    assert np.linalg.norm(told["embedding"]) == pytest.approx(1, abs=1e-5)  # type: ignore[arg-type]
    status, told = ask("verify", audio1=f"data:audio/wav;base64,{audio[0]}", audio2=audio[1])
    assert status == 200 and told["verified"] is True and told["outcome"] == "SAME"
    assert told["distance"] == pytest.approx(1 - told["score"])  # type: ignore[operator]
    status, told = ask("register", audio=audio[0], name="frank")
    assert (status, told["id"], bool(told["registered_at"])) == (200, "frank", True)
    status, told = ask("identify", audio=audio[1], top_k=1)
    (match,) = told["matches"]  # type: ignore[misc, attr-defined]
    assert (match["id"], match["match"]) == ("frank", True)
    assert ask("forget", id="frank") == (204, {})
    assert ask("forget", id="frank")[0] == 404
    for verb, content, words in (
        ("embed", {"audio": "https://example.com/a.wav"}, "not fetched"),
        ("embed", {"audio": "no base64!"}, "not base64"),
        ("embed", {"audio": 3}, "expected a text"),
        ("verify", {"audio1": audio[0], "audio2": audio[1], "threshold": 0.25}, "max_fpr"),
        ("embed", {"adio": audio[0]}, "did you mean 'audio'?"),
        ("identify", {"audio": audio[0], "top_k": 0}, "above 0"),
    ):
        status, told = ask(verb, **content)
        assert status == 400 and words in str(told["error"])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"audio": ' * 5])
def test_what_is_no_json_object(client: Client, body: bytes) -> None:
    answer = client.ask("POST", "/v1/voice/embed", body)
    assert answer.status == 400 and "the body is not" in answer.json["error"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--",
        form(("test", wav(1)))[:-30],
        b"--a-boundary\r\n\r\nx\r\n--a-boundary--",
        b"--a-boundary\r\nContent-Disposition: form-data\r\n\r\nx\r\n--a-boundary--\r\n",
        b"--a-boundary\r\nContent-Disposition: form-data; name=test; filename=x\r\n\r\n" + bytes(100),
        form(("speaker", "x" * 20_000)),
        form(*((f"f{number}", "x") for number in range(30))),
        bytes(range(256)) * 10,
    ],
)
def test_what_is_no_form(client: Client, body: bytes) -> None:
    answer = client.ask("POST", "/v1/identify", body, {"Content-Type": "multipart/form-data; boundary=a-boundary"})
    assert answer.status == 400 and answer.json["error"]


def test_another_type_of_body_is_refused(client: Client) -> None:
    for kind in ("audio/wav", "application/json", "multipart/mixed", "multipart/form-data"):
        answer = client.ask("POST", "/v1/identify", wav(1), {"Content-Type": kind})
        assert answer.status in (400, 415) and answer.json["error"]


def test_what_is_counted(client: Client) -> None:
    client.post("/v1/verify", ("speaker", "alice"), ("test", wav(1)))
    client.get("/v1/speakers/somebody")
    text = client.get("/metrics").content.decode()
    assert 'shortvox_outcomes_total{route="/v1/verify",outcome="SAME"}' in text
    assert 'shortvox_requests_total{route="/v1/speakers/{name:path}",method="GET",status="404"}' in text
    assert "somebody" not in text and "\nshortvox_in_flight 1\n" in text
    counts = [float(line.split()[-1]) for line in text.splitlines() if 'bucket{route="/v1/verify"' in line]
    assert counts == sorted(counts) and len(counts) == 13
    total = next(line for line in text.splitlines() if 'seconds_count{route="/v1/verify"' in line)
    assert float(total.split()[-1]) == counts[-1] > 0


def test_every_route_is_described(client: Client) -> None:
    told = client.get("/openapi.json").json
    assert {"/v1/verify", "/v1/identify", "/v1/speakers/{name}", "/v1/voice/forget", "/metrics"} <= told["paths"].keys()
    schema = told["components"]["schemas"]["Decision"]["properties"]
    assert {"outcome", "llr", "probability", "net_speech", "needed_seconds"} <= schema.keys()
    assert b"http" not in client.get("/docs").content.replace(b"http-equiv", b"")


def test_a_bug_is_told_without_what_it_was(client: Client, monkeypatch: pytest.MonkeyPatch, capfd: object) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(Service, "identify", broken)
    answer = client.post("/v1/identify", ("test", wav(1)))
    assert answer.status == 500 and list(answer.json) == ["error"] and "secret" not in answer.json["error"]
    monkeypatch.undo()
    assert client.post("/v1/identify", ("test", wav(1))).status == 200


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no file system in memory here")
def test_no_recording_touches_a_disk(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    large = wav(1, 45.0)
    assert len(large) > 2**20
    assert client.post("/v1/verify", ("speaker", "alice"), ("test", large)).json["outcome"] == "SAME"


def test_no_voices_without_a_gallery() -> None:
    with serving() as client:
        answer = client.get("/v1/speakers")
        assert answer.status == 404 and "--gallery" in answer.json["error"]
        assert client.get("/v1/service").json["keeps_voices"] is False
        assert client.post("/v1/verify", ("enrolment", wav(1)), ("test", wav(1, 2.0, 3))).json["outcome"] == "SAME"
