from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from shortvox.errors import ModelError
from shortvox.training.checkpoint import (
    Checkpoint,
    load_latest,
    load_optimiser,
    optimiser_tensors,
    save_checkpoint,
)


def checkpoint(number: int) -> Checkpoint:
    return Checkpoint({"model.w": torch.full((3,), float(number)), "average.w": torch.zeros(2)}, {"step": number})


def test_round_trip_and_only_two_are_kept(tmp_path: Path) -> None:
    assert load_latest(tmp_path / "none") is None
    for step in (5, 10, 100):
        save_checkpoint(tmp_path, step, checkpoint(step))
    kept = ["step-00000010.safetensors", "step-00000100.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
    latest = load_latest(tmp_path)
    assert latest is not None
    assert latest.state == {"step": 100}
    assert latest.part("model")["w"].tolist() == [100.0] * 3
    assert latest.part("average").keys() == {"w"}


@pytest.mark.parametrize("kept", [0, 4, 60, -1])
def test_a_damaged_newest_is_named_and_the_previous_taken(
    kept: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (5, 10):
        save_checkpoint(tmp_path, step, checkpoint(step))
    newest = tmp_path / "step-00000010.safetensors"
    newest.write_bytes(newest.read_bytes()[:kept])
    latest = load_latest(tmp_path)
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
        load_latest(tmp_path)
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
    save_checkpoint(tmp_path, 3, Checkpoint(saved, {}))
    step(layer, optimiser)

    other = nn.Linear(3, 4)
    resumed = make(other.parameters())
    latest = load_latest(tmp_path)
    other.load_state_dict(latest.part("model"))
    load_optimiser(resumed, latest.part("optimiser"))
    step(other, resumed)
    for name, tensor in layer.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor)
