"""Corpora that are put into one, where equal names are one person."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from shortvox.corpora.corpus import load_corpus, write_manifest
from shortvox.corpora.utterance import Utterance

ROOT = Path(__file__).parents[2]


def made(folder: Path, *names: str) -> Path:
    folder.mkdir()
    soundfile.write(folder / "a.wav", np.zeros(1600), 16000)
    write_manifest(folder, [Utterance(name, name.partition("-")[0], folder / "a.wav") for name in names])
    return folder


def test_a_corpus_or_a_part_of_a_name_is_a_domain(tmp_path: Path) -> None:
    one = made(tmp_path / "one", "ann-de_1", "bob-fr_2", "bob-fr_3")
    two = made(tmp_path / "two", "bob-x", "cid-y")
    out = tmp_path / "out"
    command = [sys.executable, str(ROOT / "benchmarks/join_corpora.py"), str(out), f"{one}:2", str(two)]
    subprocess.run([*command, "--domains=-([a-z]+)_[0-9]+$"], check=True, capture_output=True)
    joined = load_corpus(out)
    assert {u.id: u.column("domain") for u in joined.utterances} == {
        "bob-fr_2": "one fr",
        "bob-fr_3": "one fr",
        "bob-x": "two",
        "cid-y": "two",
    }
    assert sorted(joined.by_speaker()) == ["bob", "cid"]
    assert all(u.path.is_file() for u in joined.utterances)


def test_without_a_pattern_the_corpus_is_the_domain(tmp_path: Path) -> None:
    one, two = made(tmp_path / "one", "ann-de_1"), made(tmp_path / "two", "bob-x")
    command = [sys.executable, str(ROOT / "benchmarks/join_corpora.py"), str(tmp_path / "out"), str(one), str(two)]
    subprocess.run([*command, "--domains"], check=True, capture_output=True)
    assert [u.column("domain") for u in load_corpus(tmp_path / "out").utterances] == ["one", "two"]
