"""The filter bank of voxceleb_trainer, which "H / ASP" was trained with (Kwon et al., 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.frontend.filterbank import filter_bank, frame_count
from shortvox.frontend.masking import reflected
from shortvox.frontend.stft import HALF, CentredBank, mel_edges

if TYPE_CHECKING:
    from shortvox.frontend.frontend import FrontEndSettings

FFT = 512
PREEMPHASIS = 0.97
ADDED = 1e-6  # to each energy


@filter_bank("voxceleb_trainer")
class VoxcelebTrainerBank(CentredBank):
    """Natural logarithms of triangular mel bands.

    Pre-emphasis 0.97, Hamming window of 25 ms centred at every 10 ms, the signal reflected at its ends, power spectrum,
    0 to 8000 Hz.
    """

    def __init__(self, *, bands: int = 64) -> None:
        super().__init__(fft=FFT, mel=_mel_bank(bands))

    @classmethod
    def make(cls, settings: FrontEndSettings) -> Self:
        return cls(bands=settings.bands)

    def signal(self, waveforms: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        before = reflected(waveforms[:, :, None], lengths, before=1, after=0)[:, :-1, 0]
        emphasised = (waveforms - PREEMPHASIS * before)[:, :, None]
        counts = None if lengths is None else frame_count(lengths, "centre")
        return reflected(emphasised, lengths, before=HALF, after=HALF)[:, :, 0], counts

    def log_mel(self, signal: Tensor, counts: Tensor | None = None) -> Tensor:
        energies = self.energies(signal)
        return (energies + ADDED).log()


def _mel_bank(bands: int) -> Tensor:
    """(FFT / 2 + 1, bands)."""
    edges = mel_edges(bands, SAMPLE_RATE / 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bins = (np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT)[:, None]
    rising, falling = (bins - left) / (centre - left), (right - bins) / (right - centre)
    return torch.from_numpy(np.maximum(0.0, np.minimum(rising, falling))).float()
