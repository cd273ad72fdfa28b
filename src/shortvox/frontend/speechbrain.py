"""The filter bank that SpeechBrain's published speaker encoders were trained with (Ravanelli et al., 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.frontend.filterbank import filter_bank, frame_count
from shortvox.frontend.masking import frame_mask
from shortvox.frontend.stft import HALF, CentredBank, mel_edges

if TYPE_CHECKING:
    from shortvox.frontend.frontend import FrontEndSettings

FFT = 400
LEAST = 1e-10  # energy
RANGE = 80.0  # dB


@filter_bank("speechbrain")
class SpeechBrainBank(CentredBank):
    """Decibels of triangular mel bands, none more than 80 dB below the utterance's loudest.

    Hamming window of 25 ms centred at every 10 ms, zeros outside the signal, power spectrum, 0 to 8000 Hz. A triangle
    is as wide on its upper as on its lower side.
    """

    def __init__(self, *, bands: int = 80) -> None:
        super().__init__(fft=FFT, mel=_mel_bank(bands))

    @classmethod
    def make(cls, settings: FrontEndSettings) -> Self:
        return cls(bands=settings.bands)

    def signal(self, waveforms: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        counts = None
        if lengths is not None:
            waveforms = torch.where(frame_mask(lengths, waveforms.shape[1]), waveforms, 0.0)
            counts = frame_count(lengths, "centre")
        return functional.pad(waveforms, (HALF, HALF)), counts

    def log_mel(self, signal: Tensor, counts: Tensor | None = None) -> Tensor:
        energies = self.energies(signal)
        decibels = 10.0 * energies.clamp_min(LEAST).log10()
        own = decibels
        if counts is not None:
            own = torch.where(frame_mask(counts, decibels.shape[1])[:, :, None], decibels, 10.0 * np.log10(LEAST))
        return torch.maximum(decibels, own.amax(dim=(1, 2), keepdim=True) - RANGE)


def _mel_bank(bands: int) -> Tensor:
    """(FFT / 2 + 1, bands)."""
    edges = mel_edges(bands, SAMPLE_RATE / 2)
    bins = np.arange(FFT // 2 + 1) * SAMPLE_RATE / FFT
    slope = (bins[:, None] - edges[1:-1]) / np.diff(edges)[:-1]
    return torch.from_numpy(np.maximum(0.0, 1.0 - np.abs(slope))).float()
