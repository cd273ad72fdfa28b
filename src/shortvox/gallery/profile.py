"""What is said of a voice in a gallery, and of whoever was compared with all of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shortvox.gallery.engine import Stored
from shortvox.verification.decision import Decision, Outcome, Refusal
from shortvox.verification.space import Space
from shortvox.verification.voiceprint import Voiceprint


class State(StrEnum):
    """How it stands with a voice; the first of these that is so."""

    OTHER_MODEL = "other model"  # of another space than the gallery: it is not compared
    NEVER_COMPARED = "never compared"  # it was not yet the nearest to anybody
    MATCHING = "matching"  # it was recognised
    CLOSEST_SO_FAR = "closest so far"  # it was compared, and nobody was recognised as it


@dataclass(frozen=True, slots=True)
class Profile:
    """A voice without its embeddings.

    `net_speech` in seconds. `percent`, `cohesion` and `advice` are those of its voiceprint, None without a verifier of
    its space. It was the nearest voice `compared` times and recognised `matched` times; `closest` is the highest log
    likelihood ratio so far.
    """

    name: str
    state: State
    recordings: int
    net_speech: float
    percent: int | None
    cohesion: float | None
    advice: str | None
    enrolled_at: datetime
    consent: str
    compared: int
    matched: int
    closest: float | None
    keeps_audio: bool
    space: str

    @classmethod
    def of(cls, stored: Stored, space: Space | None, voiceprint: Voiceprint | None) -> Profile:
        """`space` is that of the gallery, `voiceprint` what a verifier says of the voice."""
        return cls(
            name=stored.name,
            state=_state(stored, space),
            recordings=len(stored.seconds),
            net_speech=sum(stored.seconds),
            percent=voiceprint.percent if voiceprint else None,
            cohesion=voiceprint.cohesion if voiceprint else None,
            advice=voiceprint.advice if voiceprint else None,
            enrolled_at=stored.enrolled_at,
            consent=stored.consent,
            compared=stored.compared,
            matched=stored.matched,
            closest=stored.closest,
            keeps_audio=stored.keeps_audio,
            space=stored.space.key,
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything under the same names, for JSON."""
        return {**asdict(self), "state": str(self.state), "enrolled_at": self.enrolled_at.isoformat()}


def _state(stored: Stored, space: Space | None) -> State:
    if stored.space != space:
        return State.OTHER_MODEL
    if not stored.compared:
        return State.NEVER_COMPARED
    return State.MATCHING if stored.matched else State.CLOSEST_SO_FAR


@dataclass(frozen=True, slots=True)
class Candidate:
    """A voice that may be the one: the log likelihood ratio, and the cosine as it is."""

    name: str
    llr: float
    score: float


@dataclass(frozen=True, slots=True)
class Identification:
    """Who speaks: `name`, or None and the `reason` in one word (`nobody`, `empty`, or that of the refusal or decision).

    `decision` is the one about the first of `candidates`, the nearest voices by their log likelihood ratios, None where
    nothing was compared; `refusal` says why nothing could be heard. All of `voices` were compared.
    """

    name: str | None
    reason: str | None
    decision: Decision | None
    candidates: tuple[Candidate, ...] = ()
    voices: int = 0
    refusal: Refusal | None = None

    @property
    def outcome(self) -> Outcome:
        """SAME as `name`, DIFFERENT from all voices, or TOO_LITTLE_SPEECH to decide."""
        if self.refusal is not None:
            return self.refusal.outcome
        return self.decision.outcome if self.decision is not None else Outcome.DIFFERENT

    def as_dict(self) -> dict[str, Any]:
        """Everything under the same names, for JSON."""
        return {
            "outcome": str(self.outcome),
            "name": self.name,
            "reason": self.reason,
            "voices": self.voices,
            "candidates": [asdict(each) for each in self.candidates],
            "decision": self.decision.as_dict() if self.decision is not None else None,
            "refusal": self.refusal.as_dict() if self.refusal is not None else None,
        }


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """Who was enrolled anew for another space, and who was `left`: a reason by name."""

    rebuilt: tuple[str, ...]
    left: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        return {"rebuilt": list(self.rebuilt), "left": dict(self.left)}
