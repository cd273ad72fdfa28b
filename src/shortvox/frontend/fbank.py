"""Log-mel filter bank, Kaldi-compatible, batched in torch."""

from __future__ import annotations

from typing import overload

import numpy as np
import torch
from torch import Tensor, nn

from shortvox.corpora.audio import SAMPLE_RATE

WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
FFT = 512
PREEMPHASIS = 0.97
LOW_HZ = 20.0
INT16_SCALE = 32768.0
FLOOR = torch.finfo(torch.float32).eps  # of every energy before its logarithm, as in Kaldi
HALF = WINDOW // 2
EDGE = (WINDOW - HOP) // 2  # samples by which the first window reaches before the file


@overload
def frame_count(samples: int) -> int: ...


@overload
def frame_count(samples: Tensor) -> Tensor: ...


def frame_count(samples: int | Tensor) -> int | Tensor:
    """Frames of a signal with snip-edges false: 16 000 samples give 100; less than half a hop still gives one."""
    frames = (samples + HOP // 2) // HOP
    return frames.clamp_min(1) if isinstance(frames, Tensor) else max(1, frames)


def frame_bounds(start: int, samples: int, length: int) -> tuple[int, int]:
    """First frame and one past the last of a signal of `length` samples for its piece from sample `start`.

    As many frames as the piece has alone, `frame_count(samples)`, from the frame nearest to `start`: each lies at most
    half a hop (5 ms) from the piece's own frame. At the end of the signal, where rounding up would pass its last frame,
    all move one frame back. The whole signal gives all its frames.
    """
    count, total = frame_count(samples), frame_count(length)
    first = min((start + HOP // 2) // HOP, total - count)
    return first, first + count


class Fbank(nn.Module):
    """Waveform to log-mel energies, as Kaldi's `compute-fbank-feats --snip-edges=false --dither=0`.

    25 ms Povey window, 10 ms hop, DC removal, pre-emphasis 0.97, 20 Hz to Nyquist, power spectrum, int16 scale.
    Reference: Kaldi feature-fbank.cc, as reproduced by kaldi-native-fbank.

    The power spectrum does not depend on where time zero is. With time zero at the centre of the (symmetric) window,
    the frame's even part meets only cosines and its odd part only sines: two small matrix products, faster than
    torch's CPU FFT at this size, and no FFT in an exported graph.
    """

    cosines: Tensor
    sines: Tensor
    mel: Tensor

    def __init__(self, *, bands: int = 80) -> None:
        super().__init__()
        self.bands = bands
        cosines, sines = _windowed_fourier()
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("sines", sines, persistent=False)
        self.register_buffer("mel", _mel_bank(bands), persistent=False)

    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """(batch, samples) in [-1, 1], lengths (batch,) in samples -> (batch, frames, bands), frame counts.

        Without lengths every row is whole. Frames past a row's own count are meaningless; mask them.
        """
        signal, counts = whole_windows(waveforms, lengths)
        return self.log_mel(signal), counts

    def log_mel(self, signal: Tensor) -> Tensor:
        """The signal of `whole_windows` -> (batch, frames, bands)."""
        # Povey's window is zero at its first sample, so pre-emphasis may run over the signal instead of the frame;
        # removing the frame's mean m first is then the same as subtracting (1 - 0.97) m afterwards.
        emphasised = signal.clone()
        emphasised[:, 1:] -= PREEMPHASIS * signal[:, :-1]
        mean = windows(signal).mean(dim=2, keepdim=True)
        rising = emphasised[:, : emphasised.shape[1] - HALF].unfold(1, HALF, HOP)
        falling = emphasised[:, HALF:].unfold(1, HALF, HOP).flip(2)
        even = rising + falling - 2 * (1 - PREEMPHASIS) * mean
        odd = rising - falling
        power = torch.matmul(even, self.cosines).square_() + torch.matmul(odd, self.sines).square_()
        return torch.matmul(power, self.mel).clamp_min(FLOOR).log()


def whole_windows(waveforms: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """(batch, samples) in [-1, 1] -> the signal whose windows are the frames, and frame counts (None without lengths).

    The signal is at int16 scale, and each row is mirrored at its own two ends, far enough for whole windows.
    """
    counts = None if lengths is None else frame_count(lengths)
    return mirror_edges(waveforms * INT16_SCALE, lengths), counts


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


def mirror_edges(signal: Tensor, lengths: Tensor | None) -> Tensor:
    """Extend (batch, samples) by reflection at each row's own two ends, far enough for whole windows.

    Kaldi mirrors with the edge sample repeated, and mirrors again where the signal is shorter than the reach.
    """
    samples = signal.shape[1]
    total = (frame_count(samples) - 1) * HOP + WINDOW
    positions = torch.arange(-EDGE, total - EDGE, device=signal.device)
    if lengths is None:
        return signal.index_select(1, _mirrored(positions, samples))
    return signal.gather(1, _mirrored(positions, lengths.to(signal.device)[:, None]))


def _mirrored(positions: Tensor, samples: int | Tensor) -> Tensor:
    """Positions on the line -> those in a signal of `samples` that is mirrored at both ends, again and again."""
    wrapped = positions % (2 * samples)
    return torch.where(wrapped < samples, wrapped, 2 * samples - 1 - wrapped)


def _windowed_fourier() -> tuple[Tensor, Tensor]:
    """Two (HALF, FFT / 2 + 1) matrices: Povey window times cosine and sine about the window's centre."""
    sample = np.arange(HALF)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * sample / (WINDOW - 1))) ** 0.85
    time = sample - (WINDOW - 1) / 2
    phase = 2 * np.pi / FFT * time[:, None] * np.arange(FFT // 2 + 1)
    cosines, sines = window[:, None] * np.cos(phase), window[:, None] * np.sin(phase)
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
