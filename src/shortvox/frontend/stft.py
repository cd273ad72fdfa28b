"""Power spectra of frames centred at every hop, as torch's short-time Fourier transform has them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from shortvox.frontend.filterbank import HOP, WINDOW, FilterBank

HALF = WINDOW // 2


def hamming_fourier(fft: int) -> tuple[Tensor, Tensor]:
    """Two (WINDOW, fft / 2 + 1) matrices: a periodic Hamming window times cosine and sine."""
    sample = np.arange(WINDOW)
    window = 0.54 - 0.46 * np.cos(2 * np.pi * sample / WINDOW)
    phase = 2 * np.pi / fft * (sample - HALF)[:, None] * np.arange(fft // 2 + 1)
    cosines, sines = window[:, None] * np.cos(phase), window[:, None] * np.sin(phase)
    return torch.from_numpy(cosines).float(), torch.from_numpy(sines).float()


class CentredBank(FilterBank):
    """Energies of triangular mel bands, `mel` (fft / 2 + 1, bands), of frames centred at every hop."""

    cosines: Tensor
    sines: Tensor
    mel: Tensor

    def __init__(self, *, fft: int, mel: Tensor) -> None:
        super().__init__()
        self.bands = mel.shape[1]
        self.edges = "centre"
        cosines, sines = hamming_fourier(fft)
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("sines", sines, persistent=False)
        self.register_buffer("mel", mel, persistent=False)

    def energies(self, signal: Tensor) -> Tensor:
        """(batch, samples), HALF of them before the first hop -> (batch, frames, bands)."""
        frames = signal.unfold(1, WINDOW, HOP)
        power = torch.matmul(frames, self.cosines).square_() + torch.matmul(frames, self.sines).square_()
        return torch.matmul(power, self.mel)


def mel_edges(bands: int, highest: float) -> np.ndarray:
    """(bands + 2,) frequencies in Hz, evenly spaced on the mel scale of HTK from 0 to `highest`."""
    mel = np.linspace(0.0, 2595.0 * np.log10(1.0 + highest / 700.0), bands + 2)
    return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
