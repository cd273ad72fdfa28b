"""Two processes train what one process trains with the same global batch."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import trainings
from safetensors.torch import load_file
from trainings import PLAIN

from shortvox.corpora.corpus import Corpus
from shortvox.corpora.speech import SpeechData

# SGD, because Adam turns the rounding noise of gradients that are zero in theory into whole steps.
SGD = {**PLAIN, "batch": 8, "steps": 3, "optimiser": {"name": "sgd", "lr": 0.005, "weight_decay": 1e-3}}
JOBS = {
    "augmented": {
        **SGD,
        "crop": "20-40f",
        "steps": 6,
        "average": 0.95,
        "augment": {"probability": 0.8, "kinds": ["noise", "babble"], "speeds": [1.0, 0.9]},
    },
    "full": {**SGD, "crop": "full", "steps": 2},
    "frozen": {
        **SGD,
        "transfer": {"head": "frozen", "freeze_norm": True},
        "optimiser": {"name": "adamw"},
        "steps": 2,
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
    "stopped": {**SGD, "steps": 50},
}


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
        {"settings": settings, "out": str(out / name), "port": port}
        for (name, settings), port in zip(JOBS.items(), free_ports(len(JOBS)), strict=True)
    ]
    for job in jobs:
        if "transfer" in job["settings"]:
            job["init"] = str(teacher)
        if job["out"].endswith("stopped"):
            job["stop"] = 2
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
        for rank in ranks:
            printed, told = rank.communicate(timeout=240)
            assert rank.returncode == 0, told
            assert printed.strip() == "interrupted"
            assert "Warning" not in told
    finally:
        for rank in ranks:
            rank.kill()
    return out


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


@pytest.mark.parametrize("name", ["augmented", "full", "segments"])
def test_two_ranks_equal_one_process(together: Path, data: SpeechData, name: str, tmp_path: Path) -> None:
    trainings.run(JOBS[name], data, tmp_path / "batch")
    compare(together / name, tmp_path / "batch")
    trainings.run({**JOBS[name], "batch": JOBS[name]["batch"] // 2}, data, tmp_path / "half")
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
