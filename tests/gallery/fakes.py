"""A verifier whose ears are tables of numbers: a recording is its embedding, the rest is arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shortvox.verification.decision import Decision, Outcome, Refusal
from shortvox.verification.space import Space
from shortvox.verification.voiceprint import Voiceprint

DIM = 16
ROOM = Space("encoder 1", "detector 1", "calibration 1")
QUIET = Refusal("silence", "nothing is said", "speak", 0.0)


@dataclass(frozen=True)
class FakeHeard:
    embedding: np.ndarray
    net_speech: float = 2.0
    warnings: tuple[str, ...] = ()


class FakeVerifier:
    """A recording is (dim,) float32 of any length above zero, or of many samples, whose mean over blocks it is then."""

    def __init__(self, space: Space = ROOM) -> None:
        self.space = space

    def voiceprint(self, embeddings: np.ndarray, seconds: Sequence[float]) -> Voiceprint:
        percent = min(100, round(10 * sum(seconds)))
        return Voiceprint(self.space, np.asarray(embeddings, np.float32), tuple(seconds), percent, 0.1)

    def hear(self, recording: np.ndarray) -> FakeHeard | Refusal:
        if not np.abs(recording).max():
            return QUIET
        return FakeHeard(unit(np.asarray(recording)[:DIM]))

    def enrol(self, recordings: Sequence[np.ndarray]) -> Voiceprint | Refusal:
        heard = [self.hear(each) for each in recordings]
        if refused := [each for each in heard if isinstance(each, Refusal)]:
            return refused[0]
        return self.voiceprint(np.stack([each.embedding for each in heard]), [2.0] * len(heard))  # type: ignore[union-attr]

    def llr(self, cosine: Any, enrolled: Any, recordings: Any, test: float) -> np.ndarray:
        """More speech makes the same cosine less of a surprise."""
        return np.asarray(20.0 * cosine - 10.0 - 0.1 * np.log(enrolled) - 0.01 * recordings, np.float64)

    def decide(
        self, voiceprint: Voiceprint, heard: FakeHeard | Refusal, *, max_fpr: float = 0.01, comparisons: int = 1
    ) -> Decision:
        if isinstance(heard, Refusal):
            told = (heard.outcome, heard.reason, heard.advice, None, None, None, 0.5, None, None)
            return Decision(*told, 0.0, 1.0, None, None)
        score = float(voiceprint.centre.astype(np.float64) @ heard.embedding.astype(np.float64))
        speech = voiceprint.net_speech
        llr = float(self.llr(score, speech, len(voiceprint.seconds), heard.net_speech))
        accept = float(-np.log(max_fpr / comparisons))
        outcome = Outcome.SAME if llr >= accept else Outcome.DIFFERENT
        figures = (llr, 0.5, score, 0.5, accept, accept, heard.net_speech, speech, 1.0, 0.1)
        return Decision(outcome, None, None, *figures)


def unit(vector: np.ndarray) -> np.ndarray:
    return (vector / np.linalg.norm(vector.astype(np.float64))).astype(np.float32)


def person(seed: int) -> np.ndarray:
    """(dim,) float32 of unit length."""
    return unit(np.random.default_rng((seed, 5)).standard_normal(DIM))


def voice_of(seed: int, seconds: Sequence[float] = (3.0,), space: Space = ROOM) -> Voiceprint:
    """A person's voiceprint: a recording for each of `seconds`, each a little different."""
    rng = np.random.default_rng((seed, 6))
    rows = [unit(person(seed) + 0.05 * rng.standard_normal(DIM)) for _ in seconds]
    return FakeVerifier(space).voiceprint(np.stack(rows), seconds)
