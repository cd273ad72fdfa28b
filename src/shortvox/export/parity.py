"""Whether a graph gives what torch gives: the same made sounds through both, at every length and in padded batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.encoders.batches import padded
from shortvox.encoders.encoder import probe
from shortvox.encoders.session import load_session, run_session
from shortvox.errors import ModelError
from shortvox.export.graph import SHORTEST
from shortvox.models.speaker_model import SpeakerModel

ALONE = (SHORTEST / SAMPLE_RATE, 0.1, 0.3, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0)  # seconds
TOGETHER = ((0.1, 0.3, 0.7, 1.5, 4.0), (2.0, 0.05), (1.0, 1.0, 1.0))
PAUSE = 0.4  # seconds, every second time


@dataclass(frozen=True)
class Parity:
    """Least cosine between graph and torch, by what was heard: one sound of so many seconds, or several as a batch."""

    cosines: dict[str, float]

    @property
    def least(self) -> float:
        return min(self.cosines.values())

    def require(self, limit: float, what: str) -> None:
        """Raises ModelError, which names the worst length, where a cosine is not above `limit`."""
        worst = min(self.cosines, key=self.cosines.__getitem__)
        if not self.least > limit:
            raise ModelError(
                f"{what}: the graph does not give what torch gives (cosine {self.least:.6f} for {worst}, and more than "
                f"{limit} is needed), so nothing was written; a backbone must not take Python numbers out of tensors "
                "(docs/export.md)"
            )


def parity(model: SpeakerModel, graph: Path, *, shortest: float = ALONE[0]) -> Parity:
    """Compare a graph in a file with its model; each row of a batch with torch's embedding of that row alone.

    Sounds have `shortest` seconds at least, by default one frame, of which mean normalisation leaves nothing.
    Raises ModelError for a model whose embeddings are not finite, and EncoderError for a graph that cannot be run.
    """
    session = load_session(graph)

    def given(sounds: Sequence[np.ndarray]) -> np.ndarray:
        waveforms, lengths = padded(sounds)
        return run_session(session, graph, "embeddings", {"waveforms": waveforms, "lengths": lengths})

    cosines = {}
    for heard in (*((length,) for length in ALONE), *TOGETHER):
        if min(heard) < shortest:
            continue
        sounds = [made_speech(round(length * SAMPLE_RATE), seed) for seed, length in enumerate(heard)]
        found, expected = given(sounds), _by_torch(model, sounds)
        # An embedding of another length than 1 is as wrong as one that points elsewhere.
        agreement = (found * expected).sum(axis=1) / np.maximum(1, np.linalg.norm(found, axis=1) ** 2)
        name = f"{heard[0]:g} s" if len(heard) == 1 else f"batch of {', '.join(f'{one:g}' for one in heard)} s"
        cosines[name] = float(np.nan_to_num(agreement, nan=-1.0).min())
    return Parity(cosines)


def made_speech(samples: int, seed: int) -> np.ndarray:
    """A made sound (samples,) with pauses, so that a VAD has something to drop."""
    time = np.arange(samples) / SAMPLE_RATE
    loud = np.floor(time / PAUSE + 0.5 * seed) % 2 == 0
    return np.where(loud, 1.0, 1e-3).astype(np.float32) * probe(samples, seed)


def _by_torch(model: SpeakerModel, sounds: Sequence[np.ndarray]) -> Any:
    with torch.inference_mode():
        rows = [model.embed(torch.from_numpy(sound)[None]) for sound in sounds]
    return model.require_unit_length(torch.cat(rows).numpy())
