"""From waveforms to what a graph takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from shortvox.encoders.features import (
    HOP,
    kaldi_fbank,
    kaldi_frames,
    kaldi_samples,
    nemo_frames,
    nemo_log_mel,
    normalised,
)
from shortvox.encoders.sidecar import GraphSettings


@dataclass(frozen=True)
class Front:
    """`compute` makes waveforms of one length (batch, samples) what the graph takes, with time on axis `time`.

    `steps` says how many steps of time a number of samples gives, and `samples` a number of samples that gives so many.
    """

    compute: Callable[[np.ndarray], np.ndarray]
    steps: Callable[[int], int]
    samples: Callable[[int], int]
    time: int

    def batch(self, waveforms: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Waveforms of any lengths -> input of the graph, with zeros after each, and each one's steps (batch,)."""
        steps = np.array([self.steps(len(one)) for one in waveforms], dtype=np.int64)
        if len({len(one) for one in waveforms}) == 1:
            return self.compute(np.stack(waveforms)), steps
        # Each alone: what is normalised knows nothing of what stands beside it.
        rows = [np.moveaxis(self.compute(one[None])[0], self.time - 1, 0) for one in waveforms]
        result = np.zeros((len(rows), int(steps.max()), *rows[0].shape[1:]), dtype=np.float32)
        for row, own in enumerate(rows):
            result[row, : len(own)] = own
        return np.ascontiguousarray(np.moveaxis(result, 1, self.time)), steps


def make_front(settings: GraphSettings) -> Front:
    if settings.features == "waveform":
        return Front(lambda waveforms: waveforms * np.float32(settings.scale), int, int, time=1)
    if settings.features == "nemo":
        return _of_features(
            settings,
            lambda waveforms: nemo_log_mel(waveforms * np.float32(settings.scale), bands=settings.bands),
            nemo_frames,
            lambda frames: frames * HOP,
        )
    return _of_features(
        settings,
        lambda waveforms: kaldi_fbank(
            waveforms,
            bands=settings.bands,
            window=settings.window,
            edges=settings.edges,
            scale=settings.scale,
            low=settings.low,
            high=settings.high,
        ),
        lambda samples: kaldi_frames(samples, settings.edges),
        lambda frames: kaldi_samples(frames, settings.edges),
    )


def _of_features(
    settings: GraphSettings,
    log_mel: Callable[[np.ndarray], np.ndarray],
    steps: Callable[[int], int],
    samples: Callable[[int], int],
) -> Front:
    def compute(waveforms: np.ndarray) -> np.ndarray:
        features = normalised(log_mel(waveforms), settings.normalisation)
        return np.ascontiguousarray(features.transpose(0, 2, 1) if settings.layout == "bands-frames" else features)

    return Front(compute, steps, samples, time=2 if settings.layout == "bands-frames" else 1)
