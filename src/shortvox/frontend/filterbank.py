"""What every filter bank is: waveforms to log-mel energies, 100 frames a second, batched in torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self, overload

from torch import Tensor, nn

from shortvox.registry import Registry

if TYPE_CHECKING:
    from shortvox.frontend.frontend import FrontEndSettings

WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms

Edges = Literal["mirror", "snip", "centre"]
"""Where frames lie: one for each hop, the signal mirrored at its ends; whole windows only; one centred at every hop."""


@overload
def frame_count(samples: int, edges: Edges = "mirror") -> int: ...


@overload
def frame_count(samples: Tensor, edges: Edges = "mirror") -> Tensor: ...


def frame_count(samples: int | Tensor, edges: Edges = "mirror") -> int | Tensor:
    """Frames of a signal: 16 000 samples give 100, with "snip" 98, with "centre" 101. The shortest signal gives one."""
    if edges == "centre":
        return samples // HOP + 1
    frames = (samples + HOP // 2) // HOP if edges == "mirror" else (samples - WINDOW) // HOP + 1
    return frames.clamp_min(1) if isinstance(frames, Tensor) else max(1, frames)


def frame_bounds(start: int, samples: int, length: int, edges: Edges = "mirror") -> tuple[int, int]:
    """First frame and one past the last of a signal of `length` samples for its piece from sample `start`.

    As many frames as the piece has alone, `frame_count(samples)`, from the frame nearest to `start`: each lies at most
    half a hop (5 ms) from the piece's own frame. At the end of the signal, where rounding up would pass its last frame,
    all move one frame back. The whole signal gives all its frames.
    """
    count, total = frame_count(samples, edges), frame_count(length, edges)
    first = min((start + HOP // 2) // HOP, total - count)
    return first, first + count


class FilterBank(nn.Module):
    """(batch, samples) at 16 kHz in [-1, 1] -> log-mel energies (batch, frames, bands).

    In two steps, because a VAD hears the signal too. Lengths are in samples, counts in frames; None: every row is
    whole. Frames past a row's own count are meaningless.
    """

    bands: int
    edges: Edges

    @classmethod
    def make(cls, settings: FrontEndSettings) -> Self:
        raise NotImplementedError

    def signal(self, waveforms: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Waveforms -> the signal that is cut into frames, and frame counts."""
        raise NotImplementedError

    def log_mel(self, signal: Tensor, counts: Tensor | None = None) -> Tensor:
        """What `signal` makes -> (batch, frames, bands)."""
        raise NotImplementedError

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        signal, counts = self.signal(waveforms, lengths)
        return self.log_mel(signal, counts), counts


filter_bank: Registry[type[FilterBank]] = Registry("filter bank")
