"""The settings of one training, and what of them goes together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from shortvox.config import Need, Settings
from shortvox.frontend.augment import AugmentSettings
from shortvox.heads import Head, NoHead, head
from shortvox.models import blueprint
from shortvox.models.embedding import Context
from shortvox.models.settings import ModelSettings
from shortvox.training.branches import Branch, SegmentSettings, TeacherSettings
from shortvox.training.crops import FullUtterance, parse_crop
from shortvox.training.parts import (
    MOST_STEPS,
    OptimiserSettings,
    ScheduleSettings,
    TransferSettings,
    ValidationSettings,
)

MOST_EPOCHS = 1e6
MOST_DIM = 1_000_000  # of an embedding
MOST_SECONDS = 50_000  # of speech in the crops of a step: 3 GB as samples alone


_NEW_DEFAULTS = (
    ("transfer", "statistics", "batch"),
    ("transfer", "blend", 1.0),
    ("transfer", "centre", "none"),
    ("augment", "most", 1),
    ("optimiser", "layer_decay", 1.0),
)
_NEWER = ("target", "centred", "contrast", "contrast_scale")  # of teachers: models were trained without them


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
    def _fits_into_memory(self) -> TrainSettings:
        crop = parse_crop(self.crop)
        if not isinstance(crop, FullUtterance) and self.items * crop.longest > MOST_SECONDS:
            raise ValueError(
                f"batch: {self.items} crops of {crop.longest:g} s are more than the {MOST_SECONDS} s of speech that a "
                "step may hold; lower batch or crop"
            )
        return self

    @model_validator(mode="after")
    def _fits_its_head(self) -> TrainSettings:
        name = "of no head" if self.model.head is None else self.model.head.name
        if self.model.head is None and not any(t.pulls and "crop" in t.teaches for t in self.teachers.values()):
            raise ValueError(
                "model.head: null has no loss to learn from; name a head, as {name: aam}, or a teacher of the crop's "
                "embedding"
            )
        if self.model.head is None and self.segments is not None:
            raise ValueError("segments: are scored by a head, and model.head is null; name one, as {name: aam}")
        if self.balanced and isinstance(parse_crop(self.crop), FullUtterance):
            raise ValueError(
                f"sampler: {self.sampler} needs crops of one length in a batch, because whole utterances are "
                "grouped by length; set crop to a length such as 2s"
            )
        if self.loss.pairs and not self.balanced:
            raise ValueError(
                f"sampler: the loss {name} compares utterances of one speaker with each other; set sampler=balanced"
            )
        if self.asks_for_domains and self.domain is None:
            asks = self.asks_for_domains[0]
            raise ValueError(f"domain: {asks} needs the manifest's column that names them, such as domain=language")
        if self.transfer.centre != "none" and self.loss.rows:
            raise ValueError(
                f"transfer.centre: the rows of the loss {name} would stay where they are while embeddings move; take a "
                "head without rows, such as ap, or model.head=null"
            )
        if self.loss.pairs and self.accumulate > 1:
            raise ValueError(f"accumulate: the loss {name} compares all speakers of a step; set accumulate=1")
        comparing = [teacher for teacher, said in self.teachers.items() if said.contrast]
        if comparing and self.accumulate > 1:
            raise ValueError(
                f"accumulate: teachers.{comparing[0]}.contrast compares all crops of a step; set accumulate=1"
            )
        if not self.loss.rows:
            asked = [
                key
                for key, wanted in (
                    ("segments.loss.kl", self.segments is not None and self.segments.loss.kl > 0),
                    ("transfer.head", self.transfer.head == "frozen"),
                    ("transfer.rows", self.transfer.rows == "centroids"),
                    ("transfer.refresh", self.transfer.refresh != "never"),
                    *((f"teachers.{teacher}.posterior", said.posterior > 0) for teacher, said in self.teachers.items()),
                )
                if wanted
            ]
            if asked:
                raise ValueError(f"{asked[0]}: the loss {name} has no row for each speaker; choose another head")
        return self

    @model_validator(mode="after")
    def _fits_its_segments(self) -> TrainSettings:
        if self.segments is None:
            needing = [
                name
                for name, teacher in self.teachers.items()
                if teacher.hears == "segments" or set(teacher.teaches) != {"crop"}
            ]
            if needing:
                raise ValueError(
                    f"teachers.{needing[0]}: there are no segments in this training; set segments.length, "
                    "or hears and teaches to crop"
                )
        elif isinstance(parse_crop(self.crop), FullUtterance):
            raise ValueError("segments: need crops of one length in a batch; set crop to a length such as 4s")
        elif parse_crop(self.segments.length).shortest > parse_crop(self.crop).longest:
            raise ValueError(f"segments.length: {self.segments.length} is longer than the crop ({self.crop})")
        elif self.segments.cmn == "crop" and self.model.frontend.vad != "none":
            raise ValueError(
                "segments.cmn: crop needs model.frontend.vad=none; a crop without its silence has no "
                "frames to find a segment by"
            )
        elif self.segments.cmn == "crop" and self.model.frontend.cmn == "none":
            raise ValueError("segments.cmn: crop needs model.frontend.cmn; there is no mean to take from the crop")
        elif self.segments.cmn == "crop" and blueprint(self.model.backbone).normalises:
            raise ValueError(
                f"segments.cmn: crop does nothing for {self.model.backbone}, which normalises each segment itself"
            )
        elif self.segments.heads == "separate" and self.transfer.head == "frozen":
            raise ValueError("segments.heads: separate needs transfer.head=trained; two frozen heads are one")
        return self

    @model_validator(mode="after")
    def _fits_its_embedding(self) -> TrainSettings:
        if self.prefixes and max(self.prefixes) >= (dim := blueprint(self.model.backbone).dim):
            raise ValueError(
                f"prefixes: {max(self.prefixes)} is no part of the {dim} numbers of a {self.model.backbone} embedding; "
                "give fewer"
            )
        if len(set(self.prefixes)) < len(self.prefixes):
            raise ValueError("prefixes: one of them is given twice; give each once")
        return self

    @model_validator(mode="after")
    def _one_space_to_match(self) -> TrainSettings:
        for branch in ("crop", "segments", "aggregate"):
            pulling = [
                name
                for name, said in self.teachers.items()
                if said.pulls and branch in said.teaches and not said.projection
            ]
            if len(pulling) > 1:
                first, second = pulling[:2]
                raise ValueError(
                    f"teachers.{second}: {first} pulls the {branch} embedding into its own space already; set "
                    f"teachers.{second}.embedding=0 or teachers.{second}.projection=true"
                )
        return self

    @model_validator(mode="after")
    def _fits_its_context(self) -> TrainSettings:
        if self.context == "crop":
            return self
        frontend = self.model.frontend
        if isinstance(parse_crop(self.crop), FullUtterance):
            raise ValueError("context: file needs crops; a whole utterance has nothing around it")
        if frontend.cmn == "none" and frontend.vad == "none":
            raise ValueError(
                "context: file needs model.frontend.cmn or model.frontend.vad; nothing else looks beyond the crop"
            )
        if self.segments is not None and self.segments.augment == "segment":
            raise ValueError("context: file needs segments.augment=crop; all segments are cut from one augmented file")
        if self.segments is not None and self.segments.cmn == "crop":
            raise ValueError("context: file needs segments.cmn=segment; the mean is that of the file, not of the crop")
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
