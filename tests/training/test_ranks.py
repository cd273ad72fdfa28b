"""Two processes train what one process trains with the same global batch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import trainings
from safetensors.torch import load_file
from trainings import PLAIN

from shortvox.corpora.corpus import Corpus
from shortvox.corpora.speech import SpeechData

# SGD, because Adam turns the rounding noise of gradients that are zero in theory into whole steps.
SGD = {**PLAIN, "batch": 8, "steps": 2, "optimiser": {"name": "sgd", "lr": 0.005, "weight_decay": 1e-3}}
JOBS = {
    "augmented": {
        **SGD,
        "crop": "20-40f",
        "steps": 6,
        "average": 0.95,
        "augment": {"probability": 0.8, "kinds": ["noise", "babble"], "speeds": [1.0, 0.9]},
    },
    "full": {**SGD, "crop": "full"},
    "frozen": {
        **SGD,
        "transfer": {"head": "frozen", "freeze_norm": True},
        "optimiser": {"name": "adamw"},
        "accumulate": 2,
    },
    "segments": {
        **SGD,
        "crop": "40f",
        "sampler": "balanced",
        "batch": 4,
        "model": {"backbone": "ecapa-64", "head": {"name": "softmax-ap"}},
        "segments": {
            "length": "20f",
            "overlap": 0.1,
            "join": "maps",
            "heads": "separate",
            "loss": {"cosine": 0.5, "crop": 0.5},
        },
    },
    # AP compares the speakers of all ranks.
    "ap": {**SGD, "sampler": "balanced", "batch": 4, "model": {"backbone": "ecapa-64", "head": {"name": "ap"}}},
    # A W that follows: its rows are those of what all ranks heard. A pass over the utterances is two steps.
    "epoch": {**SGD, "steps": 3, "batch": 12, "transfer": {"head": "frozen", "rows": "centroids", "refresh": "epoch"}},
    "ema": {**SGD, "transfer": {"head": "frozen", "refresh": "ema", "momentum": 0.9}},
    "taught": {
        **SGD,
        "steps": 1,
        "segments": {"length": "20f", "pick": "one", "loss": {"crop": 1.0}},
        "teachers": {
            "long": {"model": "TEACHER", "teaches": ["crop", "segments"], "temperature": 2.0},
            "short": {"model": "TEACHER", "hears": "segments", "posterior": 0, "projection": True, "uncertainty": True},
        },
    },
    # Crops of which a VAD leaves unlike lengths, on each rank others.
    "vad": {
        **SGD,
        "crop": "80f",
        "model": {"backbone": "ecapa-64", "frontend": {"vad": "sre16-v2", "cmn": "sliding"}},
    },
    "se-resnet": {
        **SGD,
        "steps": 1,
        "crop": "20f",
        "model": {"backbone": "se-resnet34-8", "frontend": {"bands": 32, "cmn": "none"}},
    },
    "isk": {**SGD, "steps": 1, "crop": "20f", "model": {"backbone": "isk34-8-concat", "frontend": {"bands": 32}}},
    "stopped": {**SGD, "steps": 50},
}


def job(name: str, out: Path, teacher: Path, **more: Any) -> dict[str, Any]:
    """A training as trainings.py takes it."""
    settings = json.loads(json.dumps(JOBS[name]).replace("TEACHER", str(teacher)))
    init = {"init": str(teacher)} if "transfer" in settings else {}
    return {"settings": settings, "out": str(out), "broken": name == "vad", **init, **more}


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listening.getsockname()[1] for listening in sockets]
    for listening in sockets:
        listening.close()
    return ports


@pytest.fixture(scope="module")
def teacher(data: SpeechData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teacher")
    trainings.run({**PLAIN, "steps": 1}, data, out)
    return out


@pytest.fixture(scope="module")
def together(corpus: Corpus, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every job, trained by two gloo processes."""
    out = tmp_path_factory.mktemp("ranks")
    jobs = [
        job(name, out / name, teacher, port=port, **({"stop": 2} if name == "stopped" else {}))
        for name, port in zip(JOBS, free_ports(len(JOBS)), strict=True)
    ]
    ranks = [
        subprocess.Popen(
            [sys.executable, trainings.__file__, corpus.root, json.dumps(jobs)],
            env={
                **os.environ,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "OMP_NUM_THREADS": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        for number, rank in enumerate(ranks):
            printed, told = rank.communicate(timeout=480)
            assert rank.returncode == 0, told
            assert printed.strip() == "interrupted"
            (out / f"told-{number}").write_text(told)
    finally:
        for rank in ranks:
            rank.kill()
            rank.communicate()
    return out


def test_nothing_is_told_of(together: Path) -> None:
    """No warning of torch's among it, such as of gradients whose strides are not their buckets'."""
    assert [(together / f"told-{number}").read_text() for number in range(2)] == ["", ""]


def compare(together: Path, alone: Path) -> None:
    ours, expected = load_file(together / "model.safetensors"), load_file(alone / "model.safetensors")
    assert ours.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-3, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}")
    histories = [json.loads((folder / "training.json").read_text()) for folder in (together, alone)]
    for key in ("step", "wrapped", "averaged"):
        assert histories[0][key] == histories[1][key]
    assert histories[0]["seconds_heard"] == pytest.approx(histories[1]["seconds_heard"])
    assert histories[0]["loss"][-1][1] == pytest.approx(histories[1]["loss"][-1][1], rel=1e-3)


@pytest.mark.parametrize("name", sorted(set(JOBS) - {"frozen", "stopped"}))
def test_two_ranks_equal_one_process(
    together: Path, data: SpeechData, teacher: Path, name: str, tmp_path: Path
) -> None:
    alone = job(name, tmp_path / "batch", teacher)
    trainings.work(alone, data)
    compare(together / name, tmp_path / "batch")
    halved = {**alone["settings"], "batch": alone["settings"]["batch"] // 2}
    trainings.work({**alone, "settings": halved, "out": str(tmp_path / "half")}, data)
    with pytest.raises(AssertionError):  # half the batch is something else, at this tolerance too
        compare(together / name, tmp_path / "half")


def test_a_frozen_head_stays_as_it_is_on_two_ranks(together: Path, teacher: Path) -> None:
    ours, started = (load_file(folder / "model.safetensors") for folder in (together / "frozen", teacher))
    for name, tensor in ours.items():
        frozen = name.startswith(("head.", "backbone.norm."))
        if frozen or tensor.dim() > 1:
            assert tensor.equal(started[name]) == frozen, name


def test_a_signal_to_one_rank_stops_both_after_the_same_step(together: Path) -> None:
    assert [path.name for path in (together / "stopped" / "checkpoints").iterdir()] == ["step-00000003.safetensors"]
    assert not (together / "stopped" / "config.yaml").exists()
