"""Where the lines between SAME and DIFFERENT are drawn, for so much speech."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from shortvox.errors import ConfigError
from shortvox.scoring.amount import AmountCalibration
from shortvox.verification.decision import Decision, Outcome

MAX_FPR = 0.01
MAX_MISS = 0.1
PRIOR = 0.5


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a score rests on: `enrolled` and `tested` seconds of speech, and that it is the highest `among` so many."""

    enrolled: float
    recordings: int
    tested: float
    among: int = 1

    def reliability(self, calibration: AmountCalibration, tested: np.ndarray | None = None) -> np.ndarray:
        """Of this comparison, or with other amounts `tested`."""
        return calibration.reliability(self.enrolled, self.recordings, self.tested if tested is None else tested)


class Policy(Protocol):
    @property
    def prior(self) -> float: ...

    def decide(self, calibration: AmountCalibration, score: float, comparison: Comparison) -> Decision: ...

    def needed(self, calibration: AmountCalibration, comparison: Comparison) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Rates:
    """At most the share `max_fpr` of strangers is accepted, at most the share `max_miss` of true speakers rejected.

    Nobody is accepted against the evidence: where long speech keeps `max_fpr` even below a likelihood ratio of one,
    that is the line. `prior` only turns likelihood ratios into probabilities.
    """

    max_fpr: float = MAX_FPR
    max_miss: float = MAX_MISS
    prior: float = PRIOR

    def __post_init__(self) -> None:
        _refuse_no_probability(max_fpr=self.max_fpr, max_miss=self.max_miss, prior=self.prior)

    def decide(self, calibration: AmountCalibration, score: float, comparison: Comparison) -> Decision:
        rate = shared_rate(self.max_fpr, comparison.among)
        reliability = comparison.reliability(calibration)
        accept = float(_accept(calibration, rate, reliability))
        reject = min(float(calibration.reject(self.max_miss, reliability)), accept)
        needed = self.needed(calibration, comparison)
        if score >= accept:
            outcome, reason, advice = Outcome.SAME, None, None
        elif score < reject:
            outcome, reason, advice = Outcome.DIFFERENT, None, None
        else:
            outcome, reason = Outcome.TOO_LITTLE_SPEECH, "undecided"
            advice = _more_speech(needed, comparison.tested)
        return _decision(
            comparison,
            score,
            float(calibration.llr(score, reliability)),
            (outcome, reason, advice),
            self.prior,
            (float(calibration.llr(accept, reliability)), float(calibration.llr(reject, reliability))),
            needed,
            float(calibration.misses(accept, reliability)),
        )

    def needed(self, calibration: AmountCalibration, comparison: Comparison) -> float | None:
        """Seconds of a test for which one line keeps both rates; None where no length is enough."""
        rate = shared_rate(self.max_fpr, comparison.among)

        def holds(seconds: np.ndarray) -> np.ndarray:
            reliability = comparison.reliability(calibration, seconds)
            return _accept(calibration, rate, reliability) <= calibration.reject(self.max_miss, reliability)

        return calibration.enough(holds)


@dataclass(frozen=True, slots=True)
class Costs:
    """What costs least on average, where a true speaker comes with probability `prior`: one line, no middle."""

    miss: float = 1.0
    false_alarm: float = 1.0
    prior: float = PRIOR

    def __post_init__(self) -> None:
        _refuse_no_probability(prior=self.prior)
        if not all(0 < cost < math.inf for cost in (self.miss, self.false_alarm)):
            raise ConfigError(f"costs {self.miss:g} and {self.false_alarm:g}: expected numbers above 0")

    @property
    def line(self) -> float:
        """The natural-log LLR from which SAME costs less."""
        return math.log(self.false_alarm) - math.log(self.miss) + math.log1p(-self.prior) - math.log(self.prior)

    def decide(self, calibration: AmountCalibration, score: float, comparison: Comparison) -> Decision:
        reliability = comparison.reliability(calibration)
        line = self.line + math.log(comparison.among)  # strangers come as often as there are others to be taken for
        llr = float(calibration.llr(score, reliability))
        return _decision(
            comparison,
            score,
            llr,
            (Outcome.SAME if llr >= line else Outcome.DIFFERENT, None, None),
            self.prior,
            (line, line),
            None,
            float(calibration.misses(calibration.score(line, reliability), reliability)),
        )

    def needed(self, calibration: AmountCalibration, comparison: Comparison) -> float | None:
        """None: costs name no rate that could be kept or not."""
        return None


@dataclass(frozen=True, slots=True)
class Lines:
    """Two likelihood ratios, natural logarithms, as a stream has them; what lies between is not decided."""

    accept: float
    reject: float
    max_miss: float
    prior: float = PRIOR

    def decide(self, calibration: AmountCalibration, score: float, comparison: Comparison) -> Decision:
        reliability = comparison.reliability(calibration)
        llr = float(calibration.llr(score, reliability))
        needed = self.needed(calibration, comparison)
        told: tuple[Outcome, str | None, str | None] = (Outcome.TOO_LITTLE_SPEECH, "undecided", "keep speaking")
        if llr >= self.accept:
            told = (Outcome.SAME, None, None)
        elif llr < self.reject:
            told = (Outcome.DIFFERENT, None, None)
        missed = float(calibration.misses(calibration.score(self.accept, reliability), reliability))
        return _decision(comparison, score, llr, told, self.prior, (self.accept, self.reject), needed, missed)

    def needed(self, calibration: AmountCalibration, comparison: Comparison) -> float | None:
        """Seconds after which all but `max_miss` of true speakers are accepted."""

        def holds(seconds: np.ndarray) -> np.ndarray:
            reliability = comparison.reliability(calibration, seconds)
            return calibration.misses(calibration.score(self.accept, reliability), reliability) <= self.max_miss

        return calibration.enough(holds)


def _accept(calibration: AmountCalibration, rate: float, reliability: np.ndarray) -> np.ndarray:
    return np.maximum(calibration.accept(rate, reliability), calibration.score(0.0, reliability))


def shared_rate(max_fpr: float, comparisons: int) -> float:
    """The false-alarm rate of each of several comparisons that together keep `max_fpr`."""
    return -math.expm1(math.log1p(-max_fpr) / comparisons)


def probability_of(llr: float, prior: float) -> float:
    """Of one speaker, after a likelihood ratio and where it was `prior` before."""
    return float(np.exp(-np.logaddexp(0, -(llr + math.log(prior) - math.log1p(-prior)))))


def _decision(
    comparison: Comparison,
    score: float,
    llr: float,
    told: tuple[Outcome, str | None, str | None],
    prior: float,
    lines: tuple[float, float],
    needed: float | None,
    expected_error: float,
) -> Decision:
    return Decision(
        *told,
        llr,
        probability_of(llr, prior),
        score,
        prior,
        *lines,
        comparison.tested,
        comparison.enrolled,
        needed,
        expected_error,
    )


def _more_speech(needed: float | None, tested: float) -> str:
    if needed is None:
        return "this much enrolled speech cannot keep both error rates at any length; enrol more, or allow more errors"
    return f"say more: {max(needed - tested, 0.1):.1f} s more speech decides in most cases"


def _refuse_no_probability(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < 1:
            raise ConfigError(f"{name} {value:g}: expected a probability above 0 and below 1")
