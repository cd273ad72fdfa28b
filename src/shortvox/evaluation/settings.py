"""What a test measures, and how it turns the audio it hears into scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from shortvox.config import Need, Settings
from shortvox.evaluation.bootstrap import MOST_DRAWS
from shortvox.evaluation.hearing import EmbeddingSettings
from shortvox.evaluation.protocols import FULL, parse_lengths, protocol
from shortvox.frontend.frontend import Cmn, Vad
from shortvox.models.embedding import Context
from shortvox.scoring.measures import measure
from shortvox.scoring.norm import NormSettings, norm
from shortvox.scoring.transforms import transform


class FrontEndChanges(Settings):
    """Parts of the front end that a test does otherwise than the model was trained; null keeps the model's own."""

    cmn: Cmn | None = None
    vad: Vad | None = None


class CohortSettings(Settings):
    """Which speech of the cohort speakers stands for them.

    `duration` is the length of their utterances: whole; cut as long as the side of the trial whose statistics they give
    (own); or as the side that they stand in for, so that cohort scores are made as trial scores are (other).
    """

    utterances: int = Field(10, ge=1, le=10_000, description="at most this many of each speaker")
    duration: Literal["full", "own", "other"] = "full"


class ScoringSettings(Settings):
    """From the crops of a trial to its score, in the order of the fields.

    `context` is what the front end may hear of a file: the crop alone, or all of it before it is cut.
    """

    short_files: Literal["whole", "repeat"] = "whole"
    context: Context = "crop"
    frontend: FrontEndChanges = FrontEndChanges()
    embedding: EmbeddingSettings = EmbeddingSettings()
    prefix: int | None = Field(
        None, ge=1, le=1_000_000, description="the first so many numbers of each embedding alone; null: all"
    )
    transforms: tuple[str, ...] = ()
    measure: str = "cosine"
    norm: NormSettings = NormSettings()
    cohort: CohortSettings = CohortSettings()
    needs_of_keys: ClassVar[Mapping[str, Need]] = {
        "cohort.utterances": Need("norm.name or transforms", lambda own: own.needs_cohort),
        "cohort.duration": Need("norm.name other than none", lambda own: norm[own.norm.name].needs_cohort),
    }

    @field_validator("transforms")
    @classmethod
    def _known_transforms(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            transform[name]
        return names

    @field_validator("measure")
    @classmethod
    def _known_measure(cls, name: str) -> str:
        measure[name]
        return name

    @model_validator(mode="after")
    def _goes_together(self) -> ScoringSettings:
        if self.context == "file" and self.short_files == "repeat":
            raise ValueError("context: file needs short_files: whole, because a file has no frames beyond its end")
        return self

    @property
    def needs_cohort(self) -> bool:
        return bool(self.transforms) or norm[self.norm.name].needs_cohort

    def key(self, cohort: str) -> str:
        """Names this way of scoring in file names; '' for the default. `cohort` identifies the cohort, if any."""
        if self == ScoringSettings():
            return ""
        without = {"prefix"} if self.prefix is None else set()  # newer than what was calibrated without it
        parts = [self.model_dump(mode="json", exclude=without), cohort]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


class TestSettings(Settings):
    """What a test measures."""

    __test__ = False  # pytest: not a test class

    protocols: tuple[str, ...] = Field(("full-short", "short-short"), min_length=1)
    lengths: tuple[str | float, ...] = (FULL, "5", "3", "2", "1.5", "1")
    crop_seeds: int = Field(5, ge=1, le=100)
    max_nontarget: int = Field(40_000, ge=1, le=100_000_000)
    same_gender: bool = False
    band_limited: bool = False
    draws: int | None = Field(
        None, ge=100, le=MOST_DRAWS, description="bootstrap draws; null: as many as the comparisons need"
    )
    seed: int = Field(0, ge=0, lt=2**31)
    scoring: ScoringSettings = ScoringSettings()

    @field_validator("protocols")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            protocol[name]  # an unknown one must fail before any work
        return names

    def names(self) -> tuple[str, ...]:
        return parse_lengths(self.lengths)


def of_all_pairs(settings: TestSettings) -> dict[str, str]:
    """What is set of the trials although a list names them, as `idle` has it."""
    default = TestSettings()
    return {
        key: "all pairs as trials, without --trials"
        for key in ("max_nontarget", "same_gender")
        if getattr(settings, key) != getattr(default, key)
    }
