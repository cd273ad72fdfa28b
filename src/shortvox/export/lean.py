"""Modules written otherwise for a graph: the same weights under the same names, the same numbers, fewer operations.

A narrow network spends most of its time in onnxruntime on starting operations, not on what they compute. Product,
bias and ReLU are one operation there on rows (rows, channels), and three on (batch, frames, channels); what depends on
lengths alone is the same for all layers; and frames can be looked up all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from shortvox.frontend.fbank import Fbank
from shortvox.frontend.filterbank import HOP, WINDOW
from shortvox.models.campplus import SEGMENT, DenseBlock
from shortvox.models.layers import own_frames

PIECE = 40  # samples: windows, their halves and their hops are whole pieces


class _Fbank(Fbank):
    """Windows made of pieces that are copied, where `unfold` would look up each sample."""

    def framed(self, signal: Tensor, first: int, size: int) -> Tensor:
        frames = (signal.shape[1] - WINDOW) // HOP + 1
        starts = HOP // PIECE * torch.arange(frames)[:, None] + first // PIECE
        places = (starts + torch.arange(size // PIECE)).flatten()
        return signal.unflatten(1, (-1, PIECE)).index_select(1, places).reshape(signal.shape[0], frames, size)


class _DenseBlock(nn.ModuleList):
    """CAM++'s block on rows (batch * frames, channels), without zeros on padding: who looks at other frames, or at
    means of them, leaves it out.
    """

    def forward(self, frames: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(batch, frames, in), whatever on padding -> (batch, frames, out)."""
        layers: list[Any] = list(self)  # each a DenseLayer whose batch norms are products and sums
        batch, count = frames.shape[:2]
        own = own_frames(frames, lengths)
        looked_at, inside = _neighbours(layers[0].local.dilation, batch, count, own)
        shares, segment_of = _segments(batch, count, own)
        rows = frames.flatten(0, 1)
        for layer in layers:
            hidden = functional.relu(layer.norm(rows))
            scale, shift = layer.reduced_norm.scale_and_shift()
            hidden = functional.relu(hidden @ (layer.reduce.weight * scale[:, None]).t() + shift)
            spliced = (hidden.index_select(0, looked_at) * inside).reshape(batch * count, -1)
            context = (shares @ hidden.unflatten(0, (batch, count))).flatten(0, 1)
            gate = torch.sigmoid(_product(functional.relu(_product(context, layer.mask.squeeze)), layer.mask.excite))
            added = spliced @ layer.local.linear.weight.t() * gate.index_select(0, segment_of)
            rows = torch.cat([rows, added], dim=1)
        return rows.unflatten(0, (batch, count))


def _neighbours(dilation: int, batch: int, count: int, own: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row the rows of itself and of the frames before and after, (rows * 3,), and 1 where these are the
    utterance's own, else 0, (rows * 3, 1).
    """
    places = torch.arange(count)[:, None] + dilation * torch.arange(-1, 2)
    inside = (places >= 0) & (places < own[:, None, None])
    looked_at = count * torch.arange(batch)[:, None, None] + places.clamp(0, count - 1)
    return looked_at.flatten(), inside.flatten()[:, None].float()


def _segments(batch: int, count: int, own: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, segments, frames), which times the frames is the mean of each segment plus that of the utterance; and the
    row of each row's segment (rows,).
    """
    place = torch.arange(count)
    segments = (count + SEGMENT - 1) // SEGMENT
    number = torch.arange(segments)
    inside = (own[:, None] - SEGMENT * number).clamp(1, SEGMENT)
    shares = (number[:, None] == place // SEGMENT).float() / inside[..., None] + 1 / own[:, None, None]
    heard = (place < own[:, None])[:, None].float()
    return shares * heard, (segments * torch.arange(batch)[:, None] + place // SEGMENT).flatten()


def _product(rows: Tensor, linear: nn.Linear) -> Tensor:
    """A linear layer in two operations, of which onnxruntime makes one, and of which int8 knows the first."""
    return rows @ linear.weight.t() + linear.bias


_LEAN: Mapping[type[nn.Module], Callable[..., nn.Module]] = {
    DenseBlock: _DenseBlock,
    Fbank: lambda bank: _Fbank(bands=bank.bands, window=bank.window, edges=bank.edges, scale=bank.scale),
}


def make_lean(network: nn.Module) -> None:
    """Replace what has a leaner form, in place. Batch norms have to know their `scale_and_shift`."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) in _LEAN:
                setattr(module, name, _LEAN[type(child)](child))
