"""`shortvox corpus …`: one JSON object on stdout, exit code 2 for findings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recordings import make_corpus, write_tones
from typer.testing import CliRunner

from shortvox.cli.corpus import app
from shortvox.corpora.corpus import load_corpus


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.stdout


def test_import(tmp_path: Path) -> None:
    write_tones(tmp_path / "voices" / "ann" / "1.wav", seconds=0.5)
    facts = json.loads(run("import", "tree", tmp_path / "voices", tmp_path / "out", "--json"))
    assert (facts["utterances"], facts["speakers"], facts["unreadable"]) == (1, 1, [])
    assert load_corpus(tmp_path / "out").speakers == ("ann",)
    assert "1 utterances of 1 speakers" in run("import", "tree", tmp_path / "voices", tmp_path / "again")


def test_check(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path, 2, 2)
    assert json.loads(run("check", tmp_path, "--json"))["ok"] is True
    corpus.utterances[1].path.unlink()
    facts = json.loads(run("check", tmp_path, "--json", code=2))
    assert facts["counts"] == {"missing": 1} and facts["findings"][0]["row"] == 3
    assert "row 3: missing" in run("check", tmp_path, code=2)


def test_check_of_a_split(tmp_path: Path) -> None:
    make_corpus(tmp_path / "a", 2, 1)
    make_corpus(tmp_path / "b", 1, 1)
    assert "speaker s0 is in" in run("check", tmp_path / "a", "--split", tmp_path / "b", code=2)


def test_stats(tmp_path: Path) -> None:
    make_corpus(tmp_path, 3, 2, seconds=1.49)
    facts = json.loads(run("stats", tmp_path, "--json"))
    assert (facts["speakers"], facts["utterances"], facts["sessions"]) == (3, 6, 6)
    assert facts["speakers_with_several_sessions"] == 3 and facts["gender"] == {"f": 1, "m": 2}
    assert facts["at_least"] == {"5": 0, "3": 0, "2": 0, "1.5": 5, "1": 6}
    assert facts["seconds"]["min"] == pytest.approx(1.49) and facts["hours"] == pytest.approx(9.03 / 3600, abs=1e-4)
    assert "3 speakers, 6 utterances" in run("stats", tmp_path)


def test_split(tmp_path: Path) -> None:
    make_corpus(tmp_path / "corpus", 5, 1)
    facts = json.loads(run("split", tmp_path / "corpus", tmp_path / "drawn", "--fraction", "0.4", "--json"))
    assert (facts["train"]["speakers"], facts["test"]["speakers"]) == (3, 2)
    (tmp_path / "names.txt").write_text("s3\n")
    run("split", tmp_path / "corpus", tmp_path / "named", "--test-speakers", tmp_path / "names.txt")
    assert load_corpus(tmp_path / "named" / "test").speakers == ("s3",)
