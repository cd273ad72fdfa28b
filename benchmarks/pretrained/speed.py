"""Milliseconds that one second of speech takes each encoder on one thread, through its own runtime."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from shortvox.encoders.encoder import SAME, Encoder
from shortvox.errors import EncoderError


def speeds(
    encoders: Mapping[str, Encoder], known: Mapping[str, Encoder], second: np.ndarray, rounds: int
) -> dict[str, Any]:
    """By encoder, `milliseconds`, best of `rounds` that take turns, and `runtime`.

    Processor time is counted, which on one thread is the time on an idle machine; other work does not add to it.
    `known` are the same encoders with what they gave in the tests: the answer that is timed has to be the one that the
    error rates are of. Raises EncoderError where it is not.
    """
    for name, encoder in encoders.items():
        (now,), (before,) = encoder.embed([second]), known[name].embed([second])
        if not (cosine := float(now @ before)) >= SAME:
            raise EncoderError(f"{name}: gives another embedding than in the tests (cosine {cosine:.3f}); empty --out")
    best = dict.fromkeys(encoders, float("inf"))
    for _ in range(rounds):
        for name, encoder in encoders.items():
            start = time.process_time()
            encoder.run([second])
            best[name] = min(best[name], time.process_time() - start)
    return {
        name: {"milliseconds": 1000 * best[name], "runtime": _runtime(encoder)} for name, encoder in encoders.items()
    }


def _runtime(encoder: Encoder) -> str:
    return "torch" if encoder.kind in ("model folder", "Python factory") else "onnxruntime"
