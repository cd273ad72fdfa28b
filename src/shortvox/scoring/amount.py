"""What a cosine means for so much speech: likelihood ratio and error rates as functions of the amount heard.

One number, the `reliability` of a comparison, sums up how many seconds of net speech either side has and in how many
recordings the enrolled side came. It rises with each of them, without steps, towards 1. An embedding of little speech
is the speaker plus noise that goes down with speech, and with recordings; the expected cosine of one speaker is the
geometric mean of both sides' shares of the speaker. Every other figure is a function of cosine and reliability:

- the likelihood ratio, affine in the cosine: its slope and the cosine at which it is even never fall with reliability;
- how far a cosine stands from what strangers, and the same person, score at this reliability, in standard deviations,
  and from that the share of either beyond it.

Fitted by `evaluation/amounts.py`; here it is applied, with numpy alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from shortvox.errors import ScoreError

Numbers = np.ndarray | float
Look = tuple[float, float, float]  # seconds of the last look, share, LLR
_GRID = 120  # amounts that `enough` tries
_CHECKED = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Spread:
    """Cosines of one class: their mean is a line in reliability, the logarithm of their variance a parabola."""

    __pydantic_config__: ClassVar[ConfigDict] = _CHECKED

    mean: float
    rise: float
    log_variance: tuple[float, float, float]  # factors of 1, reliability and its square

    def standard(self, score: Numbers, reliability: Numbers) -> np.ndarray:
        """How many standard deviations a score lies above the mean."""
        return (np.asarray(score, np.float64) - self._mean(reliability)) / self._deviation(reliability)

    def score(self, standard: Numbers, reliability: Numbers) -> np.ndarray:
        """The inverse of `standard`."""
        return self._mean(reliability) + np.asarray(standard, np.float64) * self._deviation(reliability)

    def _mean(self, reliability: Numbers) -> np.ndarray:
        return self.mean + self.rise * np.asarray(reliability, np.float64)

    def _deviation(self, reliability: Numbers) -> np.ndarray:
        constant, line, square = self.log_variance
        at = np.asarray(reliability, np.float64)
        return np.exp((constant + line * at + square * at**2) / 2)


@dataclass(frozen=True)
class Tail:
    """The share of a class above a standardised score: `shares` falling, at `points` rising.

    Between the points the logarithm of the odds is linear; beyond them it bends as that of a normal distribution does,
    from the slope of the outermost piece on.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CHECKED

    points: tuple[float, ...]
    shares: tuple[float, ...]

    def share(self, standard: Numbers) -> np.ndarray:
        """Share above, in (0, 1), strictly falling."""
        at, points, odds = np.asarray(standard, np.float64), np.array(self.points), self._odds
        beyond, before = np.maximum(at - points[-1], 0), np.maximum(points[0] - at, 0)
        found = np.interp(at, points, odds) - self._steep[1] * beyond - beyond**2 / 2
        return _sigmoid(found + self._steep[0] * before + before**2 / 2)

    def point(self, share: Numbers) -> np.ndarray:
        """The inverse of `share`."""
        at, points, odds = _logit(share), np.array(self.points), self._odds
        beyond, before = np.maximum(odds[-1] - at, 0), np.maximum(at - odds[0], 0)
        found = np.interp(-at, -odds, points)
        return found + _bent(beyond, self._steep[1]) - _bent(before, self._steep[0])

    @cached_property
    def _steep(self) -> tuple[float, float]:
        """How fast the odds fall in the first and in the last piece."""
        falls = -np.diff(self._odds) / np.diff(self.points)
        return float(falls[0]), float(falls[-1])

    def _sound(self) -> bool:
        points, shares = np.array(self.points), np.array(self.shares)
        ordered = (np.diff(points) > 0).all() and (np.diff(shares) < 0).all()
        return len(points) == len(shares) > 1 and bool(ordered) and shares[0] < 1 and shares[-1] > 0

    @cached_property
    def _odds(self) -> np.ndarray:
        return _logit(np.array(self.shares))


@dataclass(frozen=True)
class AmountCalibration:
    """See the module. `shortest` and `longest` are the seconds, `recordings` the most enrolments it was fitted for.

    `looks` has, for the seconds of the last look at a growing recording and shares of strangers, the LLR that so many
    reach at any of the looks; `looks_missed`, for shares of true speakers, the LLR that so many fall to at any.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CHECKED

    shortest: float
    longest: float
    recordings: int
    half: float  # seconds of speech that are half speaker, half noise
    power: float
    session: float  # noise that one more recording halves, and more of the same recording does not
    slope: float
    slope_power: float
    even: float
    even_rise: float
    target: Spread
    nontarget: Spread
    missed: Tail
    accepted: Tail
    looks: tuple[Look, ...] = ()
    looks_missed: tuple[Look, ...] = ()

    def share_of_speaker(self, seconds: Numbers, recordings: Numbers = 1) -> np.ndarray:
        """Of one side's embedding, in (0, 1). Amounts beyond what was fitted count as the nearest that was."""
        heard = np.clip(np.asarray(seconds, np.float64), self.shortest, self.longest)
        several = np.clip(np.asarray(recordings, np.float64), 1, self.recordings)
        return 1 / (1 + (self.half / heard) ** self.power + self.session / several)

    def reliability(self, enrolled: Numbers, recordings: Numbers, tested: Numbers) -> np.ndarray:
        """Of a comparison between `recordings` with `enrolled` seconds together and `tested` seconds, in (0, 1)."""
        return np.sqrt(self.share_of_speaker(enrolled, recordings) * self.share_of_speaker(tested))

    def llr(self, score: Numbers, reliability: Numbers) -> np.ndarray:
        """Natural-log likelihood ratios of cosines."""
        return self._slope(reliability) * (np.asarray(score, np.float64) - self._even(reliability))

    def score(self, llr: Numbers, reliability: Numbers) -> np.ndarray:
        """The inverse of `llr`."""
        return np.asarray(llr, np.float64) / self._slope(reliability) + self._even(reliability)

    def false_alarms(self, score: Numbers, reliability: Numbers) -> np.ndarray:
        """Share of strangers that score higher."""
        return self.accepted.share(self.nontarget.standard(score, reliability))

    def misses(self, score: Numbers, reliability: Numbers) -> np.ndarray:
        """Share of comparisons of one person that score lower."""
        return 1 - self.missed.share(self.target.standard(score, reliability))

    def accept(self, max_fpr: Numbers, reliability: Numbers) -> np.ndarray:
        """The cosine that the share `max_fpr` of strangers exceeds."""
        return self.nontarget.score(self.accepted.point(max_fpr), reliability)

    def reject(self, max_miss: Numbers, reliability: Numbers) -> np.ndarray:
        """The cosine that the share `max_miss` of comparisons of one person does not reach."""
        return self.target.score(self.missed.point(1 - np.asarray(max_miss, np.float64)), reliability)

    def expected_miss(self, max_fpr: Numbers, reliability: Numbers) -> np.ndarray:
        """Share of true speakers that are not accepted where strangers are at the rate `max_fpr`."""
        return self.misses(self.accept(max_fpr, reliability), reliability)

    def stream_lines(self, max_fpr: float, max_miss: float, last: float) -> tuple[float, float]:
        """LLRs from which, and below which, to decide at any of several looks, the last at so many seconds.

        All looks together then accept the share `max_fpr` of strangers and reject the share `max_miss` of true
        speakers, or less: nobody is decided about against the evidence. Without `looks`, Wald's bounds.
        """
        if not (self.looks and self.looks_missed):
            return float(np.log((1 - max_miss) / max_fpr)), float(np.log(max_miss / (1 - max_fpr)))
        accept = _bound(self.looks, max_fpr, last, -1)
        return max(accept, 0.0), min(_bound(self.looks_missed, max_miss, last, 1), 0.0)

    def enough(self, holds: Callable[[np.ndarray], np.ndarray]) -> float | None:
        """The fewest seconds, on a grid from `shortest` to `longest`, for which `holds(seconds)`; None for none."""
        grid = np.geomspace(self.shortest, self.longest, _GRID)
        found = np.flatnonzero(holds(grid))
        return float(grid[found[0]]) if len(found) else None

    def _slope(self, reliability: Numbers) -> np.ndarray:
        return self.slope * np.asarray(reliability, np.float64) ** self.slope_power

    def _even(self, reliability: Numbers) -> np.ndarray:
        return self.even + self.even_rise * np.asarray(reliability, np.float64)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: object, source: str) -> AmountCalibration:
        """The inverse of `to_json`; raises ScoreError, naming `source`, for what no fit gives."""
        try:
            result = TypeAdapter(cls).validate_python(content)
        except ValidationError:
            raise ScoreError(f"{source}: `amounts` is damaged; calibrate again") from None
        if not result._sound():
            raise ScoreError(f"{source}: `amounts` has values that no fit gives; calibrate again")
        return result

    def _sound(self) -> bool:
        positive = (self.shortest, self.longest - self.shortest, self.half, self.power, self.slope, self.recordings)
        rising = (self.session, self.slope_power, self.even_rise)
        return (
            all(value > 0 for value in positive)
            and all(value >= 0 for value in (*rising, self.target.rise, self.nontarget.rise))
            and all(one._sound() for one in (self.missed, self.accepted))
            and all(0 < share < 1 for _, share, _ in (*self.looks, *self.looks_missed))
        )


def _bound(looks: tuple[Look, ...], rate: float, last: float, slope: int) -> float:
    """Between the fitted rates linear in their logarithm; beyond, an e-th of the rate moves a line by 1, as it does
    where likelihood ratios are what they say."""
    nearest = min((one[0] for one in looks), key=lambda seconds: abs(seconds - last))
    rates, lines = np.array([one[1:] for one in sorted(looks) if one[0] == nearest]).T
    inside = min(max(rate, rates[0]), rates[-1])
    return float(np.interp(np.log(inside), np.log(rates), lines) + slope * np.log(rate / inside))


def _bent(fall: np.ndarray, steep: float) -> np.ndarray:
    """How far to go where odds fall by steep * way + way² / 2."""
    return np.sqrt(steep**2 + 2 * fall) - steep


def _logit(share: Numbers) -> np.ndarray:
    return np.log(share) - np.log1p(-np.asarray(share, np.float64))


def _sigmoid(odds: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -odds))
