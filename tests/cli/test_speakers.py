"""`enroll`, `identify` and `speakers`, from recordings to exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from hearing import VERIFIER, said
from shortvox.cli import speakers
from shortvox.cli.main import run

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with recordings, where the command line works with a verifier that hears them."""
    for name, speaker, seconds, seed in [
        *(("a1", 0, 2.5, 1), ("a2", 0, 2.5, 2), ("a3", 0, 2.5, 3), ("b1", 1, 2.5, 1), ("c1", 5, 2.5, 1)),
    ]:
        soundfile.write(tmp_path / f"{name}.wav", said(speaker, seconds, seed), 16_000)
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 16_000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SHORTVOX_GALLERY", raising=False)
    monkeypatch.setattr(speakers.Verifier, "load", lambda *given, **options: VERIFIER)
    return tmp_path


def told(capsys: Capture, code: int, *arguments: str) -> str:
    capsys.readouterr()
    assert run([*arguments]) == code, capsys.readouterr()
    return capsys.readouterr().out


def answered(capsys: Capture, code: int, *arguments: str) -> dict[str, Any]:
    printed = told(capsys, code, *arguments, "--json")
    assert printed.count("\n") == 1
    content = json.loads(printed)
    assert isinstance(content, dict)
    return content


def refused(capsys: Capture, *arguments: str) -> str:
    capsys.readouterr()
    assert run([*arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_from_recordings_to_names(here: Path, capsys: Capture) -> None:
    alice = answered(capsys, 0, "enroll", "alice", "a1.wav", "a2.wav", "--consent", "signed")
    assert (alice["name"], alice["recordings"], alice["consent"]) == ("alice", 2, "signed")
    assert 0 < alice["percent"] <= 100
    assert "kept in voices.db" in told(capsys, 0, "enroll", "bob", "b1.wav")
    found = answered(capsys, 0, "identify", "a3.wav", "--max-fpr", "0.1")
    assert (found["outcome"], found["name"], found["candidates"][0]["name"], found["voices"]) == (
        "SAME",
        *["alice"] * 2,
        2,
    )
    nobody = answered(capsys, 3, "identify", "c1.wav")
    assert (nobody["outcome"], nobody["name"], nobody["reason"]) == ("DIFFERENT", None, "nobody")
    quiet = answered(capsys, 4, "identify", "silence.wav")
    assert (quiet["outcome"], quiet["refusal"]["reason"]) == ("TOO_LITTLE_SPEECH", quiet["reason"])
    assert told(capsys, 0, "identify", "a3.wav", "--max-fpr", "0.1").startswith("alice\n")
    assert told(capsys, 3, "identify", "c1.wav").startswith("nobody\nDIFFERENT\n")
    assert told(capsys, 4, "identify", "silence.wav").startswith("nobody\nTOO_LITTLE_SPEECH   ")


def test_who_cannot_be_enrolled_is_not_stored(here: Path, capsys: Capture) -> None:
    for recordings in (["silence.wav"], ["a1.wav", "silence.wav"]):
        refusal = answered(capsys, 4, "enroll", "alice", *recordings)
        assert (refusal["name"], refusal["outcome"]) == ("alice", "TOO_LITTLE_SPEECH")
        assert told(capsys, 4, "enroll", "alice", *recordings).startswith("TOO_LITTLE_SPEECH ")
    assert not (here / "voices.db").exists()
    told(capsys, 0, "enroll", "alice", "a1.wav")
    assert "'alice' is enrolled already" in refused(capsys, "enroll", "alice", "a2.wav")
    assert answered(capsys, 0, "enroll", "alice", "a1.wav", "a2.wav", "--replace")["recordings"] == 2
    assert "there is no key" in refused(capsys, "enroll", "bob", "b1.wav", "--keep-audio")
    assert [each["name"] for each in answered(capsys, 0, "speakers", "list")["speakers"]] == ["alice"]


def test_the_gallery_comes_from_the_environment(here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORTVOX_GALLERY", "home.db")
    told(capsys, 0, "enroll", "alice", "a1.wav")
    assert (here / "home.db").exists()
    assert answered(capsys, 0, "speakers", "list")["gallery"] == "home.db"
    assert answered(capsys, 0, "speakers", "rebuild")["gallery"] == "home.db"
    assert "other.db: no such gallery; `shortvox enroll` makes one" in refused(
        capsys, "identify", "a1.wav", "--gallery", "other.db"
    )
    for verb in (["enroll"], ["identify"], ["speakers", "list"]):
        assert "SHORTVOX_GALLERY" in told(capsys, 0, *verb, "--help")


def test_speakers_are_listed_shown_carried_and_removed(here: Path, capsys: Capture) -> None:
    told(capsys, 0, "enroll", "alice", "a1.wav", "a2.wav", "--consent", "signed")
    told(capsys, 0, "enroll", "bob", "b1.wav")
    assert answered(capsys, 0, "identify", "a3.wav", "--max-fpr", "0.1")["name"] == "alice"
    alice, bob = answered(capsys, 0, "speakers", "list")["speakers"]
    assert (alice["state"], alice["compared"], bob["state"]) == ("matching", 1, "never compared")
    assert {"alice", "matching", "bob"} <= set(told(capsys, 0, "speakers", "list").split())
    assert answered(capsys, 0, "speakers", "show", "alice") == alice
    assert answered(capsys, 0, "speakers", "show", "alice", "--model", "default")["percent"] > 0
    assert "signed" in told(capsys, 0, "speakers", "show", "alice")
    assert "did you mean 'alice'" in refused(capsys, "speakers", "show", "alic")
    assert answered(capsys, 0, "speakers", "export", "one.zip", "alice") == {"file": "one.zip", "voices": 1}
    assert answered(capsys, 0, "speakers", "import", "one.zip", "--gallery", "new.db")["voices"] == 1
    assert answered(capsys, 0, "speakers", "migrate", "copy.db") == {"gallery": "copy.db", "voices": 2}
    assert answered(capsys, 0, "identify", "a3.wav", "--max-fpr", "0.1", "--gallery", "copy.db")["name"] == "alice"
    assert "did you mean 'bob'" in refused(capsys, "speakers", "remove", "alice", "bobb")
    assert answered(capsys, 0, "speakers", "remove", "alice", "bob", "alice")["removed"] == ["alice", "bob"]
    assert answered(capsys, 0, "speakers", "list")["speakers"] == []
    assert answered(capsys, 3, "identify", "a3.wav")["reason"] == "empty"


def test_a_rebuild_from_the_command_line(here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setenv("SHORTVOX_GALLERY_KEY", "A" * 43 + "=")
    told(capsys, 0, "enroll", "alice", "a1.wav", "a2.wav", "--keep-audio")
    told(capsys, 0, "enroll", "bob", "b1.wav")
    other = replace(VERIFIER, encoder=replace(VERIFIER.encoder, fingerprint="another"))
    monkeypatch.setattr(speakers.Verifier, "load", lambda *given, **options: other)
    assert "`shortvox speakers rebuild voices.db`" in refused(capsys, "identify", "a3.wav")
    done = answered(capsys, 0, "speakers", "rebuild", "voices.db")
    assert (done["rebuilt"], done["left"]) == (["alice"], {"bob": "no audio was kept"})
    found = answered(capsys, 0, "identify", "a3.wav", "--max-fpr", "0.1")
    assert (found["name"], found["voices"]) == ("alice", 1)
