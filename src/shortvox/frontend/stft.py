"""Power spectra of frames centred at every hop, as torch's short-time Fourier transform has them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from shortvox.frontend.filterbank import HOP, WINDOW

HALF = WINDOW // 2


def hamming_fourier(fft: int) -> tuple[Tensor, Tensor]:
    """Two (WINDOW, fft / 2 + 1) matrices: a periodic Hamming window times cosine and sine."""
    sample = np.arange(WINDOW)
    window = 0.54 - 0.46 * np.cos(2 * np.pi * sample / WINDOW)
    phase = 2 * np.pi / fft * (sample - HALF)[:, None] * np.arange(fft // 2 + 1)
    cosines, sines = window[:, None] * np.cos(phase), window[:, None] * np.sin(phase)
    return torch.from_numpy(cosines).float(), torch.from_numpy(sines).float()


def power_spectrum(signal: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """(batch, samples), HALF of them before the first hop -> (batch, frames, fft / 2 + 1)."""
    frames = signal.unfold(1, WINDOW, HOP)
    return torch.matmul(frames, cosines).square_() + torch.matmul(frames, sines).square_()


def mel_edges(bands: int, highest: float) -> np.ndarray:
    """(bands + 2,) frequencies in Hz, evenly spaced on the mel scale of HTK from 0 to `highest`."""
    mel = np.linspace(0.0, 2595.0 * np.log10(1.0 + highest / 700.0), bands + 2)
    return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
