"""Properties that every registered backbone must have; a new one is tested without a line here.

A wide variant is the code of a narrow one, so the costly tests run on the narrow ones alone, those of at most 1.5
million parameters and the narrowest of every class, and on the others with `-m slow`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from shortvox.models import Backbone, backbone, blueprint, parameter_count
from shortvox.models.maps import Maps, join_segments

EVERY = list(backbone)
LENGTHS = [1, 2, 3, 7, 19, 33]
MINUTE = 6000  # frames


def narrow() -> list[str]:
    made = {name: blueprint(name) for name in EVERY}
    counts = {name: parameter_count(network) for name, network in made.items()}
    narrowest = {type(made[name]): name for name in sorted(EVERY, key=counts.__getitem__, reverse=True)}
    return [name for name in EVERY if counts[name] <= 1.5e6 or narrowest[type(made[name])] == name]


def used(name: str) -> Backbone:
    """The network with batch-norm statistics and weights off their initial values, in evaluation mode."""
    torch.manual_seed(0)
    made = backbone[name]()
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            if "running_mean" in name:
                tensor.normal_(0, 0.1)
            elif "running_var" in name:
                tensor.uniform_(0.5, 1.5)
    return made.eval()


def by_cost() -> list[Any]:
    """Every name; the wide ones for `-m slow`."""
    cheap = narrow()
    return [name if name in cheap else pytest.param(name, marks=pytest.mark.slow) for name in EVERY]


@pytest.fixture(scope="module", params=by_cost())
def network(request: pytest.FixtureRequest) -> Backbone:
    return used(request.param)


def speech(frames: int, bands: int, batch: int = 1) -> Tensor:
    """Features like speech after CMN."""
    features = 3 * torch.randn(batch, frames, bands, generator=torch.Generator().manual_seed(frames))
    return features - features.mean(1, keepdim=True)


@pytest.mark.parametrize("name", EVERY)
def test_every_width_embeds_and_learns(name: str) -> None:
    network = used(name)
    assert any(module is network.embedding_norm() for module in network.modules())
    for frames in (1, 10):
        with torch.inference_mode():
            embedding = network(speech(frames, network.bands, 2))
        assert embedding.shape == (2, network.dim)
        assert embedding.dtype == torch.float32
        assert torch.isfinite(embedding).all()
    network.train()(speech(10, network.bands, 2), torch.tensor([10, 5])).square().sum().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name


@pytest.mark.parametrize("frames", [*LENGTHS, MINUTE])
def test_any_length_gives_one_finite_embedding(network: Backbone, frames: int) -> None:
    with torch.inference_mode():
        embedding = network(speech(frames, network.bands))
    assert embedding.shape == (1, network.dim)
    assert torch.isfinite(embedding).all()


def test_a_masked_batch_equals_one_by_one(network: Backbone) -> None:
    rows = [speech(frames, network.bands)[0] for frames in LENGTHS]
    padded = torch.full((len(rows), 40, network.bands), 17.0)  # padding that would show if it leaked
    for row, features in enumerate(rows):
        padded[row, : len(features)] = features
    with torch.inference_mode():
        together = network(padded, torch.tensor(LENGTHS))
        alone = torch.cat([network(features[None]) for features in rows])
    assert functional.cosine_similarity(together, alone).min() > 0.9999
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", ["speech", "zeros", "constant", "alike", "one frame"])
def test_values_and_gradients_are_finite_in_training(network: Backbone, kind: str, precision: str) -> None:
    network.train()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    features = {
        "speech": speech(20, network.bands, 3),
        "zeros": torch.zeros(2, 12, network.bands),
        "constant": torch.full((2, 12, network.bands), -15.9),
        "alike": speech(12, network.bands).repeat(3, 1, 1),
        "one frame": torch.zeros(2, 1, network.bands),
    }[kind].requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        embedding = network(features)
    assert embedding.dtype == torch.float32
    weights = torch.randn(embedding.shape, generator=torch.Generator().manual_seed(1))
    (embedding * weights).sum().backward()
    assert torch.isfinite(embedding).all()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    for name, tensor in network.state_dict().items():
        assert torch.isfinite(tensor).all(), name
    network.zero_grad(set_to_none=True)
    network.load_state_dict(state)
    network.eval()


def test_in_training_more_padding_changes_nothing(network: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole-utterance batches: values, gradients and running statistics are those of the speech alone.

    In double precision, so that what differs is not rounding: in single precision another padding gives another order
    of summation, which batch norms over three rows amplify.
    """
    monkeypatch.setattr(Tensor, "float", Tensor.double)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.double().train()
    own = torch.tensor([14, 6, 9])
    towards = torch.randn(3, network.dim, dtype=torch.double)
    outcomes = []
    for frames, filler in ((14, 0.0), (23, 5.0)):
        network.load_state_dict(state)
        network.zero_grad(set_to_none=True)
        features = torch.full((3, frames, network.bands), filler, dtype=torch.double)
        for row, length in enumerate(own.tolist()):
            features[row, :length] = speech(length, network.bands)[0]
        embedding = network(features, own)
        (embedding * towards).sum().backward()
        gradients = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
        running = [tensor.clone() for name, tensor in network.state_dict().items() if "running" in name]
        outcomes.append((embedding.detach(), gradients, running))
    monkeypatch.undo()
    network.float().load_state_dict(state)
    network.zero_grad(set_to_none=True)
    network.eval()
    (short, short_gradients, short_running), (padded, gradients, running) = outcomes
    assert all(gradient.norm() > 0 for gradient in gradients)
    for first, second in zip([short, *short_running], [padded, *running], strict=True):
        torch.testing.assert_close(second, first, rtol=1e-9, atol=1e-9)
    whole = torch.cat([gradient.flatten() for gradient in short_gradients]).norm()
    for first, second in zip(short_gradients, gradients, strict=True):
        assert (second - first).norm() <= 1e-9 * (first.norm() + whole)


@pytest.mark.parametrize("name", narrow())
def test_gradients_at_a_training_crop_are_those_of_double_precision(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 frames, as a 2 s crop has: kernels chosen by size and processor must not be wrong, or write out of bounds."""
    network = used(name)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    features = speech(200, network.bands, 16)
    towards = torch.randn(16, network.dim, generator=torch.Generator().manual_seed(1))

    def gradients(dtype: torch.dtype) -> list[Tensor]:
        network.to(dtype).load_state_dict(state)
        network.zero_grad(set_to_none=True)
        (network.train()(features.to(dtype)) * towards.to(dtype)).sum().backward()
        return [parameter.grad.double() for parameter in network.parameters() if parameter.grad is not None]

    single = gradients(torch.float)
    with monkeypatch.context() as patch:
        patch.setattr(Tensor, "float", Tensor.double)
        double = gradients(torch.double)
    whole = torch.cat([gradient.flatten() for gradient in double]).norm()
    for found, right in zip(single, double, strict=True):
        # Rounding grows on the way back through untrained layers, to a tenth where a gradient is small.
        assert functional.cosine_similarity(found.flatten(), right.flatten(), dim=0) > 0.97 or right.norm() < whole / 50


def test_no_strided_convolution_of_width_one_is_called(network: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN's backward pass for it corrupts memory: see `PlaneConv`."""
    called: list[tuple[tuple[int, ...], Any]] = []
    convolve = functional.conv2d

    def watched(planes: Tensor, weight: Tensor, bias: Any = None, stride: Any = 1, *rest: Any, **more: Any) -> Tensor:
        called.append((tuple(weight.shape[2:]), stride))
        return convolve(planes, weight, bias, stride, *rest, **more)

    monkeypatch.setattr(functional, "conv2d", watched)
    with torch.inference_mode():
        network(speech(10, network.bands))
    assert all(size != (1, 1) or stride in (1, (1, 1)) for size, stride in called)


def test_trunk_and_pool_make_the_forward(network: Backbone) -> None:
    features, lengths = speech(20, network.bands, 2), torch.tensor([20, 11])
    with torch.inference_mode():
        torch.testing.assert_close(network.pool(network.trunk(features, lengths)), network(features, lengths))


def test_one_segment_joined_is_the_plain_network(network: Backbone) -> None:
    for lengths in (None, torch.tensor([20, 11])):
        features = speech(20, network.bands, 2)
        with torch.inference_mode():
            joined = network.pool(join_segments(network.trunk(features, lengths), 1))
            torch.testing.assert_close(joined, network(features, lengths))


def test_joined_segments_leave_padding_out(network: Backbone) -> None:
    """Segments with padding between them pool like the same segments without any."""
    segments = [speech(frames, network.bands)[0] for frames in (17, 9)]
    padded = torch.full((2, 20, network.bands), 9.0)
    for row, features in enumerate(segments):
        padded[row, : len(features)] = features
    with torch.inference_mode():
        alone = [network.trunk(features[None]) for features in segments]
        expected = network.pool(
            tuple(Maps(torch.cat([first.frames, second.frames], dim=1)) for first, second in zip(*alone, strict=True))
        )
        actual = network.pool(join_segments(network.trunk(padded, torch.tensor([17, 9])), 2))
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)


def test_saved_and_loaded_is_the_same(network: Backbone, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    name = request.node.callspec.params["network"]
    other = backbone[name]().eval()
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.inference_mode():
        assert torch.equal(network(speech(9, network.bands)), other(speech(9, other.bands)))


def test_bf16_autocast_is_finite_and_close(network: Backbone) -> None:
    features, lengths = speech(24, network.bands, 2), torch.tensor([24, 13])
    with torch.inference_mode():
        full = network(features, lengths)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(features, lengths)
    assert half.dtype == torch.float32
    assert torch.isfinite(half).all()
    assert functional.cosine_similarity(full, half).min() > 0.98


@pytest.mark.parametrize(("name", "millions"), [("ecapa-512", 6.19), ("ecapa-1024", 14.66), ("se-resnet34", 8.03)])
def test_parameter_counts_are_the_papers(name: str, millions: float) -> None:
    assert parameter_count(blueprint(name)) / 1e6 == pytest.approx(millions, rel=0.01)
