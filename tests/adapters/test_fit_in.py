"""What docs/fit-in.md prints."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType

import pytest
import soundfile

from hearing import VERIFIER, said
from shortvox.adapters.sklearn import SpeakerClassifier
from shortvox.verification.verifier import Verifier

RATE = 16000
PAGE = (Path(__file__).parents[2] / "docs/fit-in.md").read_text(encoding="utf-8")
ALICE, BOB, STRANGER = 4, 7, 0


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_of_a_classifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    people = {
        "alice-1": (ALICE, 3),
        "alice-2": (ALICE, 3),
        "bob-1": (BOB, 3),
        "door": (ALICE, 2),
        "street": (STRANGER, 2),
    }
    for number, (name, (speaker, seconds)) in enumerate({**people, "cough": (ALICE, 0.1)}.items()):
        soundfile.write(tmp_path / f"{name}.wav", said(speaker, seconds, number), RATE, subtype="FLOAT")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Verifier, "load", lambda model: VERIFIER)
    recordings = [said(speaker, 2, seed) for speaker in (ALICE, BOB, STRANGER) for seed in (1, 2)]
    example, search = blocks("python")
    space = {"recordings": recordings, "labels": ["alice", "alice", "bob", "bob", "unknown", "unknown"]}
    exec(example + search, space)
    first, second, best = capsys.readouterr().out.splitlines()
    assert first == example.splitlines()[4].partition("# ")[2]
    assert second.startswith("['alice' 'bob'] [[") and best.startswith("{'max_fpr': ")


def test_the_parameters_of_a_classifier_have_their_defaults() -> None:
    printed = dict(re.findall(r"`(\w+)=([^`]+)`", PAGE))
    assert {name: eval(value) for name, value in printed.items()} == SpeakerClassifier().get_params()


def test_the_settings_of_a_listener(adapter: ModuleType) -> None:
    (example,) = map(json.loads, blocks("json"))
    ((name, config),) = example["listener"]["ww_verifiers"].items()
    fields = adapter.VerifierSettings.model_fields
    table = PAGE.split("| key | default | meaning |")[1].split("\n\n")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE))
    assert name == adapter.NAME and adapter.VerifierSettings(**config).speakers == ("alice",)
    assert rows.keys() == fields.keys()
    for key in ("max_fpr", "too_little", "sample_rate", "model"):
        assert rows[key].strip("`") == str(fields[key].default)
