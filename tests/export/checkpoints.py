"""State dicts in the layouts of published checkpoints, with random numbers; and those networks as plain functions.

The functions are written from the papers and from what is known of the toolkits, over (batch, channels, frames), so
that they share neither layout nor code with the backbones here.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

State = dict[str, Tensor]


class Numbers:
    """Fills a state dict: `layer` and `norm` add the tensors of one layer."""

    def __init__(self, seed: int = 0) -> None:
        self.state: State = {}
        self.generator = torch.Generator().manual_seed(seed)

    def layer(self, name: str, *shape: int, bias: bool = True) -> None:
        fan = torch.Size(shape[1:]).numel()
        self.state[f"{name}.weight"] = torch.randn(*shape, generator=self.generator) * (2 / fan) ** 0.5
        if bias:
            self.state[f"{name}.bias"] = torch.randn(shape[0], generator=self.generator) / 4

    def norm(self, name: str, channels: int, *, affine: bool = True) -> None:
        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(channels, generator=self.generator)

        if affine:
            self.state |= {f"{name}.weight": uniform(0.5, 1.5), f"{name}.bias": uniform(-0.5, 0.5)}
        self.state |= {f"{name}.running_mean": uniform(-0.5, 0.5), f"{name}.running_var": uniform(0.3, 2)}
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def silence(self, bias: str) -> None:
        """A third of the channels never speaks, as in trained networks: their deviations are floors."""
        channels = self.state[bias]
        channels[: len(channels) // 3] = -1e6

    def hear(self, name: str, first: int, last: int) -> None:
        """Hear the deviations of the silent channels, which are inputs [first, last), a hundred times as well."""
        self.state[name][..., first:last] *= 100


def campplus_state(dim: int) -> State:
    made = Numbers()
    made.layer("head.conv1", 32, 1, 3, 3, bias=False)
    made.norm("head.bn1", 32)
    for stage in ("layer1", "layer2"):
        for block in (f"head.{stage}.0", f"head.{stage}.1"):
            for number in (1, 2):
                made.layer(f"{block}.conv{number}", 32, 32, 3, 3, bias=False)
                made.norm(f"{block}.bn{number}", 32)
        made.layer(f"head.{stage}.0.shortcut.0", 32, 32, 1, 1, bias=False)
        made.norm(f"head.{stage}.0.shortcut.1", 32)
    made.layer("head.conv2", 32, 32, 3, 3, bias=False)
    made.norm("head.bn2", 32)
    made.layer("xvector.tdnn.linear", 128, 320, 5, bias=False)
    made.norm("xvector.tdnn.nonlinear.batchnorm", 128)
    channels = 128
    for block, depth in enumerate((12, 24, 16), start=1):
        for number in range(1, depth + 1):
            name = f"xvector.block{block}.tdnnd{number}"
            made.norm(f"{name}.nonlinear1.batchnorm", channels)
            made.layer(f"{name}.linear1", 128, channels, 1, bias=False)
            made.norm(f"{name}.nonlinear2.batchnorm", 128)
            made.layer(f"{name}.cam_layer.linear_local", 32, 128, 3, bias=False)
            made.layer(f"{name}.cam_layer.linear1", 64, 128, 1)
            made.layer(f"{name}.cam_layer.linear2", 32, 64, 1)
            channels += 32
        made.norm(f"xvector.transit{block}.nonlinear.batchnorm", channels)
        channels //= 2
        made.layer(f"xvector.transit{block}.linear", channels, 2 * channels, 1, bias=False)
    made.norm("xvector.out_nonlinear.batchnorm", channels)
    made.silence("xvector.out_nonlinear.batchnorm.bias")
    made.layer("xvector.dense.linear", dim, 2 * channels, 1, bias=False)
    made.norm("xvector.dense.nonlinear.batchnorm", dim, affine=False)
    return made.state


def wespeaker_ecapa_state(channels: int, *, context: bool) -> State:
    made, maps, group = Numbers(), 3 * channels, channels // 8
    made.layer("layer1.conv", channels, 80, 5)
    made.norm("layer1.bn", channels)
    for block in ("layer2.se_res2block", "layer3.se_res2block", "layer4.se_res2block"):
        for place in (0, 2):
            made.layer(f"{block}.{place}.conv", channels, channels, 1)
            made.norm(f"{block}.{place}.bn", channels)
        for number in range(7):
            made.layer(f"{block}.1.convs.{number}", group, group, 3)
            made.norm(f"{block}.1.bns.{number}", group)
        made.layer(f"{block}.3.linear1", 128, channels)
        made.layer(f"{block}.3.linear2", channels, 128)
    made.layer("conv", maps, maps, 1)
    made.silence("conv.bias")
    made.layer("pool.linear1", 128, maps * (3 if context else 1), 1)
    made.layer("pool.linear2", maps, 128, 1)
    made.norm("bn", 2 * maps)
    made.hear("bn.weight", maps, maps + channels)
    made.layer("linear", 192, 2 * maps)
    return made.state


def speechbrain_ecapa_state() -> State:
    made = Numbers()

    def block(name: str, inputs: int, outputs: int, width: int = 1) -> None:
        made.layer(f"{name}.conv.conv", outputs, inputs, width)
        made.norm(f"{name}.norm.norm", outputs)

    block("blocks.0", 80, 1024, 5)
    for number in (1, 2, 3):
        block(f"blocks.{number}.tdnn1", 1024, 1024)
        for group in range(7):
            block(f"blocks.{number}.res2net_block.blocks.{group}", 128, 128, 3)
        block(f"blocks.{number}.tdnn2", 1024, 1024)
        made.layer(f"blocks.{number}.se_block.conv1.conv", 128, 1024, 1)
        made.layer(f"blocks.{number}.se_block.conv2.conv", 1024, 128, 1)
    block("mfa", 3072, 3072)
    made.silence("mfa.conv.conv.bias")
    block("asp.tdnn", 9216, 128)
    made.layer("asp.conv.conv", 3072, 128, 1)
    made.norm("asp_bn.norm", 6144)
    made.hear("asp_bn.norm.weight", 3072, 4096)
    made.layer("fc.conv", 192, 6144, 1)
    return made.state


def voxceleb_trainer_state() -> State:
    made, inputs = Numbers(), 32
    made.layer("conv1", 32, 1, 3, 3)
    made.norm("bn1", 32)
    for stage, depth in enumerate((3, 4, 6, 3), start=1):
        outputs = 16 * 2**stage
        for index in range(depth):
            block = f"layer{stage}.{index}"
            made.layer(f"{block}.conv1", outputs, inputs, 3, 3, bias=False)
            made.norm(f"{block}.bn1", outputs)
            made.layer(f"{block}.conv2", outputs, outputs, 3, 3, bias=False)
            made.norm(f"{block}.bn2", outputs)
            made.layer(f"{block}.se.fc.0", outputs // 8, outputs)
            made.layer(f"{block}.se.fc.2", outputs, outputs // 8)
            if inputs != outputs:
                made.layer(f"{block}.downsample.0", outputs, inputs, 1, 1, bias=False)
                made.norm(f"{block}.downsample.1", outputs)
            inputs = outputs
    made.silence("layer4.2.bn2.bias")
    made.layer("attention.0", 128, 2048, 1)
    made.norm("attention.2", 128)
    made.layer("attention.3", 2048, 128, 1)
    made.layer("fc", 512, 4096)
    made.hear("fc.weight", 2048, 2048 + 85 * 8)
    trained = {f"__S__.{name}": tensor for name, tensor in made.state.items()}
    return trained | {"__L__.W": torch.zeros(5, 512), "__S__.torchfb.0.flipped_filter": torch.ones(1, 1, 2)}


class Network:
    """The layers of a state dict, called by name."""

    def __init__(self, state: State) -> None:
        self.state = state

    def layer(self, name: str, x: Tensor, *, stride: tuple[int, ...] | int = 1, padding: int | str = 0) -> Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state.get(f"{name}.bias")
        if weight.dim() == 2:
            return functional.linear(x, weight, bias)
        if weight.dim() == 4:
            return functional.conv2d(x, weight, bias, stride, padding)
        return functional.conv1d(x, weight, bias, stride, padding)

    def dilated(self, name: str, x: Tensor, dilation: int, mode: str = "constant") -> Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state.get(f"{name}.bias")
        reach = dilation * (weight.shape[2] // 2)
        return functional.conv1d(functional.pad(x, (reach, reach), mode), weight, bias, dilation=dilation)

    def norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.state.get(f"{name}.weight"), self.state.get(f"{name}.bias")
        return functional.batch_norm(
            x, self.state[f"{name}.running_mean"], self.state[f"{name}.running_var"], weight, bias
        )


def campplus(state: State, features: Tensor) -> Tensor:
    """(batch, frames, 80) -> (batch, dim)."""
    net = Network(state)
    x = net.norm("head.bn1", net.layer("head.conv1", features.mT[:, None], padding=1)).relu()
    for stage in ("layer1", "layer2"):
        for index in (0, 1):
            name = f"head.{stage}.{index}"
            stride = (2, 1) if index == 0 else (1, 1)
            y = net.norm(f"{name}.bn1", net.layer(f"{name}.conv1", x, stride=stride, padding=1)).relu()
            y = net.norm(f"{name}.bn2", net.layer(f"{name}.conv2", y, padding=1))
            if index == 0:
                x = net.norm(f"{name}.shortcut.1", net.layer(f"{name}.shortcut.0", x, stride=stride))
            x = (x + y).relu()
    x = net.norm("head.bn2", net.layer("head.conv2", x, stride=(2, 1), padding=1)).relu().flatten(1, 2)
    x = net.norm("xvector.tdnn.nonlinear.batchnorm", net.layer("xvector.tdnn.linear", x, stride=2, padding=2)).relu()
    for block, (depth, dilation) in enumerate(((12, 1), (24, 2), (16, 2)), start=1):
        for number in range(1, depth + 1):
            name = f"xvector.block{block}.tdnnd{number}"
            h = net.layer(f"{name}.linear1", net.norm(f"{name}.nonlinear1.batchnorm", x).relu())
            h = net.norm(f"{name}.nonlinear2.batchnorm", h).relu()
            segments = [part.mean(2, keepdim=True).expand_as(part) for part in h.split(100, dim=2)]
            context = h.mean(2, keepdim=True) + torch.cat(segments, dim=2)
            gate = net.layer(f"{name}.cam_layer.linear2", net.layer(f"{name}.cam_layer.linear1", context).relu())
            local = net.dilated(f"{name}.cam_layer.linear_local", h, dilation)
            x = torch.cat([x, local * gate.sigmoid()], dim=1)
        transit = f"xvector.transit{block}"
        x = net.layer(f"{transit}.linear", net.norm(f"{transit}.nonlinear.batchnorm", x).relu())
    x = net.norm("xvector.out_nonlinear.batchnorm", x).relu()
    pooled = torch.cat([x.mean(2), x.std(2, correction=1)], dim=1)[:, :, None]
    return net.norm("xvector.dense.nonlinear.batchnorm", net.layer("xvector.dense.linear", pooled))[:, :, 0]


def wespeaker_ecapa(state: State, features: Tensor) -> Tensor:
    net = Network(state)
    x = net.norm("layer1.bn", net.layer("layer1.conv", features.mT, padding=2).relu())
    outputs = []
    for number in (2, 3, 4):
        name = f"layer{number}.se_res2block"
        groups = net.norm(f"{name}.0.bn", net.layer(f"{name}.0.conv", x).relu()).chunk(8, dim=1)
        parts: list[Tensor] = []
        for index in range(7):
            part = groups[index] + (parts[-1] if parts else 0)
            parts.append(net.norm(f"{name}.1.bns.{index}", net.dilated(f"{name}.1.convs.{index}", part, number).relu()))
        y = torch.cat([*parts, groups[7]], dim=1)
        y = net.norm(f"{name}.2.bn", net.layer(f"{name}.2.conv", y).relu())
        gate = net.layer(f"{name}.3.linear2", net.layer(f"{name}.3.linear1", y.mean(2)).relu()).sigmoid()
        x = x + y * gate[:, :, None]
        outputs.append(x)
    x = net.layer("conv", torch.cat(outputs, dim=1)).relu()
    seen = x
    if state["pool.linear1.weight"].shape[1] > x.shape[1]:
        deviation = (x.var(2, keepdim=True) + 1e-10).sqrt()
        seen = torch.cat([x, x.mean(2, keepdim=True).expand_as(x), deviation.expand_as(x)], dim=1)
    weights = net.layer("pool.linear2", net.layer("pool.linear1", seen).tanh()).softmax(2)
    mean = (weights * x).sum(2)
    deviation = ((weights * x**2).sum(2) - mean**2).clamp_min(1e-10).sqrt()
    return net.layer("linear", net.norm("bn", torch.cat([mean, deviation], dim=1)))


def speechbrain_ecapa(state: State, features: Tensor) -> Tensor:
    net = Network(state)

    def block(name: str, x: Tensor, dilation: int = 1) -> Tensor:
        return net.norm(f"{name}.norm.norm", net.dilated(f"{name}.conv.conv", x, dilation, "reflect").relu())

    x = block("blocks.0", features.mT)
    outputs = []
    for number in (1, 2, 3):
        name = f"blocks.{number}"
        groups = block(f"{name}.tdnn1", x).chunk(8, dim=1)
        parts = [groups[0]]
        for index in range(7):
            part = groups[index + 1] + (parts[-1] if index else 0)
            parts.append(block(f"{name}.res2net_block.blocks.{index}", part, number + 1))
        y = block(f"{name}.tdnn2", torch.cat(parts, dim=1))
        gate = net.layer(f"{name}.se_block.conv1.conv", y.mean(2, keepdim=True)).relu()
        x = x + y * net.layer(f"{name}.se_block.conv2.conv", gate).sigmoid()
        outputs.append(x)
    x = block("mfa", torch.cat(outputs, dim=1))
    mean, deviation = x.mean(2, keepdim=True), x.var(2, correction=0, keepdim=True).clamp_min(1e-12).sqrt()
    seen = block("asp.tdnn", torch.cat([x, mean.expand_as(x), deviation.expand_as(x)], dim=1))
    weights = net.layer("asp.conv.conv", seen.tanh()).softmax(2)
    mean = (weights * x).sum(2, keepdim=True)
    deviation = (weights * (x - mean) ** 2).sum(2, keepdim=True).clamp_min(1e-12).sqrt()
    return net.layer("fc.conv", net.norm("asp_bn.norm", torch.cat([mean, deviation], dim=1)))[:, :, 0]


def voxceleb_trainer(state: State, features: Tensor) -> Tensor:
    """(batch, frames, 64), not normalised -> (batch, 512)."""
    net = Network({name.removeprefix("__S__."): tensor for name, tensor in state.items()})
    x = functional.instance_norm(features.mT, eps=1e-5)[:, None]
    x = net.norm("bn1", net.layer("conv1", x, padding=1).relu())
    for stage, depth in enumerate((3, 4, 6, 3), start=1):
        for index in range(depth):
            name = f"layer{stage}.{index}"
            stride = 2 if stage > 1 and index == 0 else 1
            y = net.norm(f"{name}.bn1", net.layer(f"{name}.conv1", x, stride=stride, padding=1).relu())
            y = net.norm(f"{name}.bn2", net.layer(f"{name}.conv2", y, padding=1))
            gate = net.layer(f"{name}.se.fc.2", net.layer(f"{name}.se.fc.0", y.mean((2, 3))).relu()).sigmoid()
            if stride == 2:
                x = net.norm(f"{name}.downsample.1", net.layer(f"{name}.downsample.0", x, stride=2))
            x = (x + y * gate[:, :, None, None]).relu()
    x = x.flatten(1, 2)
    weights = net.layer("attention.3", net.norm("attention.2", net.layer("attention.0", x).relu())).softmax(2)
    mean = (weights * x).sum(2)
    deviation = ((weights * x**2).sum(2) - mean**2).clamp_min(1e-5).sqrt()
    return net.layer("fc", torch.cat([mean, deviation], dim=1))
