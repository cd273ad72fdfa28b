"""What a comparison ends with. Three outcomes, which are not two."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NoReturn


class Outcome(StrEnum):
    """One speaker, two, or not enough speech to say."""

    SAME = "SAME"
    DIFFERENT = "DIFFERENT"
    TOO_LITTLE_SPEECH = "TOO_LITTLE_SPEECH"


class _NoTruth:
    """A value with more outcomes than true and false."""

    def __bool__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is neither true nor false: look at its outcome or reason")


@dataclass(frozen=True, slots=True)
class Refusal(_NoTruth):
    """Why recordings were not taken: a `reason` of one word for programs, in `text` for people, and what to do.

    `recordings` are the positions (from 0) of those that are meant.
    """

    reason: str
    text: str
    advice: str
    net_speech: float
    recordings: tuple[int, ...] = ()

    @property
    def outcome(self) -> Outcome:
        return Outcome.TOO_LITTLE_SPEECH

    def as_dict(self) -> dict[str, Any]:
        return {"outcome": str(self.outcome), **asdict(self), "recordings": list(self.recordings)}


@dataclass(frozen=True, slots=True)
class Decision(_NoTruth):
    """One voice against one voiceprint, with all figures for so much speech as was heard.

    `outcome` with its `reason` (one word; `undecided` where so little speech cannot keep both error rates) and
    `advice`. `llr` is the natural logarithm of how many times likelier the recordings are under one speaker than under
    two, `probability` that of one speaker where it was `prior` before, `score` the raw cosine; all three are None where
    nothing could be compared. From `accept` (llr) on it is SAME, below `reject` DIFFERENT. `expected_error` is the
    share of true speakers that are not accepted at this amount of speech, `needed_seconds` the net speech of a test
    with which both error rates hold, None where no length is enough. Seconds are net speech.
    """

    outcome: Outcome
    reason: str | None
    advice: str | None
    llr: float | None
    probability: float | None
    score: float | None
    prior: float
    accept: float | None
    reject: float | None
    net_speech: float
    enrolled_speech: float
    needed_seconds: float | None
    expected_error: float | None
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Everything under the same names, for JSON."""
        return {**asdict(self), "outcome": str(self.outcome), "warnings": list(self.warnings)}
