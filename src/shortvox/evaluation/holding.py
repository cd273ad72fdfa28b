"""Whether decisions keep what they promise, on speakers of whom the calibration knows nothing.

At every length of test speech: the share of strangers accepted and of true speakers missed, beside those of one cosine
for all lengths; what the likelihood ratios cost; how much more speech and more recordings of an enrolment are worth;
and how a decision made while somebody speaks compares with one after a fixed time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from shortvox.evaluation.bootstrap import interval
from shortvox.evaluation.metrics import act_dcf, cllr, eer, min_cllr, min_dcf
from shortvox.evaluation.spoken import CHUNK, TESTED, WHOLE, HeardCorpus, Trials, fair_pairs, make_trials
from shortvox.scoring.amount import AmountCalibration
from shortvox.scoring.calibration import P_TARGET
from shortvox.verification.policy import MAX_FPR, MAX_MISS

DRAWS = 1000
RATES = (0.1, 0.01)


@dataclass(frozen=True, slots=True)
class Share:
    """A share of trials with its 95 % interval over speakers."""

    value: float
    low: float
    high: float
    trials: int


class Resampled:
    """Shares of trials, with speakers drawn anew: a trial of two counts as often as both were drawn."""

    def __init__(self, speakers: int, draws: int = DRAWS, seed: int = 0) -> None:
        rng = np.random.default_rng((seed, 41))
        self._counts = rng.multinomial(speakers, np.full(speakers, 1 / speakers), size=draws).T.astype(np.float64)

    def share(self, hit: np.ndarray, first: np.ndarray, second: np.ndarray) -> Share:
        """Of trials (n,) bool between the speakers `first` and `second` (n,), which are the same in targets."""
        speakers = len(self._counts)
        place = first * speakers + second
        many, hits = (
            np.bincount(place, weight, speakers**2).reshape(speakers, speakers) for weight in (None, hit.astype(float))
        )
        if (first == second).all():
            weighted = np.diag(hits) @ self._counts, np.diag(many) @ self._counts
        else:
            weighted = self._both(hits), self._both(many)
        drawn = weighted[0] / np.where(weighted[1] > 0, weighted[1], np.nan)
        low, high = interval(drawn[np.isfinite(drawn)])
        return Share(float(hit.mean()), low, high, len(hit))

    def _both(self, table: np.ndarray) -> np.ndarray:
        return np.einsum("id,id->d", self._counts, table @ self._counts)


def holding(calibration: AmountCalibration, heard: HeardCorpus, rates: Sequence[float] = RATES) -> dict[str, Any]:
    """All tables of one corpus, by the names that `results.json` has."""
    trials = make_trials(heard)
    resampled = Resampled(len(np.unique(heard.speakers)))
    by = {(one.recordings, *one.lengths): one for one in trials}
    lengths = [length for length in (*TESTED, WHOLE) if (1, WHOLE, length) in by]
    return {
        "speakers": len(np.unique(heard.speakers)),
        "utterances": len(heard.speakers),
        "lengths": [_length(calibration, by[1, WHOLE, length], resampled, rates) for length in lengths],
        "grid": [
            _cell(calibration, one, resampled)
            for one in trials
            if one.recordings == 1 or one.lengths[0] in (1.0, WHOLE)
        ],
        "stream": [_stream(calibration, heard, resampled, rate, MAX_MISS) for rate in rates] if heard.chunks else [],
    }


def _length(
    calibration: AmountCalibration, trials: Trials, resampled: Resampled, rates: Sequence[float]
) -> dict[str, Any]:
    label, score = trials.label, trials.score
    reliability = calibration.reliability(trials.enrolled, trials.recordings, trials.tested)
    llr = calibration.llr(score, reliability)
    full = calibration.reliability(float(np.median(trials.enrolled)), 1, float(np.median(trials.enrolled)))
    promised = []
    for rate in rates:
        line, one = calibration.accept(rate, reliability), calibration.accept(rate, full)
        promised.append(
            {
                "max_fpr": rate,
                "false_alarms": asdict(_of(trials, score >= line, False, resampled)),
                "misses": asdict(_of(trials, score < line, True, resampled)),
                "expected_misses": float(calibration.expected_miss(rate, reliability[label]).mean()),
                "one_cosine": {
                    "false_alarms": asdict(_of(trials, score >= one, False, resampled)),
                    "misses": asdict(_of(trials, score < one, True, resampled)),
                },
            }
        )
    rejected = score < calibration.reject(MAX_MISS, reliability)
    return {
        "seconds": trials.lengths[1] or "full",
        "median_seconds": float(np.median(trials.tested)),
        "rates": promised,
        "rejected": {"max_miss": MAX_MISS, "misses": asdict(_of(trials, rejected, True, resampled))},
        "eer": eer(score, label),
        "cllr": cllr(llr, label),
        "min_cllr": min_cllr(score, label),
        "act_dcf": act_dcf(llr, label, P_TARGET),
        "min_dcf": min_dcf(score, label, P_TARGET),
    }


def _of(trials: Trials, hit: np.ndarray, label: bool, resampled: Resampled) -> Share:
    chosen = trials.label == label
    return resampled.share(hit[chosen], trials.first[chosen], trials.second[chosen])


def _cell(calibration: AmountCalibration, trials: Trials, resampled: Resampled) -> dict[str, Any]:
    reliability = calibration.reliability(trials.enrolled, trials.recordings, trials.tested)
    missed = trials.score < calibration.accept(MAX_FPR, reliability)
    enrolled, tested = trials.lengths
    return {
        "recordings": trials.recordings,
        "enrolled": enrolled or "full",
        "tested": tested or "full",
        "eer": eer(trials.score, trials.label),
        "misses": asdict(_of(trials, missed, True, resampled)),
        "expected_misses": float(calibration.expected_miss(MAX_FPR, reliability[trials.label]).mean()),
    }


@dataclass(frozen=True, eq=False)
class _Paths:
    """Trials (n,) with their looks: rates of false alarms and misses, (looks, n), and sums of chunks' LLRs."""

    label: np.ndarray
    first: np.ndarray
    second: np.ndarray
    seconds: tuple[float, ...]
    accepted: np.ndarray
    missed: np.ndarray
    llr: np.ndarray
    summed: np.ndarray


def _stream(
    calibration: AmountCalibration, heard: HeardCorpus, resampled: Resampled, max_fpr: float, max_miss: float
) -> dict[str, Any]:
    """Rates of error and mean time of ways to decide early, on recordings that last until the last look of 3 s."""
    paths = _paths(calibration, heard, 3.0)
    lines = calibration.stream_lines(max_fpr, max_miss, paths.seconds[-1])
    bounds = np.log((1 - max_miss) / max_fpr), np.log(max_miss / (1 - max_fpr))
    ways = {
        "lines for all looks together": (paths.llr >= lines[0], paths.llr < lines[1]),
        "the lines of one look, at every look": (paths.accepted <= max_fpr, paths.missed <= max_miss),
        "Wald's bounds, LLR of all that was heard": (paths.llr >= bounds[0], paths.llr <= bounds[1]),
        "Wald's bounds, LLRs of pieces of 0.5 s added": (paths.summed >= bounds[0], paths.summed <= bounds[1]),
    }
    found = [_way(paths, resampled, name, *decided) for name, decided in ways.items()]
    for place, seconds in enumerate(paths.seconds):
        never = np.zeros_like(paths.accepted, dtype=bool)
        accept, reject = never.copy(), never.copy()
        accept[place], reject[place] = paths.accepted[place] <= max_fpr, paths.missed[place] <= max_miss
        found.append(_way(paths, resampled, f"one look at {seconds:g} s", accept, reject, fixed=seconds))
    return {"max_fpr": max_fpr, "max_miss": max_miss, "give_up_after": paths.seconds[-1], "ways": found}


def _way(
    paths: _Paths, resampled: Resampled, name: str, accept: np.ndarray, reject: np.ndarray, fixed: float | None = None
) -> dict[str, Any]:
    decided = accept | reject
    first = np.where(decided.any(axis=0), decided.argmax(axis=0), len(paths.seconds) - 1)
    across = np.arange(decided.shape[1])
    same = accept[first, across]  # where both lines are passed at one look, accepting goes first, as in a decision
    different = reject[first, across] & ~same
    time = np.full(len(across), fixed) if fixed else np.array(paths.seconds)[first]

    def of(hit: np.ndarray, label: bool) -> dict[str, Any]:
        chosen = paths.label == label
        return asdict(resampled.share(hit[chosen], paths.first[chosen], paths.second[chosen]))

    return {
        "name": name,
        "false_alarms": of(same, False),
        "misses": of(different, True),
        "accepted": of(same, True),
        "undecided": {
            side: float((~same & ~different)[paths.label == label].mean())
            for side, label in (("target", True), ("nontarget", False))
        },
        "mean_seconds": {
            side: float(time[paths.label == label].mean()) for side, label in (("target", True), ("nontarget", False))
        },
    }


def _paths(calibration: AmountCalibration, heard: HeardCorpus, longest: float) -> _Paths:
    looks = tuple(sorted(one for one in heard.beginnings if one <= longest))
    enrolled = heard.crops[WHOLE].astype(np.float64)
    same, fair = fair_pairs(heard, np.arange(len(enrolled))[:, None])
    fair = fair & ~np.isnan(heard.beginnings[looks[-1]]).any(axis=1)
    row, column = np.nonzero(fair)
    _, numbers = np.unique(heard.speakers, return_inverse=True)

    def of(tests: np.ndarray) -> np.ndarray:
        return (enrolled @ tests.astype(np.float64).T)[row, column]

    accepted, missed, llr = [], [], []
    for length in looks:
        reliability = calibration.reliability(heard.seconds[row], 1, length)
        score = of(heard.beginnings[length])
        accepted.append(calibration.false_alarms(score, reliability))
        missed.append(calibration.misses(score, reliability))
        llr.append(calibration.llr(score, reliability))
    chunk = calibration.reliability(heard.seconds[row], 1, CHUNK)
    pieces = {start: calibration.llr(of(tests), chunk) for start, tests in heard.chunks.items() if start < longest}
    summed = [sum(llrs for start, llrs in pieces.items() if start + CHUNK <= length + 1e-9) for length in looks]
    return _Paths(
        same[row, column],
        numbers[row],
        numbers[column],
        looks,
        *(np.stack(rows) for rows in (accepted, missed, llr, summed)),
    )
