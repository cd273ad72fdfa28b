"""The student's embeddings in a step, by branch, and the settings of what asks for them: segments and teachers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from shortvox.box import model_path
from shortvox.config import Need, Settings
from shortvox.training.crops import FullUtterance, parse_crop

Branch = Literal["crop", "segments", "aggregate"]
Weight = Annotated[float, Field(ge=0, le=1000)]  # of a term of the loss


class SegmentLossSettings(Settings):
    """Weights of what a step with segments is scored by (METHODS: a, b, c, d), and of the whole crop beside them."""

    aggregate: Weight | None = Field(None, description="CE of the aggregate; null: 1, or 0 where one is picked")
    segments: Weight = Field(1.0, description="CE of each segment")
    cosine: Weight = Field(0.0, description="1 - cos of each segment and the aggregate, which is not pulled")
    kl: Weight = Field(0.0, description="KL of the aggregate's posterior to each segment's")
    crop: Weight = Field(0.0, description="CE of the whole crop, which the student then hears as well")


class SegmentSettings(Settings):
    """Shorter pieces cut from every crop: all of them (segment aggregation), or one at random (teacher-student)."""

    length: str = Field("1s", description="as crop; a range is drawn once per batch")
    overlap: float = Field(0.0, ge=0, lt=1, description="share of a segment that the next one repeats")
    pick: Literal["all", "one"] = "all"
    join: Literal["embeddings", "maps"] = Field("embeddings", description="what makes the aggregate: vanilla or FM")
    augment: Literal["crop", "segment"] = Field("crop", description="one augmentation for all, or one for each")
    cmn: Literal["segment", "crop"] = Field("segment", description="what mean normalisation sees")
    heads: Literal["shared", "separate"] = Field("shared", description="one W, or a second one for the segments")
    reduce: Literal["mean", "sum"] = Field("mean", description="over segments")
    loss: SegmentLossSettings = SegmentLossSettings()
    needs_of_keys: ClassVar[Mapping[str, Need]] = {
        "overlap": Need("pick=all", lambda own: own.pick == "all"),
        "reduce": Need("pick=all", lambda own: own.pick == "all"),
    }

    @field_validator("length")
    @classmethod
    def _a_length(cls, length: str) -> str:
        if isinstance(parse_crop(length), FullUtterance):
            raise ValueError("a segment is shorter than an utterance; give a length such as 1s")
        return length

    @property
    def aggregate_weight(self) -> float:
        return self.loss.aggregate if self.loss.aggregate is not None else float(self.pick == "all")

    def branches(self) -> set[Branch]:
        """The student's embeddings that these losses need."""
        weighed: dict[Branch, float] = {
            "aggregate": self.aggregate_weight + self.loss.cosine + self.loss.kl,
            "segments": self.loss.segments + self.loss.cosine + self.loss.kl,
            "crop": self.loss.crop,
        }
        return {branch for branch, weight in weighed.items() if weight}

    @model_validator(mode="after")
    def _heads_learn(self) -> SegmentSettings:
        first, second = self.aggregate_weight + self.loss.crop, self.loss.segments
        if self.heads == "separate" and not (first and second):
            raise ValueError("heads: separate needs loss.segments and one of loss.aggregate and loss.crop")
        if not first + second:
            raise ValueError("loss: none of aggregate, segments and crop has a weight; the head would learn nothing")
        return self

    @model_validator(mode="after")
    def _goes_together(self) -> SegmentSettings:
        if self.augment == "segment" and self.cmn == "crop":
            raise ValueError("cmn: crop needs augment: crop; segments augmented on their own have no common mean")
        return self


class TeacherSettings(Settings):
    """A trained model that says what the student's embeddings and posteriors should be; it learns nothing."""

    model: Annotated[Path, BeforeValidator(model_path)] | None = Field(
        None, description="model folder, graph of ours, default or tiny; a study fills it in"
    )
    hears: Literal["crop", "segments", "utterance"] = Field(
        "crop", description="what the student hears, or, once before training, the whole clean utterance"
    )
    target: Literal["utterance", "speaker", "both"] = Field(
        "utterance", description="what it heard: that utterance, the mean of the speaker's utterances, or between them"
    )
    centred: bool | Literal["domain"] = Field(
        False, description="less the mean of all that it heard, which no speaker has, or of all in the same domain"
    )
    teaches: tuple[Branch, ...] = Field(("segments",), min_length=1, description="which of the student's embeddings")
    embedding: Weight = Field(1.0, description="weight of 1 - cos")
    posterior: Weight = Field(1.0, description="weight of KL (teacher || student) of margin-free posteriors")
    temperature: float = Field(1.0, ge=0.01, le=100)
    contrast: Weight = Field(0.0, description="weight of finding the own target among those of the step's others")
    contrast_scale: float = Field(20.0, gt=0, le=1000, description="what the cosines are multiplied by there")
    projection: bool = Field(False, description="learn a map to the teacher's space; always so where dimensions differ")
    uncertainty: bool = Field(False, description="learn how far off to expect a crop; doubtful ones are pulled less")
    needs_of_keys: ClassVar[Mapping[str, Need]] = {
        "temperature": Need("posterior above 0", lambda own: own.posterior > 0),
        "projection": Need("embedding or contrast above 0", lambda own: own.pulls),
        "uncertainty": Need("embedding above 0", lambda own: own.embedding > 0),
        "contrast_scale": Need("contrast above 0", lambda own: own.contrast > 0),
        "target": Need("hears=utterance", lambda own: own.hears == "utterance"),
        "centred": Need("hears=utterance", lambda own: own.hears == "utterance"),
    }

    @property
    def says_anything(self) -> bool:
        return bool(self.pulls or self.posterior)

    @property
    def pulls(self) -> bool:
        """Whether it says where the student's embeddings should be."""
        return bool(self.embedding or self.contrast)

    @model_validator(mode="after")
    def _one_answer_for_one_question(self) -> TeacherSettings:
        if self.hears == "segments" and set(self.teaches) != {"segments"}:
            raise ValueError("teaches: a teacher that hears segments can teach segments only")
        if self.hears == "utterance" and self.posterior:
            raise ValueError("posterior: a teacher that hears whole utterances says embeddings only; set posterior: 0")
        return self
