from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from shortvox.errors import ModelError
from shortvox.training.checkpoint import (
    Checkpoint,
    load_latest,
    load_optimiser,
    optimiser_tensors,
    save_checkpoint,
)

RUN = "this training"


def checkpoint(number: int) -> Checkpoint:
    return Checkpoint({"model.w": torch.full((3,), float(number)), "average.w": torch.zeros(2)}, {"step": number}, RUN)


def test_round_trip_and_only_two_are_kept(tmp_path: Path) -> None:
    assert load_latest(tmp_path / "none", RUN) is None
    for step in (5, 10, 100):
        save_checkpoint(tmp_path, step, checkpoint(step))
    kept = ["step-00000010.safetensors", "step-00000100.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
    latest = load_latest(tmp_path, RUN)
    assert latest is not None
    assert latest.state == {"step": 100}
    assert latest.part("model")["w"].tolist() == [100.0] * 3
    assert latest.part("average").keys() == {"w"}


def rewritten(path: Path, change: Callable[[dict[str, Tensor], dict[str, str]], object]) -> None:
    """The file with its tensors or its metadata changed."""
    with safe_open(path, framework="pt") as handle:
        tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        metadata = handle.metadata()
    change(tensors, metadata)
    path.write_bytes(save(tensors, metadata))


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, metadata: tensors.pop("average.w"),
        lambda tensors, metadata: tensors.update({"model.v": torch.zeros(3)}),
        lambda tensors, metadata: tensors["model.w"].add_(1e-6),
        lambda tensors, metadata: tensors.update({"model.w": tensors["model.w"].reshape(3, 1)}),
        lambda tensors, metadata: tensors.update({"model.w": tensors["model.w"].view(torch.int32)}),
        lambda tensors, metadata: metadata.update({"state": metadata["state"].replace("10", "11")}),
        lambda tensors, metadata: metadata.update({"state": "[]"}),
        lambda tensors, metadata: metadata.pop("state"),
        lambda tensors, metadata: metadata.update({"run": "another"}),
        lambda tensors, metadata: metadata.pop("checksum"),
        lambda tensors, metadata: metadata.clear(),
    ],
)
def test_one_that_is_not_as_it_was_written_is_damaged(
    change: Callable[[dict[str, Tensor], dict[str, str]], object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (5, 10):
        save_checkpoint(tmp_path, step, checkpoint(step))
    newest = tmp_path / "step-00000010.safetensors"
    rewritten(newest, lambda tensors, metadata: None)
    latest = load_latest(tmp_path, RUN)
    assert latest is not None
    assert latest.state == {"step": 10}
    rewritten(newest, change)
    latest = load_latest(tmp_path, RUN)
    assert latest is not None
    assert latest.state == {"step": 5}
    assert f"{newest}: damaged checkpoint" in capsys.readouterr().err


def test_one_that_does_not_fit_is_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for step in (5, 10):
        save_checkpoint(tmp_path, step, checkpoint(step))

    def only_the_fifth(found: Checkpoint) -> None:
        if found.state["step"] != 5:
            raise ValueError("not the fifth\nbut another")

    latest = load_latest(tmp_path, RUN, only_the_fifth)
    assert latest is not None
    assert latest.state == {"step": 5}
    assert "damaged checkpoint (not the fifth); falling back" in capsys.readouterr().err


def test_one_of_another_training_is_refused_and_not_passed_over(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 5, checkpoint(5))
    save_checkpoint(tmp_path, 10, replace(checkpoint(10), run="another"))
    with pytest.raises(ModelError, match=r"step-00000010\.safetensors: a checkpoint of another training"):
        load_latest(tmp_path, RUN)
    assert load_latest(tmp_path, None) is not None  # a rank that does not lead leaves this to the one that does


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_damaged(make: Callable[[Path], None], tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 5, checkpoint(5))
    make(tmp_path / "step-00000010.safetensors")
    latest = load_latest(tmp_path, RUN)
    assert latest is not None
    assert latest.state == {"step": 5}


def test_a_damaged_one_of_a_later_step_takes_no_place(tmp_path: Path) -> None:
    later = [tmp_path / f"step-000000{step}.safetensors" for step in (98, 99)]
    for path in later:
        path.write_bytes(b"")
    for step in (5, 10, 15):
        save_checkpoint(tmp_path, step, checkpoint(step))
    latest = load_latest(tmp_path, RUN)
    assert latest is not None
    assert latest.state == {"step": 15}
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize("kept", [0, 4, 60, -1])
def test_a_damaged_newest_is_named_and_the_previous_taken(
    kept: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (5, 10):
        save_checkpoint(tmp_path, step, checkpoint(step))
    newest = tmp_path / "step-00000010.safetensors"
    newest.write_bytes(newest.read_bytes()[:kept])
    latest = load_latest(tmp_path, RUN)
    assert latest is not None
    assert latest.state == {"step": 5}
    told = capsys.readouterr().err
    assert str(newest) in told
    assert "falling back to the one before it" in told


def test_all_damaged_is_refused(tmp_path: Path) -> None:
    for step in (5, 10):
        save_checkpoint(tmp_path, step, checkpoint(step))
    for path in tmp_path.iterdir():
        path.write_bytes(b"\x80\x04pickle?")
    with pytest.raises(ModelError, match="every checkpoint is damaged; delete the folder") as raised:
        load_latest(tmp_path, RUN)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.AdamW(p, lr=0.1),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        lambda p: torch.optim.SGD(p, lr=0.1),
    ],
)
def test_an_optimiser_goes_on_as_if_never_stopped(make: object, tmp_path: Path) -> None:
    def step(layer: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        optimiser.zero_grad()
        layer(torch.ones(2, 3)).square().sum().backward()
        optimiser.step()

    torch.manual_seed(0)
    layer = nn.Linear(3, 4)
    optimiser = make(layer.parameters())
    for _ in range(3):
        step(layer, optimiser)
    saved = {f"model.{name}": tensor for name, tensor in layer.state_dict().items()}
    saved |= {f"optimiser.{name}": tensor for name, tensor in optimiser_tensors(optimiser).items()}
    save_checkpoint(tmp_path, 3, Checkpoint(saved, {}, RUN))
    step(layer, optimiser)

    other = nn.Linear(3, 4)
    resumed = make(other.parameters())
    latest = load_latest(tmp_path, RUN)
    other.load_state_dict(latest.part("model"))
    load_optimiser(resumed, latest.part("optimiser"))
    step(other, resumed)
    for name, tensor in layer.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
