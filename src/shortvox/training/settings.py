"""The settings of one training, one class per component."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from shortvox.config import Settings
from shortvox.frontend.augment import AugmentSettings
from shortvox.models.folder import ModelSettings
from shortvox.training.crops import parse_crop


class OptimiserSettings(Settings):
    name: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = Field(2e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    clip: float | None = Field(5.0, gt=0, description="largest gradient norm; null for none")


class ScheduleSettings(Settings):
    """Learning rate over the steps of this training: linear warm-up, then one of the named decays."""

    name: Literal["cosine", "exponential", "step", "constant"] = "cosine"
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps")
    final: float = Field(0.01, ge=0, le=1, description="last rate as a share of the first (cosine, exponential)")
    factor: float = Field(0.1, gt=0, le=1, description="what each drop multiplies by (step)")
    every: float = Field(0.33, gt=0, le=1, description="share of the steps between drops (step)")


class ValidationSettings(Settings):
    """Speakers held out from the training speakers: watched during training, calibration fitted on them."""

    speakers: int = Field(0, ge=0, description="how many; 0 switches validation off")
    every: int = Field(0, ge=0, description="steps between validations; 0: only at the end")
    utterances: int = Field(8, ge=2, description="at most this many of each speaker")


class TransferSettings(Settings):
    """How a training that starts from a model treats that model's head."""

    head: Literal["trained", "frozen"] = "trained"
    freeze_norm: bool = Field(False, description="freeze the batch norm after the embedding too")
    missing: Literal["refuse", "centroid"] = Field("refuse", description="training speakers without a head row")
    absent: Literal["keep", "drop"] = Field("keep", description="head rows of speakers who are not in the training")


class TrainSettings(Settings):
    seed: int = Field(0, ge=0, lt=2**31)
    steps: int = Field(1000, ge=1)
    batch: int = Field(96, ge=2, description="crops per step over all ranks")
    accumulate: int = Field(1, ge=1, description="parts that a rank's share of a step is cut into")
    crop: str = Field("2s", description="'2s' fixed, '1-2s' random per batch, 'full' utterances")
    sampler: Literal["utterances", "speakers"] = "utterances"
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
    checkpoint_every: int = Field(50, ge=1)
    tensorboard: bool = False

    @field_validator("crop")
    @classmethod
    def _readable(cls, crop: str) -> str:
        parse_crop(crop)
        return crop

    def essential(self) -> dict[str, Any]:
        """What decides the trained weights, JSON-safe: everything but where, how fast and how watched it runs."""
        bookkeeping = {"device", "threads", "workers", "checkpoint_every", "tensorboard", "validation"}
        return self.model_dump(mode="json", exclude=bookkeeping)
