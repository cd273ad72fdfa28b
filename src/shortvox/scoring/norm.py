"""Score normalisation against a cohort: S-norm, and AS-norm over each utterance's nearest cohort speakers.

A cohort speaker is never in a trial, so its scores say how high an impostor scores against this very utterance. With mu
and sd of these scores for the enrolment (e) and the test utterance (t) of a trial,

    s' = ((s - mu_e) / sd_e + (s - mu_t) / sd_t) / 2.

S-norm takes them over the whole cohort, AS-norm1 over the N cohort speakers nearest to each utterance, AS-norm2 over
the N nearest to the *other* utterance of the trial (Matejka et al., "Analysis of score normalization in multilingual
speaker recognition", 2017).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from pydantic import Field, field_validator

from shortvox.config import Need, Settings
from shortvox.registry import Registry
from shortvox.scoring.measures import blocks

MOST, SHARE, FEWEST = 300, 0.2, 10  # N is this share of the cohort, within these bounds


class NormSettings(Settings):
    """`top` is the N of AS-norm: null takes a fifth of the cohort, at most 300 and at least 10."""

    name: str = "none"
    top: int | None = Field(None, ge=2, le=1_000_000)
    floor: float = Field(1e-4, ge=1e-9, le=1, description="least standard deviation of cohort scores")
    needs_of_keys: ClassVar[Mapping[str, Need]] = {
        "top": Need("name=as-norm1 or as-norm2", lambda own: norm[own.name].needs_cohort and norm[own.name].adaptive),
        "floor": Need("name other than none", lambda own: norm[own.name].needs_cohort),
    }

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        norm[name]
        return name


@dataclass(frozen=True, eq=False)
class Side:
    """One side's utterances against the cohort, worked out once per utterance.

    `table` (utterances, cohort) holds their scores, `top` (utterances, N) who of the cohort scores highest with each.
    """

    table: np.ndarray
    top: np.ndarray
    floor: float

    @classmethod
    def of(cls, table: np.ndarray, top: int, floor: float) -> Side:
        return cls(table, np.argpartition(-table, top - 1, axis=1)[:, :top], floor)

    @cached_property
    def own(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (utterances,) over each utterance's own N."""
        return self.statistics(np.take_along_axis(self.table, self.top, axis=1))

    def statistics(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(rows, N) -> mean and population standard deviation, floored, of each row."""
        return scores.mean(axis=1), scores.std(axis=1).clip(self.floor)


Rows = tuple[np.ndarray, np.ndarray]  # of a trial's two utterances in their sides, (n,) each
Apply = Callable[[np.ndarray, Side, Side, Rows], np.ndarray]


@dataclass(frozen=True)
class ScoreNorm:
    """`apply` normalises (n,) scores; `adaptive` ones use the nearest N of the cohort, the others all of it."""

    apply: Apply
    adaptive: bool = True
    needs_cohort: bool = True

    def top(self, settings: NormSettings, cohort: int) -> int:
        """How many of a cohort of this size the statistics are over."""
        wanted = settings.top or max(FEWEST, min(MOST, int(SHARE * cohort)))
        return min(wanted, cohort) if self.adaptive else cohort


norm: Registry[ScoreNorm] = Registry("score normalisation")


def keep(scores: np.ndarray, enrol: Side, test: Side, rows: Rows) -> np.ndarray:
    return scores


def own_statistics(scores: np.ndarray, enrol: Side, test: Side, rows: Rows) -> np.ndarray:
    """Both utterances' statistics are over their own N."""
    normalised = [(scores - mean[row]) / sd[row] for (mean, sd), row in ((enrol.own, rows[0]), (test.own, rows[1]))]
    return (normalised[0] + normalised[1]) / 2


def other_statistics(scores: np.ndarray, enrol: Side, test: Side, rows: Rows) -> np.ndarray:
    """Each utterance's statistics are over the N of the other utterance: N values are gathered for every trial."""
    normalised = np.zeros(len(scores))
    for own, own_row, other, other_row in ((enrol, rows[0], test, rows[1]), (test, rows[1], enrol, rows[0])):
        for block in blocks(len(scores), other.top.shape[1]):
            mean, sd = own.statistics(own.table[own_row[block, None], other.top[other_row[block]]])
            normalised[block] += (scores[block] - mean) / sd
    return normalised / 2


norm("none")(ScoreNorm(keep, needs_cohort=False))
norm("s-norm")(ScoreNorm(own_statistics, adaptive=False))
norm("as-norm1")(ScoreNorm(own_statistics))
norm("as-norm2")(ScoreNorm(other_statistics))


def effective_name(settings: NormSettings, cohort: int) -> str:
    """What the normalisation is: AS-norm over the whole of a cohort is S-norm, and called so."""
    chosen = norm[settings.name]
    whole = chosen.needs_cohort and chosen.top(settings, cohort) == cohort
    return "s-norm" if whole else settings.name
