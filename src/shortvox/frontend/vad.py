"""Voice activity detection: which frames of an utterance hold speech."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from shortvox.frontend.fbank import log_energy
from shortvox.frontend.masking import frame_mask
from shortvox.registry import Registry

Detector = Callable[[Tensor, Tensor | None], Tensor]
"""Signal and frame counts of `fbank.whole_windows` -> bool (batch, frames), false on padding."""

detector: Registry[Detector] = Registry("VAD")


@dataclass(frozen=True, kw_only=True)
class EnergyVad:
    """Kaldi's energy VAD (`compute-vad`): a frame is voiced when enough of its neighbours are loud for the utterance.

    A frame is loud when its log energy exceeds `threshold` + `mean_scale` * (mean log energy of the utterance). The
    log energy is that of int16-scale samples, because `threshold` is an absolute term.
    """

    threshold: float = 5.5
    mean_scale: float = 0.5
    proportion: float  # of the frames t - context … t + context inside the utterance that must be loud
    context: int  # frames to either side

    def __call__(self, signal: Tensor, counts: Tensor | None = None) -> Tensor:
        return self.decide(log_energy(signal), counts)

    def decide(self, energies: Tensor, counts: Tensor | None = None) -> Tensor:
        """Natural log energies (batch, frames), counts (batch,) -> bool (batch, frames), false on padding."""
        batch, frames = energies.shape
        own = torch.full((batch,), frames, device=energies.device) if counts is None else counts
        mask = frame_mask(own, frames)
        mean = torch.where(mask, energies, 0.0).double().sum(dim=1) / own
        loud = mask & (energies > (self.threshold + self.mean_scale * mean)[:, None])
        return mask & (self._around(loud) >= self.proportion * self._around(mask).double())

    def _around(self, frames: Tensor) -> Tensor:
        """How many of the frames t - context … t + context are true, int64 (batch, frames)."""
        padded = functional.pad(frames.long(), (self.context, self.context))
        return padded.unfold(1, 2 * self.context + 1, 1).sum(dim=2)


detector("sre16-v2")(EnergyVad(proportion=0.12, context=2))  # Kaldi egs/sre16/v2/conf/vad.conf
detector("sre16-v1")(EnergyVad(proportion=0.6, context=0))  # Kaldi egs/sre16/v1/conf/vad.conf
