"""Log-mel filter bank, Kaldi-compatible, batched in torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import torch
from torch import Tensor

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.frontend.filterbank import HOP, WINDOW, Edges, FilterBank, filter_bank, frame_count

if TYPE_CHECKING:
    from shortvox.frontend.frontend import FrontEndSettings

FFT = 512
PREEMPHASIS = 0.97
LOW_HZ = 20.0
INT16_SCALE = 32768.0
FLOOR = torch.finfo(torch.float32).eps  # of every energy before its logarithm, as in Kaldi
HALF = WINDOW // 2
EDGE = (WINDOW - HOP) // 2  # samples by which the first window reaches before the file


Window = Literal["povey", "hamming"]


@filter_bank("kaldi")
class Fbank(FilterBank):
    """Waveform to log-mel energies, as Kaldi's `compute-fbank-feats --dither=0`.

    25 ms window, 10 ms hop, DC removal, pre-emphasis 0.97, 20 Hz to Nyquist, power spectrum. `scale` is what samples in
    [-1, 1] are multiplied by. Reference: Kaldi feature-fbank.cc, as reproduced by kaldi-native-fbank.

    The power spectrum does not depend on where time zero is. With time zero at the centre of the (symmetric) window,
    the frame's even part meets only cosines and its odd part only sines: two small matrix products, faster than
    torch's CPU FFT at this size, and no FFT in an exported graph.
    """

    cosines: Tensor
    sines: Tensor
    mel: Tensor

    def __init__(
        self, *, bands: int = 80, window: Window = "povey", edges: Edges = "mirror", scale: float = INT16_SCALE
    ) -> None:
        super().__init__()
        self.bands = bands
        self.window = window
        self.edges = edges
        self.scale = scale
        # The signal is at int16 scale, because a VAD's threshold is absolute; another scale is another floor and a
        # constant in the logarithm.
        self.floor = FLOOR * (INT16_SCALE / scale) ** 2
        self.offset = 2 * math.log(INT16_SCALE / scale)
        cosines, sines = _windowed_fourier(window)
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("sines", sines, persistent=False)
        self.register_buffer("mel", _mel_bank(bands), persistent=False)

    @classmethod
    def make(cls, settings: FrontEndSettings) -> Self:
        return cls(bands=settings.bands, window=settings.window, edges=settings.edges, scale=settings.scale)

    def signal(self, waveforms: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return whole_windows(waveforms, lengths, self.edges)

    def log_mel(self, signal: Tensor, counts: Tensor | None = None) -> Tensor:
        # Pre-emphasis runs over the signal instead of the frame, and removing the frame's mean m first is then the same
        # as subtracting (1 - 0.97) m afterwards. A frame's first sample, which Kaldi takes for its own predecessor,
        # matters only where the window is not zero there, as Povey's is.
        emphasised = torch.cat([signal[:, :1], signal[:, 1:] - PREEMPHASIS * signal[:, :-1]], dim=1)
        mean = self.framed(signal, 0, WINDOW).mean(dim=2, keepdim=True)
        rising = self.framed(emphasised, 0, HALF)
        falling = self.framed(emphasised, HALF, HALF).flip(2)
        even = rising + falling - 2 * (1 - PREEMPHASIS) * mean
        odd = rising - falling
        if self.window != "povey":
            first = windows(signal)[:, :, 0] * (1 - PREEMPHASIS) - rising[:, :, 0]
            even[:, :, 0] += first
            odd[:, :, 0] += first
        power = torch.matmul(even, self.cosines).square_() + torch.matmul(odd, self.sines).square_()
        energies = torch.matmul(power, self.mel).clamp_min(self.floor).log()
        return energies - self.offset if self.offset else energies

    def framed(self, signal: Tensor, first: int, size: int) -> Tensor:
        """Of each window, `size` samples from its sample `first` on: (batch, frames, size)."""
        return signal[:, first : signal.shape[1] - WINDOW + first + size].unfold(1, size, HOP)


def whole_windows(waveforms: Tensor, lengths: Tensor | None, edges: Edges = "mirror") -> tuple[Tensor, Tensor | None]:
    """(batch, samples) in [-1, 1] -> the signal whose windows are the frames, and frame counts (None without lengths).

    The signal is at int16 scale. Each row is mirrored at its own two ends, far enough for whole windows; with "snip",
    only at its end, and none of its frames sees that unless it is shorter than a window.
    """
    counts = None if lengths is None else frame_count(lengths, edges)
    return mirror_edges(waveforms * INT16_SCALE, lengths, edges), counts


def windows(signal: Tensor) -> Tensor:
    """The signal of `whole_windows` -> (batch, frames, WINDOW), a view."""
    return signal.unfold(1, WINDOW, HOP)


def log_energy(signal: Tensor) -> Tensor:
    """The signal of `whole_windows` -> (batch, frames): natural log of each window's energy about its own mean.

    Kaldi's raw energy: after DC removal, before pre-emphasis and window, floored as log-mel energies are.
    """
    framed = windows(signal)
    # Not sum of squares minus squared mean: in float32 that loses quiet speech beside a large DC offset.
    energy = (framed - framed.mean(dim=2, keepdim=True)).square_().sum(dim=2)
    return energy.clamp_min(FLOOR).log()


def mirror_edges(signal: Tensor, lengths: Tensor | None, edges: Edges = "mirror") -> Tensor:
    """Extend (batch, samples) by reflection at each row's own two ends, far enough for whole windows.

    Kaldi mirrors with the edge sample repeated, and mirrors again where the signal is shorter than the reach.
    """
    samples = signal.shape[1]
    before = EDGE if edges == "mirror" else 0
    total = (frame_count(samples, edges) - 1) * HOP + WINDOW
    positions = torch.arange(-before, total - before, device=signal.device)
    if lengths is None:
        return signal.index_select(1, _mirrored(positions, samples))
    return signal.gather(1, _mirrored(positions, lengths.to(signal.device)[:, None]))


def _mirrored(positions: Tensor, samples: int | Tensor) -> Tensor:
    """Positions on the line -> those in a signal of `samples` that is mirrored at both ends, again and again."""
    wrapped = positions % (2 * samples)
    return torch.where(wrapped < samples, wrapped, 2 * samples - 1 - wrapped)


def _windowed_fourier(window: Window) -> tuple[Tensor, Tensor]:
    """Two (HALF, FFT / 2 + 1) matrices: the window times cosine and sine about its centre."""
    sample = np.arange(HALF)
    turn = np.cos(2 * np.pi * sample / (WINDOW - 1))
    taper = (0.5 - 0.5 * turn) ** 0.85 if window == "povey" else 0.54 - 0.46 * turn
    time = sample - (WINDOW - 1) / 2
    phase = 2 * np.pi / FFT * time[:, None] * np.arange(FFT // 2 + 1)
    cosines, sines = taper[:, None] * np.cos(phase), taper[:, None] * np.sin(phase)
    return torch.from_numpy(cosines).float(), torch.from_numpy(sines).float()


def _mel_bank(bands: int) -> Tensor:
    """(FFT / 2 + 1, bands) triangles on the mel scale; the Nyquist bin carries no weight, as in Kaldi."""

    def mel(hertz: np.ndarray | float) -> np.ndarray:
        return 1127.0 * np.log1p(np.asarray(hertz, dtype=np.float64) / 700.0)

    edges = np.linspace(mel(LOW_HZ), mel(SAMPLE_RATE / 2), bands + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    bins = mel(np.arange(FFT // 2) * SAMPLE_RATE / FFT)[:, None]
    rising = (bins - left) / (centre - left)
    falling = (right - bins) / (right - centre)
    bank = np.zeros((FFT // 2 + 1, bands))
    bank[:-1] = np.maximum(0.0, np.minimum(rising, falling))
    return torch.from_numpy(bank).float()
