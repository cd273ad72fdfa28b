"""Does one label hold one voice? A check that needs no trained model.

Each clip becomes 25 numbers: mean and standard deviation of 12 mel cepstra over its louder frames (below 3.8 kHz, so
that telephone speech counts alike) and the logarithm of its median pitch. Linear discriminant analysis over the
labels of the training packages keeps the 6 directions in which labels differ most for the spread within them. In
that space the clips of one label are split in two by 2-means, and the split is measured by Ashman's D: the distance
of the two centres over the root mean square spread along the line through them. One Gaussian cloud gives about
2.7 to 3.3; two voices give more. A label at or above `LIMIT` is called two voices. So is one whose middle half of
clips spreads over `PITCH_SPREAD` octaves of pitch or more, be it two people or one who plays roles.

A label that fails loses its smaller part; when the larger part fails too, or is small, the whole label goes.

Measured on the packages of 2022 (150 clips a label). Of 334 mixtures of 40 + 40 clips of two labels of one training
package, 64 to 77 % reach D >= 4.0 (median of package 72 %); of 240 draws of 60 clips of 12 professional one-person
recordings, 4 % do. The largest middle half of pitch of those 12 is 0.40 octaves. So the check rarely
blames one person and finds most mixtures of volunteers; of two alike ones, as the women of telephone prompts, it
finds few (11 % of 27).

Ashman, Bird, Zepf (1994), Detecting bimodality in astronomical datasets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.fft import dct, irfft, rfft
from scipy.linalg import eigh

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.demo.clips import frames

LIMIT = 4.0
PITCH_SPREAD = 0.45  # octaves between the quartiles
LEAST_CLIPS = 20  # fewer cannot be split with any confidence
DIRECTIONS = 6
_BANDS, _CEPSTRA, _EDGES = 24, 12, (100.0, 3800.0)  # Hz
_LOWEST, _HIGHEST = 60, 450  # Hz of pitch, children included
_SHRINKAGE = 0.1


@dataclass(frozen=True, slots=True)
class Split:
    """A label's clips in two: `separation` is Ashman's D, `larger` marks the clips of the larger part."""

    separation: float
    larger: np.ndarray


@dataclass(frozen=True, slots=True)
class Verdict:
    """`keep` marks the clips to keep: all, those of the larger voice, or none. `figures` is for people to read."""

    keep: np.ndarray
    figures: str

    @property
    def passed(self) -> bool:
        return bool(self.keep.all())


def describe(samples: np.ndarray) -> np.ndarray | None:
    """(25,) float64 of one clip at 16 kHz, or None where too little of it is voiced."""
    pitch = _pitch(samples)
    if pitch is None:
        return None
    power = np.square(np.abs(rfft(frames(samples) * np.hanning(400), 512, axis=1)))
    mel = np.log(power @ _mel_bank().T + 1e-8)
    level = mel.mean(axis=1)
    cepstra = dct(mel[level > np.percentile(level, 95) - 6], norm="ortho", axis=1)[:, 1 : _CEPSTRA + 1]
    return np.concatenate([cepstra.mean(axis=0), cepstra.std(axis=0), [np.log2(pitch)]])


def _pitch(samples: np.ndarray) -> float | None:
    """Median pitch in Hz by normalised autocorrelation of 40 ms frames every 20 ms; None below 5 voiced frames."""
    window = np.hanning(640)
    pieces = frames(samples, 640, 320) * window
    if len(pieces) < 5:
        return None
    lags = np.arange(SAMPLE_RATE // _HIGHEST, SAMPLE_RATE // _LOWEST + 1)
    of_window = irfft(np.square(np.abs(rfft(window, 2048))))
    correlation = irfft(np.square(np.abs(rfft(pieces, 2048, axis=1))), axis=1)
    energy = correlation[:, 0]
    shape = correlation[:, lags] / np.maximum(energy, 1e-9)[:, None] / (of_window[lags] / of_window[0])
    best = shape[:, 1:-1].max(axis=1)
    peak = (shape[:, 1:-1] >= shape[:, :-2]) & (shape[:, 1:-1] >= shape[:, 2:])
    # The shortest lag that is a peak nearly as high as the highest: longer ones are its multiples.
    candidate = peak & (shape[:, 1:-1] >= 0.9 * best[:, None])
    voiced = candidate.any(axis=1) & (best > 0.5) & (energy > np.percentile(energy, 95) * 10**-2.5)
    if voiced.sum() < 5:
        return None
    return float(np.median(SAMPLE_RATE / lags[1 + candidate[voiced].argmax(axis=1)]))


def _mel_bank() -> np.ndarray:
    lowest, highest = 2595 * np.log10(1 + np.array(_EDGES) / 700)
    edges = 700 * (10 ** (np.linspace(float(lowest), float(highest), _BANDS + 2) / 2595) - 1)
    bins = np.arange(257) * SAMPLE_RATE / 512
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.maximum(0, np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)))


def discriminant(clips: Mapping[str, np.ndarray]) -> np.ndarray:
    """(25, 6) projection that separates labels, from each label's (clips, 25); every label weighs the same.

    With fewer than 7 labels, as many directions as they can differ in: one less than labels.
    """
    within = np.mean([np.cov(own.T) for own in clips.values()], axis=0)
    between = np.cov(np.array([own.mean(axis=0) for own in clips.values()]).T)
    within = (1 - _SHRINKAGE) * within + _SHRINKAGE * np.diag(np.diag(within))
    return eigh(between, within)[1][:, ::-1][:, : min(DIRECTIONS, len(clips) - 1)]


def split(points: np.ndarray) -> Split:
    """2-means of (clips, directions), started along each of the first principal axes; the tightest split wins.

    A part below a tenth of the clips is no second voice but a few odd clips, so no such split is considered.
    """
    axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2][:5]
    side = min((_two_means(points, axis) for axis in axes), key=lambda found: _scatter(points, found))
    separation = _ashman(points, side)
    return Split(separation, side if 2 * side.sum() >= len(side) else ~side)


def _two_means(points: np.ndarray, axis: np.ndarray) -> np.ndarray:
    along = points @ axis
    side = along > np.median(along)
    least = max(3, 0.1 * len(points))
    for _ in range(50):
        to_a, to_b = (np.square(points - points[part].mean(axis=0)).sum(axis=1) for part in (side, ~side))
        moved = to_a < to_b
        if (moved == side).all() or min(moved.sum(), (~moved).sum()) < least:
            break
        side = moved
    return side


def _scatter(points: np.ndarray, side: np.ndarray) -> float:
    return float(sum(np.square(points[part] - points[part].mean(axis=0)).sum() for part in (side, ~side)))


def _ashman(points: np.ndarray, side: np.ndarray) -> float:
    line = points[side].mean(axis=0) - points[~side].mean(axis=0)
    distance = float(np.linalg.norm(line))
    along = points @ (line / max(distance, 1e-12))
    spread = float(np.sqrt((along[side].var() * side.sum() + along[~side].var() * (~side).sum()) / len(side)))
    return distance / max(spread, 1e-12)


def judge(features: np.ndarray, projection: np.ndarray) -> Verdict:
    """The check of one label's (clips, 25) as the module's first lines describe it."""
    if len(features) < LEAST_CLIPS:
        return Verdict(np.zeros(len(features), bool), f"only {len(features)} usable clips, {LEAST_CLIPS} are needed")
    parts, figures = _measure(features, projection)
    if parts is None:
        return Verdict(np.ones(len(features), bool), figures)
    rest = features[parts]
    if len(rest) < LEAST_CLIPS:
        return Verdict(np.zeros(len(features), bool), f"{figures}; the larger part has only {len(rest)} clips")
    again, after = _measure(rest, projection)
    if again is None:
        return Verdict(parts, f"{figures}; the larger part alone: {after}")
    return Verdict(np.zeros(len(features), bool), f"{figures}; the larger part fails too: {after}")


def _measure(features: np.ndarray, projection: np.ndarray) -> tuple[np.ndarray | None, str]:
    """(the larger part where the clips fail, else None; figures)."""
    found = split(features @ projection)
    low, high = np.percentile(features[:, -1], [25, 75])
    fails = found.separation >= LIMIT or high - low >= PITCH_SPREAD
    figures = f"D {found.separation:.2f}, middle half of pitch {2**low:.0f} to {2**high:.0f} Hz"
    return (found.larger if fails else None), figures
