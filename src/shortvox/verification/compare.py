"""How alike the speakers of two sides of recordings are: a score, and what it means for so much speech."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.corpus import of_recordings
from shortvox.corpora.speech import SpeechData
from shortvox.encoders.crops import embed_whole
from shortvox.encoders.encoder import Encoder
from shortvox.errors import ConfigError
from shortvox.scoring.calibrationfile import FULL, nearest_fit

PRIOR = 0.5
FRAME_SECONDS = 0.01
ROUNDING = 0.95  # a recording of nearly the shortest length is one of that length
ALIKE = 2.0  # one side at most so many times as long as the other: both are short, as in protocol P-B


@dataclass(frozen=True)
class Comparison:
    """What was found; `llr` and `probability` are None where the encoder has no calibration.

    `score` is the cosine of the sides' embeddings, `llr` the natural logarithm of how many times likelier it is under
    one speaker than under two, `probability` that of one speaker where it was `prior` before anything was heard.
    `calibration` names the protocol and the length whose calibration was taken, for so many `seconds` on either side.
    It is `stretched` where a side is shorter than all that was calibrated: `llr` and `probability` say too much then.
    """

    score: float
    llr: float | None
    probability: float | None
    prior: float
    seconds: tuple[float, float]
    calibration: tuple[str, str] | None
    stretched: bool = False


def compare(encoder: Encoder, enrolment: Sequence[Path], test: Sequence[Path], prior: float = PRIOR) -> Comparison:
    """Recordings of one person against recordings of one person; several of a side are one, by their mean embedding.

    Raises ConfigError for a prior that is none, CorpusError for a recording that is on one side twice, AudioError for
    one that cannot be heard, and EncoderError for one that is too short.
    """
    if not 0 < prior < 1:
        raise ConfigError(f"prior {prior:g}: expected a probability above 0 and below 1")
    (mine, long), (other, short) = (_side(encoder, side) for side in (enrolment, test))
    score = float(mine @ other)
    protocol, length = calibration_of((long, short))
    fitted = nearest_fit(encoder.calibration, protocol, length)
    if fitted is None:
        return Comparison(score, None, None, prior, (long, short), None)
    nearest, fit = fitted
    llr = fit.scale * score + fit.offset
    odds = llr + math.log(prior) - math.log1p(-prior)
    probability = math.exp(-np.logaddexp(0, -odds))
    shortest, _ = nearest_fit(encoder.calibration, protocol, f"{FRAME_SECONDS}") or fitted
    stretched = shortest != FULL and min(long, short) < ROUNDING * float(shortest)
    return Comparison(score, llr, probability, prior, (long, short), (protocol, nearest), stretched)


def calibration_of(seconds: tuple[float, float]) -> tuple[str, str]:
    """Protocol and length whose trials are most like a comparison of so much speech.

    Between about equal amounts both sides count as short; otherwise the longer is a whole utterance.
    """
    shorter, longer = sorted(seconds)
    return "short-short" if longer <= ALIKE * shorter else "full-short", f"{shorter:.6g}"


def _side(encoder: Encoder, recordings: Sequence[Path]) -> tuple[np.ndarray, float]:
    """The unit-length mean embedding (dim,) of recordings, and how many seconds they have."""
    data = SpeechData.open(of_recordings(recordings))
    mean = np.concatenate([*embed_whole(encoder, data.store)]).mean(axis=0, dtype=np.float64)
    return mean / np.linalg.norm(mean), float(data.store.lengths.sum()) / SAMPLE_RATE
