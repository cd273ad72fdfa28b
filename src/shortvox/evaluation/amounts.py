"""Fits what a cosine means for so much speech (`scoring/amount.py`), on speakers that no test has.

Each combination of amounts (`spoken.py`) counts the same, however many trials it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from shortvox.corpora.speech import SpeechData
from shortvox.encoders.encoder import Encoder
from shortvox.errors import ScoreError
from shortvox.evaluation.spoken import WHOLE, HeardCorpus, Trials, fair_pairs, hear, make_trials
from shortvox.progress import note
from shortvox.scoring.amount import AmountCalibration, Look, Spread, Tail
from shortvox.scoring.calibration import P_TARGET
from shortvox.verification.detectors import DETECTOR
from shortvox.verification.stream import LOOKS

SHARES = (0.999, 0.995, 0.99, 0.95, 0.9, 0.8, 0.65, 0.5, 0.35, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
RATES = (0.3, 0.1, 0.03, 0.01, 0.003)


def calibrate_amounts(encoder: Encoder, corpora: Sequence[SpeechData]) -> dict[str, Any]:
    """What `calibration.json` has besides maps for fixed lengths: `amounts`, and the detector they were heard with.

    Of several corpora only speakers of one are strangers to each other: those of two are too easily told apart. Where
    there is too little speech for it, a line on stderr says so, and nothing is added.
    """
    try:
        heard = [hear(encoder.embed, data, encoder.shortest) for data in corpora]
        amounts = fit_amounts([trials for one in heard for trials in make_trials(one)], heard)
    except ScoreError as error:
        note(f"{encoder.source}: {error}; `verify` and others that decide will not take this calibration")
        return {}
    names = [f"{data.corpus.name}: {len(data.corpus.speakers)} speakers" for data in corpora]
    return {"amounts": amounts.to_json(), "amounts_fitted_on": names, "detector": DETECTOR}


def fit_amounts(combinations: Sequence[Trials], beginnings: Sequence[HeardCorpus] = ()) -> AmountCalibration:
    """The calibration that fits all combinations; those of several corpora are put in one list.

    Raises ScoreError where there are too few.
    """
    if len({(one.recordings, *np.round((one.tested[0], one.enrolled[0]), 3)) for one in combinations}) < 8:
        raise ScoreError(
            "too few combinations of lengths with trials to calibrate by amount of speech; give speakers with two or "
            "more recordings of at least 2 s"
        )
    score = np.concatenate([one.score for one in combinations])
    label = np.concatenate([one.label for one in combinations])
    enrolled = np.concatenate([one.enrolled for one in combinations])
    tested = np.concatenate([one.tested for one in combinations])
    several = np.concatenate([np.full(len(one.score), one.recordings) for one in combinations])
    mass = np.concatenate([_mass(one.label) for one in combinations])
    longest = float(enrolled.max())
    half, power, session = _fit_reliability(score, enrolled, several, tested, np.where(label, mass, 0))
    reliability = np.sqrt(_share(enrolled, several, half, power, session) * _share(tested, 1, half, power, session))
    target = _fit_spread(score[label], reliability[label], mass[label])
    nontarget = _fit_spread(score[~label], reliability[~label], mass[~label])
    fitted = AmountCalibration(
        float(tested.min()),
        longest,
        int(several.max()),
        half,
        power,
        session,
        *_fit_llr(score, label, reliability, mass),
        target,
        nontarget,
        missed=_fit_tail(target.standard(score[label], reliability[label]), mass[label]),
        accepted=_fit_tail(nontarget.standard(score[~label], reliability[~label]), mass[~label]),
    )
    return _with_looks(fitted, beginnings) if beginnings else fitted


def _mass(label: np.ndarray) -> np.ndarray:
    """Every side of every combination weighs 1."""
    return np.where(label, 1 / max(label.sum(), 1), 1 / max((~label).sum(), 1))


def _share(seconds: np.ndarray, several: np.ndarray | int, half: float, power: float, session: float) -> np.ndarray:
    return 1 / (1 + (half / seconds) ** power + session / several)


def _fit_reliability(
    score: np.ndarray, enrolled: np.ndarray, several: np.ndarray, tested: np.ndarray, mass: np.ndarray
) -> tuple[float, float, float]:
    """Least squares of one speaker's cosines on a line in reliability: what makes reliability."""
    from scipy.optimize import least_squares

    at = mass > 0
    root = np.sqrt(mass[at])

    def residuals(values: np.ndarray) -> np.ndarray:
        half, power, session, mean, rise = values
        reliability = np.sqrt(
            _share(enrolled[at], several[at], half, power, session) * _share(tested[at], 1, half, power, session)
        )
        return root * (score[at] - mean - rise * reliability)

    found = least_squares(
        residuals,
        (0.5, 1.0, 0.2, 0.0, 1.0),
        bounds=((0.01, 0.3, 0, -1, 0), (20, 3, 5, 1, 4)),
        x_scale=(0.5, 1, 0.2, 0.2, 1),
    )
    half, power, session = found.x[:3]
    return float(half), float(power), float(session)


def _fit_spread(score: np.ndarray, reliability: np.ndarray, mass: np.ndarray) -> Spread:
    """Least squares for the mean, then the most likely variance of what is left, were it normal."""
    from scipy.optimize import lsq_linear, minimize

    root = np.sqrt(mass)
    line = np.stack([np.ones_like(reliability), reliability], axis=1)
    mean, rise = lsq_linear(line * root[:, None], score * root, bounds=((-np.inf, 0), np.inf)).x
    left = np.square(score - mean - rise * reliability)
    powers = np.stack([np.ones_like(reliability), reliability, np.square(reliability)], axis=1)
    weight = mass / mass.sum()

    def cost(factors: np.ndarray) -> tuple[float, np.ndarray]:
        logarithm = powers @ factors
        scaled = left * np.exp(-logarithm)
        return float(weight @ (logarithm + scaled)), (weight * (1 - scaled)) @ powers

    start = (float(np.log(weight @ left)), 0.0, 0.0)
    found = minimize(cost, start, jac=True, bounds=((-30, 30),) * 3, method="L-BFGS-B").x
    return Spread(float(mean), float(rise), (float(found[0]), float(found[1]), float(found[2])))


def _fit_llr(
    score: np.ndarray, label: np.ndarray, reliability: np.ndarray, mass: np.ndarray
) -> tuple[float, float, float, float]:
    """Prior-weighted logistic regression, as `fit_calibration`'s; slope and even point rise with reliability."""
    from scipy.optimize import minimize

    prior = np.log(P_TARGET / (1 - P_TARGET))
    sign = np.where(label, 1.0, -1.0)
    weight = mass * np.where(label, P_TARGET, 1 - P_TARGET)
    weight = weight / weight.sum()
    log_reliability = np.log(reliability)

    def cost(values: np.ndarray) -> tuple[float, np.ndarray]:
        log_slope, power, even, rise = values
        slope = np.exp(log_slope + power * log_reliability)
        away = score - even - rise * reliability
        margin = sign * (slope * away + prior)
        pull = -weight * sign * np.exp(-np.logaddexp(0, margin))
        gradient = [pull @ (slope * away), pull @ (slope * away * log_reliability), -pull @ slope]
        return float(weight @ np.logaddexp(0, -margin)), np.array([*gradient, -pull @ (slope * reliability)])

    bounds = ((-3, 8), (0, 6), (-1.5, 1.5), (0, 3))
    log_slope, power, even, rise = minimize(cost, (3.0, 0.5, 0.0, 0.5), jac=True, bounds=bounds, method="L-BFGS-B").x
    return float(np.exp(log_slope)), float(power), float(even), float(rise)


def _fit_tail(standard: np.ndarray, mass: np.ndarray) -> Tail:
    """Shares of the class above its own quantiles, as far as there are some trials beyond."""
    order = np.argsort(-standard, kind="stable")
    above = np.cumsum(mass[order]) / mass.sum()
    count = len(standard)
    shares = [one for one in SHARES if min(one, 1 - one) * count >= 5]
    points = [float(standard[order][min(int(np.searchsorted(above, one)), count - 1)]) for one in shares]
    kept = [0]
    for place in range(1, len(points)):
        if points[place] > points[kept[-1]]:
            kept.append(place)
    return Tail(tuple(points[place] for place in kept), tuple(shares[place] for place in kept))


def _with_looks(fitted: AmountCalibration, corpora: Sequence[HeardCorpus]) -> AmountCalibration:
    """With `looks`: the LLRs that shares of strangers reach, and shares of true speakers fall to, at any look."""
    looks: list[Look] = []
    looks_missed: list[Look] = []
    for last in LOOKS:
        found = [extremes(fitted, one, last) for one in corpora]
        lowest, highest = (np.concatenate(side) for side in zip(*found, strict=True))
        looks += [(last, rate, float(np.quantile(highest, 1 - rate))) for rate in _measured(highest)]
        looks_missed += [(last, rate, float(np.quantile(lowest, rate))) for rate in _measured(lowest)]
    return replace(fitted, looks=tuple(looks), looks_missed=tuple(looks_missed))


def _measured(trials: np.ndarray) -> list[float]:
    return [rate for rate in RATES if rate * len(trials) >= 20]


def extremes(calibration: AmountCalibration, heard: HeardCorpus, last: float) -> tuple[np.ndarray, np.ndarray]:
    """Of all looks until `last` at a growing test against a whole enrolment: the lowest LLR of each target trial
    (targets,) and the highest of each other one (non-targets,), of recordings that last as long.
    """
    enrolled = heard.crops[WHOLE].astype(np.float64)
    lasting = np.zeros(len(enrolled), bool)
    if last in heard.beginnings:
        lasting = ~np.isnan(heard.beginnings[last]).any(axis=1)
    same, fair = (table[:, lasting] for table in fair_pairs(heard, np.arange(len(enrolled))[:, None]))
    lowest, highest = np.full(same.shape, np.inf), np.full(same.shape, -np.inf)
    for length in (one for one in heard.beginnings if one <= last):
        score = enrolled @ heard.beginnings[length][lasting].astype(np.float64).T
        llr = calibration.llr(score, calibration.reliability(heard.seconds[:, None], 1, length))
        lowest, highest = np.minimum(lowest, llr), np.maximum(highest, llr)
    return lowest[fair & same], highest[fair & ~same]
