"""The interface of every speaker encoder, and what is asked of one before a figure relies on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.errors import EncoderError

Run = Callable[[Sequence[np.ndarray]], np.ndarray]

SAME = 0.999  # cosine from which two embeddings of one sound count as the same


@dataclass(frozen=True, eq=False)
class Encoder:
    """Waveforms to unit-length embeddings.

    `run` does the work: float32 waveforms, each of its own length, to (n, dim) of any length. `source` is what the user
    named, and what errors name. `fingerprint` identifies what decides an embedding. `shortest` is the fewest samples at
    16 kHz that give an embedding. `home` is the folder of a model that may keep files of its own beside it, as its
    calibration; None for what shortvox did not make. `kept` has the embeddings (dim,) of whole utterances by id, where
    they were made before and nothing can be heard any more. `remedy` says what to do about unsound embeddings.
    """

    name: str
    kind: str
    source: str
    dim: int
    fingerprint: str
    shortest: int
    run: Run
    home: Path | None = None
    calibration: dict[str, Any] | None = None
    kept: Mapping[str, np.ndarray] | None = None
    remedy: str = "use another encoder"

    def embed(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        """1-D waveforms at 16 kHz in [-1, 1], of any lengths from `shortest` on -> (n, dim) float32 of unit length.

        Raises EncoderError for a waveform that is too short or not finite, and for embeddings that are not (n, dim),
        not finite, or without a direction.
        """
        if not len(waveforms):
            return np.empty((0, self.dim), dtype=np.float32)
        found = sound(self.run([self._fit(one) for one in waveforms]), len(waveforms), self.source, self.remedy)
        if found.shape[1] != self.dim:
            raise EncoderError(
                f"{self.source}: gave embeddings of {found.shape[1]} dimensions, not {self.dim}; {self.remedy}"
            )
        return found

    def _fit(self, waveform: np.ndarray) -> np.ndarray:
        one = np.asarray(waveform, dtype=np.float32)
        if one.ndim != 1:
            raise EncoderError(f"{self.source}: a waveform of shape {one.shape}; give each channel as (samples,)")
        if len(one) < self.shortest:
            raise EncoderError(
                f"{self.source}: {len(one) / SAMPLE_RATE:g} s of speech is shorter than the {seconds(self.shortest)} "
                "that it takes; give it longer speech"
            )
        if not np.isfinite(one).all():
            raise EncoderError(f"{self.source}: a waveform with samples that are not finite; read the audio again")
        return one


def seconds(samples: int) -> str:
    return f"{samples / SAMPLE_RATE:.4g} s"


def sound(found: Any, n: int, source: str, remedy: str) -> np.ndarray:
    """What a `run` gave for `n` waveforms as (n, dim) float32 of unit length.

    Raises EncoderError, naming `source`, where it is something else, not finite, or has no direction.
    """
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
        kind = f"array of {found.dtype}" if isinstance(found, np.ndarray) else type(found).__name__
        raise EncoderError(f"{source}: gave no numbers but {kind}; {remedy}")
    if found.ndim != 2 or found.shape[0] != n or found.shape[1] < 1:
        raise EncoderError(
            f"{source}: gave an array of shape {found.shape} for {n} waveforms, not ({n}, dim); {remedy}"
        )
    exact = found.astype(np.float64)
    length = np.linalg.norm(exact, axis=1, keepdims=True)
    unsound = ~(np.isfinite(length) & (length > 0))[:, 0]
    if unsound.any():
        raise EncoderError(
            f"{source}: {int(unsound.sum())} of {n} embeddings are not finite or have no direction; {remedy}"
        )
    return np.asarray(exact / length, dtype=np.float32)


def probe(samples: int, seed: int = 0) -> np.ndarray:
    """A made sound (samples,) float32 in [-1, 1], the same everywhere: noise whose loudness and colour wander."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(samples)
    time = np.arange(samples) / SAMPLE_RATE
    coloured = noise + 0.9 * np.sin(2 * np.pi * (1 + seed) * time) * np.roll(noise, 1)
    loud = 0.6 + 0.4 * np.sin(2 * np.pi * (3 + seed) * time)
    return (0.1 * loud * coloured).clip(-1, 1).astype(np.float32)


def check_itself(encoder: Encoder, *, scale_invariant: bool = False) -> Encoder:
    """The encoder itself, once made sounds have gone through it well.

    Embeddings have to be finite and of the right dimension; the same for the same sound twice, whatever stands beside
    it in a batch; and, where the normalisation promises that loudness does not matter (`scale_invariant`), the same for
    the sound at half the loudness. Raises EncoderError for the first that does not hold.
    """
    usual = max(encoder.shortest, SAMPLE_RATE)
    one, longer = probe(usual), probe(usual + SAMPLE_RATE // 2, seed=1)
    (alone,) = encoder.embed([one])
    beside = encoder.embed([one, longer])[0]
    if alone @ beside < SAME:
        (again,) = encoder.embed([one])
        if alone @ again < SAME:
            raise EncoderError(
                f"{encoder.source}: the same sound twice gives different embeddings (cosine {alone @ again:.3f}); is "
                f"the network in training mode, or does it add noise? {encoder.remedy}"
            )
        raise EncoderError(
            f"{encoder.source}: the same sound alone and beside a longer one gives different embeddings (cosine "
            f"{alone @ beside:.3f}); is it padded without a mask? {encoder.remedy}"
        )
    encoder.embed([probe(encoder.shortest)])
    if scale_invariant:
        (quieter,) = encoder.embed([one / 2])
        if (cosine := alone @ quieter) < SAME:
            raise EncoderError(
                f"{encoder.source}: the same sound at half the loudness gives another embedding (cosine {cosine:.3f}), "
                f"although its features are normalised; {encoder.remedy}"
            )
    return encoder
