"""How far an enrolment is: what is there of the speech that a chosen error needs, and what to add."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shortvox.scoring.amount import AmountCalibration
from shortvox.verification.policy import MAX_FPR, MAX_MISS

PIECE = 3.0  # seconds of speech of one more recording: a sentence
MOST_PIECES = 10
NEARLY = 1.05  # how much worse than the best that can be reached is as good as it


@dataclass(frozen=True, slots=True)
class Plan:
    """What an enrolment is to reach: at most `max_miss` of the person's own tests of `test_seconds` are not accepted,
    where `max_fpr` of strangers are."""

    max_miss: float = MAX_MISS
    max_fpr: float = MAX_FPR
    test_seconds: float = 1.0


PLAN = Plan()


@dataclass(frozen=True, slots=True)
class State:
    percent: int
    expected_error: float
    advice: str | None


def plan_for(calibration: AmountCalibration, plan: Plan, seconds: float, recordings: int) -> State:
    """Where an enrolment of so much net speech in so many recordings stands.

    Where the error cannot be reached, the goal is what MOST_PIECES more recordings would nearly reach.
    """
    pieces = np.arange(MOST_PIECES + 1)
    errors = _errors(calibration, plan, seconds + PIECE * pieces, recordings + pieces)
    best = float(errors.min())
    more = int(np.argmax(errors <= max(plan.max_miss, NEARLY * best)))
    advice = []
    if more:
        advice.append(f"add {PIECE * more:.0f} s of speech, {_sentences(more)}")
        advice.append(
            f"{errors[0]:.0%} of tests of {plan.test_seconds:g} s would be missed now, {errors[more]:.0%} then"
        )
    if best > plan.max_miss:
        advice.append(f"no enrolment brings that below {best:.0%}, so test with more than {plan.test_seconds:g} s")
    needed = seconds + PIECE * more
    return State(round(100 * seconds / needed), float(errors[0]), "; ".join(advice) or None)


def _errors(calibration: AmountCalibration, plan: Plan, seconds: np.ndarray, recordings: np.ndarray) -> np.ndarray:
    return calibration.expected_miss(plan.max_fpr, calibration.reliability(seconds, recordings, plan.test_seconds))


def _sentences(count: int) -> str:
    return "another sentence" if count == 1 else f"{count} different sentences"
