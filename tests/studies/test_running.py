"""Whole studies of a few steps: reuse, interruption, the lock and what is written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from shortvox.cli.main import run
from shortvox.corpora.corpus import Corpus
from shortvox.environment import environment
from shortvox.errors import ShortvoxError
from shortvox.progress import progress_bar
from shortvox.studies.runner import _Watch

STUDY = {
    "title": "Tiny",
    "about": "a test",
    "budget": {"T": 4, "S": 2},
    "expects": {"corpus": "Another", "utterances": 1000},
    "train": {
        "batch": 8,
        "model": {"backbone": "ecapa-64"},
        "augment": {"kinds": ["noise"]},
        "optimiser": {"lr": 0.01},
        "checkpoint_every": 1,
    },
    "systems": {
        "teacher": {"steps": "T", "crop": "0.5s"},
        "trained": {"start": "teacher", "steps": "S", "crop": "0.3s"},
        "frozen": {"start": "teacher", "steps": "S", "crop": "0.3s", "head": "frozen"},
        "scratch": {"steps": "T+S", "crop": "0.3s"},
        "taught": {
            "start": "teacher",
            "steps": "S",
            "crop": "0.5s",
            "teachers": {"long": "teacher", "short": "scratch"},
            "set": {
                "segments": {"length": "0.3s", "pick": "one"},
                "teachers.short.hears": "segments",
                "teachers.short.embedding": 0,
            },
        },
        "trained-normed": {"of": "trained", "scoring": {"norm.name": "s-norm", "embedding.name": "tta"}},
    },
    "test": {"lengths": ["full", 1], "draws": 100, "crop_seeds": 1},
    "test_speakers": 0.34,
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("study") / "tiny.yaml"
    path.write_text(yaml.safe_dump(STUDY, sort_keys=False))
    return str(path)


def arguments(study: str, corpus: Corpus, out: Path, *more: str) -> list[str]:
    changes = [part for change in more for part in ("--set", change)]
    return ["study", study, "--corpus", str(corpus.root), "--out", str(out), "--jobs", "2", *changes]


@pytest.fixture(scope="module")
def out(study: str, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that ran to its end."""
    folder = tmp_path_factory.mktemp("run") / "out"
    assert run(arguments(study, corpus, folder)) == 0
    return folder


def results_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "results.json").read_text())


def trained_at(out: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in (out / "systems").glob("*/model.safetensors")}


def test_results_report_and_models_are_there(out: Path) -> None:
    results = results_of(out)
    assert set(results) >= {
        "title",
        "about",
        "protocols",
        "corpus",
        "notes_table",
        "settings",
        "command",
        "version",
        "date",
        "synthetic",
    }
    assert set(results["protocols"]) == {"full-short", "short-short"}
    for figures in results["protocols"].values():  # each stands on its own
        assert figures["command"] == results["command"]
        assert figures["corpus"]["test"] == results["corpus"]["test"]
    systems = results["protocols"]["full-short"]["systems"]
    assert list(systems) == list(STUDY["systems"])  # type: ignore[call-overload]
    assert {name: system["total_steps"] for name, system in systems.items()} == {
        "teacher": 4,
        "trained": 6,
        "frozen": 6,
        "scratch": 6,
        "taught": 6,
        "trained-normed": 6,
    }
    assert systems["trained"]["seconds_heard"] == pytest.approx(8 * (4 * 0.5 + 2 * 0.3))
    assert systems["taught"]["seconds_heard"] == pytest.approx(8 * (4 * 0.5 + 2 * 0.3))  # the student's own hearing
    assert systems["teacher"]["fewer_steps"]
    assert not systems["trained"]["fewer_steps"]
    assert all(
        system["wall_seconds"] > 0 and bool(system["loss"]) == (system["of"] is None) for system in systems.values()
    )
    assert set(results["corpus"]) >= {"train", "test", "notes", "licences"}
    trained_on = results["corpus"]["train"]["utterances"]
    assert f"Another (1,000 utterances); this corpus has {trained_on} to train on" in results["corpus"]["notes"][0]
    assert systems["trained"]["epochs"] == systems["scratch"]["epochs"] == pytest.approx(6 * 8 / trained_on)
    history = json.loads(next((out / "systems").glob("scratch-*/training.json")).read_text())
    assert history["budget"]["epochs"] == pytest.approx(6 * 8 / trained_on, abs=1e-3)
    assert "<html" in (out / "report.html").read_text()
    assert not list((out / "systems").glob("*/checkpoints"))


def test_results_and_cards_say_what_they_were_computed_on(out: Path) -> None:
    results = results_of(out)
    assert results["environment"] == environment()
    for system in results["protocols"]["full-short"]["systems"].values():
        (trained_on,) = system["trained_on"]
        assert trained_on["cpu"] == environment()["cpu"]
    for card in (out / "systems").glob("*/card.md"):
        assert f"torch {torch.__version__}" in card.read_text()
    assert environment()["cpu"] in (out / "report.html").read_text()


def test_a_system_that_is_only_tested_has_the_facts_of_its_models_and_figures_of_its_own(out: Path) -> None:
    for one in results_of(out)["protocols"].values():
        trained, normed = one["systems"]["trained"], one["systems"]["trained-normed"]
        for fact in ("total_steps", "seconds_heard", "wall_seconds", "parameters", "head_drift_degrees"):
            assert normed[fact] == trained[fact]
        assert normed["of"] == "trained"
        assert normed["scoring"]["cohort"]["norm"] == "s-norm"
        assert trained["scoring"]["text"] == "cosine of whole crops"
        assert normed["lengths"]["1"]["det"] != trained["lengths"]["1"]["det"]
    assert not list((out / "systems").glob("trained-normed*"))
    assert list((out / "systems").glob("trained-seed0-*/model.safetensors"))


def test_head_drift(out: Path) -> None:
    systems = results_of(out)["protocols"]["full-short"]["systems"]
    assert systems["frozen"]["head_drift_degrees"] == 0.0
    assert systems["trained"]["head_drift_degrees"] > 0.0
    assert systems["scratch"]["head_drift_degrees"] is None
    assert systems["teacher"]["head_drift_degrees"] is None


def test_only_what_depends_on_a_changed_setting_is_done_again(study: str, corpus: Corpus, out: Path) -> None:
    before, figures = trained_at(out), results_of(out)["protocols"]
    assert run(arguments(study, corpus, out)) == 0
    assert trained_at(out) == before
    assert results_of(out)["protocols"] == figures
    assert run(arguments(study, corpus, out, "test.lengths=[1.2]")) == 0
    assert trained_at(out) == before
    assert list(results_of(out)["protocols"]["full-short"]["systems"]["scratch"]["lengths"]) == ["1.2"]
    assert run(arguments(study, corpus, out, "S=3", "only=[teacher, frozen]")) == 0
    after = trained_at(out)
    assert {name: after[name] for name in before} == before
    (new,) = set(after) - set(before)
    assert new.startswith("frozen-seed0-")


def start(
    study: str, corpus: Corpus, out: Path, request: pytest.FixtureRequest
) -> tuple[subprocess.Popen[bytes], list[int]]:
    """A study in a process of its own, when its first checkpoint is there, and its workers' process ids."""
    command = [sys.executable, "-m", "shortvox", *arguments(study, corpus, out, *LONG)]
    seen = set(out.glob("systems/*/checkpoints/*.safetensors"))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    request.addfinalizer(process.kill)  # none is left behind by a test that fails
    deadline = time.monotonic() + 240
    while not set(out.glob("systems/*/checkpoints/*.safetensors")) - seen:
        assert process.poll() is None, "ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process, workers_of(process.pid)


def workers_of(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            command = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == parent and b"spawn_main" in command:
            found.append(int(status.parent.name))
    return found


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


LONG = ("T=60", "only=[teacher]")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_killed_and_interrupted_a_study_continues_to_the_same_end(
    study: str, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    out = tmp_path / "out"
    process, workers = start(study, corpus, out, request)
    assert len(workers) == 1
    capsys.readouterr()
    assert run(arguments(study, corpus, out, *LONG)) == 2
    assert "another run is working in this folder" in capsys.readouterr().err
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 60
    while any(map(alive, workers)):
        assert time.monotonic() < deadline, "a training outlived its study"
        time.sleep(0.1)
    assert not (out / "results.json").exists()

    process, workers = start(study, corpus, out, request)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    assert not any(map(alive, workers))
    assert not (out / "results.json").exists()

    assert run(arguments(study, corpus, out, *LONG)) == 0
    whole = tmp_path / "whole"
    assert run(arguments(study, corpus, whole, *LONG)) == 0
    (continued,), (uninterrupted,) = (folder.glob("systems/*/model.safetensors") for folder in (out, whole))
    assert continued.read_bytes() == uninterrupted.read_bytes()
    assert (
        results_of(out)["protocols"]["short-short"]["systems"]["teacher"]["lengths"]
        == (results_of(whole)["protocols"]["short-short"]["systems"]["teacher"]["lengths"])
    )


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [
        (
            -signal.SIGKILL,
            ShortvoxError,
            r"a#0: its process was killed by signal 9: out of memory\? lower train\.batch",
        ),
        (-signal.SIGTERM, ShortvoxError, "killed by signal 15"),
        (-signal.SIGSEGV, RuntimeError, "a#0: the process ended with code -11"),
        (1, RuntimeError, "a#0: the process ended with code 1"),
    ],
)
def test_a_worker_that_was_killed_is_no_bug(code: int, kind: type[Exception], told: str) -> None:
    with progress_bar(shown=False) as bar:
        watch = _Watch(bar, bar.add_task("All", total=4, note=""))
        watch.start(SimpleNamespace(system="a", seed=0, settings={"steps": 4}))  # type: ignore[arg-type]
        with pytest.raises(kind, match=told):
            watch.finish("a#0", code)


def test_a_failing_training_is_one_line(
    study: str, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    empty = tmp_path / "noise"
    empty.mkdir()
    assert run(arguments(study, corpus, out, "only=[teacher]", f"train.augment.noise=[{empty}]")) == 2
    assert f"error: teacher#0: augment: no audio files below {empty}" in capsys.readouterr().err


def test_a_missing_folder_is_told_before_any_work(
    study: str, corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run(arguments(study, corpus, out, "train.augment.noise=[/no/such/folder]")) == 2
    assert "train.augment.noise.0: /no/such/folder: no such folder" in capsys.readouterr().err
    assert not out.exists()
