"""Frame-level maps: what a trunk makes and a pooling takes; segments are joined here."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from shortvox.frontend.masking import frame_mask


class Maps(NamedTuple):
    """Maps at one time resolution: frames (batch, frames', channels), each row's own lengths (batch,) or None."""

    frames: Tensor
    lengths: Tensor | None = None


Scales = tuple[Maps, ...]  # one for each time resolution that a pooling reads; most backbones have one


def join_segments(scales: Scales, segments: int) -> Scales:
    """Maps of batch x `segments` rows, an utterance's segments side by side -> of batch rows, joined in time."""
    return tuple(_joined(maps, segments) for maps in scales)


def _joined(maps: Maps, segments: int) -> Maps:
    rows, frames, channels = maps.frames.shape
    joined = maps.frames.reshape(rows // segments, segments * frames, channels)
    if maps.lengths is None:
        return Maps(joined)
    own = frame_mask(maps.lengths, frames).reshape(joined.shape[:2])
    lengths = maps.lengths.reshape(-1, segments).sum(dim=1)
    packed = joined.new_zeros(joined.shape)
    packed[frame_mask(lengths, joined.shape[1])] = joined[own]
    return Maps(packed, lengths)
