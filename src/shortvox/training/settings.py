"""The settings of one training, and what of them goes together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from shortvox.config import Need, Settings
from shortvox.frontend.augment import AugmentSettings
from shortvox.heads import Head, NoHead, head
from shortvox.models.embedding import Context
from shortvox.models.settings import ModelSettings
from shortvox.training.branches import Branch, SegmentSettings, TeacherSettings
from shortvox.training.crops import parse_crop
from shortvox.training.parts import (
    MOST_STEPS,
    OptimiserSettings,
    ScheduleSettings,
    TransferSettings,
    ValidationSettings,
)
from shortvox.training.together import CHECKS

MOST_EPOCHS = 1e6
MOST_DIM = 1_000_000  # of an embedding


_NEW_DEFAULTS = (
    ("transfer", "statistics", "batch"),
    ("transfer", "blend", 1.0),
    ("transfer", "centre", "none"),
    ("augment", "most", 1),
    ("optimiser", "layer_decay", 1.0),
)
# Of teachers: models were trained without them.
_NEWER = ("target", "centred", "contrast", "contrast_scale", "uncertainty")


def epoch_steps(epochs: float, utterances: int, crops: int) -> int:
    """Steps of `crops` crops in which as many crops are taken as `epochs` times all utterances, rounded up."""
    return max(1, math.ceil(epochs * utterances / crops - 1e-6))


class TrainSettings(Settings):
    """The whole of a training. One that counts in `epochs` has its steps only once `counted` for a corpus."""

    seed: int = Field(0, ge=0, lt=2**31)
    steps: int = Field(1000, ge=1, le=MOST_STEPS)
    epochs: float | None = Field(None, gt=0, le=MOST_EPOCHS, description="instead of steps: passes over the corpus")
    begin: int = Field(
        0, ge=0, le=MOST_STEPS, description="place of the first step in the order of data; a study sets it to go on"
    )
    batch: int = Field(
        96, ge=2, le=65_536, description="crops per step over all ranks; speakers, with the balanced sampler"
    )
    accumulate: int = Field(1, ge=1, le=65_536, description="parts that a rank's share of a step is cut into")
    crop: str = Field("2s", description="'2s' fixed, '1-2s' or '1-2s log' random per batch, 'full' utterances")
    context: Context = Field("crop", description="what the front end hears: the crop, or all of its file")
    segments: SegmentSettings | None = Field(None, description="shorter pieces of the crop to learn from")
    teachers: dict[Annotated[str, Field(pattern=r"^[\w-]{1,40}$")], TeacherSettings] = Field(default_factory=dict)
    prefixes: tuple[Annotated[int, Field(ge=1, le=MOST_DIM)], ...] = Field(
        (), description="first numbers of the embedding that must do alone too; the loss is the mean over these and all"
    )
    sampler: Literal["utterances", "speakers", "balanced", "domains"] = "utterances"
    per_speaker: int = Field(2, ge=2, le=1000, description="balanced, domains: utterances of each speaker in a batch")
    domain: str | None = Field(
        None, min_length=1, description="column of the manifest: what many speakers share, as a language or a channel"
    )
    model: ModelSettings = ModelSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    augment: AugmentSettings = AugmentSettings()
    validation: ValidationSettings = ValidationSettings()
    transfer: TransferSettings = TransferSettings()
    average: float = Field(0.0, ge=0, lt=1, description="share of last steps whose weights are averaged")
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    threads: int = Field(0, ge=0, le=1024, description="CPU threads; 0: torch's choice")
    workers: int = Field(0, ge=0, le=256, description="processes that prepare batches")
    checkpoint_every: int = Field(50, ge=1, le=MOST_STEPS)
    tensorboard: bool = False
    needs_of_keys: ClassVar[Mapping[str, Need]] = {
        "per_speaker": Need("sampler=balanced or domains", lambda own: own.balanced),
        "domain": Need(
            "sampler=domains, a teacher with centred=domain or transfer.centre=domain",
            lambda own: bool(own.asks_for_domains),
        ),
        "segments.join": Need(
            "segments.pick=all and a loss or a teacher of the aggregate",
            lambda own: own.segments.pick == "all" and "aggregate" in own.branches(),
        ),
        "segments.augment": Need(
            "an augmentation to draw: augment.kinds and augment.probability, or SpecAugment",
            lambda own: own.augment.draws_anything,
        ),
        "transfer.missing": Need("a head with rows, such as aam", lambda own: bool(own.loss.rows)),
        "transfer.absent": Need("a head with rows, such as aam", lambda own: bool(own.loss.rows)),
    }

    @model_validator(mode="before")
    @classmethod
    def _one_length(cls, values: Any) -> Any:
        if isinstance(values, dict) and None not in (values.get("steps"), values.get("epochs")):
            raise ValueError("epochs: steps are given too; give one of them and set the other to null")
        if isinstance(values, dict) and "steps" in values and values["steps"] is values.get("epochs") is None:
            raise ValueError("steps: none are given; give a number of steps, or epochs")
        return values

    @field_validator("steps", mode="before")
    @classmethod
    def _none_is_the_default(cls, steps: Any) -> Any:
        return cls.model_fields["steps"].default if steps is None else steps

    @field_validator("crop")
    @classmethod
    def _readable(cls, crop: str) -> str:
        parse_crop(crop)
        return crop

    @model_validator(mode="after")
    def _goes_together(self) -> TrainSettings:
        for check in CHECKS:
            check(self)
        return self

    @property
    def loss(self) -> type[Head]:
        """The kind of head."""
        return NoHead if self.model.head is None else head[self.model.head.name]

    @property
    def balanced(self) -> bool:
        """Whether a batch has several utterances of each of its speakers."""
        return self.sampler in ("balanced", "domains")

    @property
    def asks_for_domains(self) -> tuple[str, ...]:
        """The settings to which it matters in which domain an utterance is."""
        asking = {
            "sampler: domains": self.sampler == "domains",
            "centred: domain": any(said.centred == "domain" for said in self.teachers.values()),
            "transfer.centre: domain": self.transfer.centre == "domain",
        }
        return tuple(name for name, asks in asking.items() if asks)

    @property
    def items(self) -> int:
        """Crops in a step, over all ranks."""
        return self.batch * (self.per_speaker if self.balanced else 1)

    def counted(self, utterances: int) -> TrainSettings:
        """These settings in steps, for a corpus of so many utterances."""
        if self.epochs is None:
            return self
        steps = epoch_steps(self.epochs, utterances, self.items)
        return self.model_copy(update={"steps": steps, "epochs": None})

    def branches(self) -> frozenset[Branch]:
        """The student's embeddings that a loss term needs."""
        own: set[Branch] = {"crop"} if self.segments is None else self.segments.branches()
        return frozenset(own.union(*(set(t.teaches) for t in self.teachers.values() if t.says_anything)))

    def simplified(self) -> TrainSettings:
        """These settings without what no loss term needs: teachers of no weight, a crop of which one segment is left.

        A single segment of a crop that nobody hears is a crop of that length, unless the segment may be longer than its
        crop, or has a weight, mean normalisation or augmentation of its own.
        """
        teachers = {name: teacher for name, teacher in self.teachers.items() if teacher.says_anything}
        settings = self.model_copy(update={"teachers": teachers})
        segments = self.segments
        if segments is None or teachers or segments.pick == "all" or settings.branches() != {"segments"}:
            return settings
        if (segments.loss.segments, segments.cmn, segments.augment) != (1.0, "segment", "crop"):
            return settings
        if parse_crop(segments.length).longest > parse_crop(self.crop).shortest:
            return settings
        return settings.model_copy(update={"crop": segments.length, "segments": None})

    def essential(self) -> dict[str, Any]:
        """What decides the trained weights, JSON-safe: everything but where, how fast and how watched it runs.

        Of teachers, what they say; which models they are is the caller's to add.
        """
        bookkeeping = {"device", "threads", "workers", "checkpoint_every", "tensorboard", "validation"}
        settings = self.model_dump(mode="json", exclude=bookkeeping)
        for teacher in settings["teachers"].values():
            del teacher["model"]
            for key, field in TeacherSettings.model_fields.items():
                if key in _NEWER and teacher[key] == field.default:
                    del teacher[key]
        settings["model"]["frontend"] = self.model.frontend.identity()
        for part, key, usual in _NEW_DEFAULTS:
            if settings[part][key] == usual:
                del settings[part][key]
        newer: dict[str, Any] = {"begin": 0, "epochs": None, "context": "crop", "domain": None, "prefixes": []}
        for key, default in newer.items():  # than models that were trained without them
            if settings[key] == default:
                del settings[key]
        return settings
