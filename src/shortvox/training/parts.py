"""The settings of a training's components: optimiser, schedule, validation, transfer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from shortvox.config import Need, Settings

MOST_STEPS = 10**9


class OptimiserSettings(Settings):
    name: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = Field(2e-3, gt=0, le=100)
    weight_decay: float = Field(1e-2, ge=0, le=10)
    momentum: float = Field(0.9, ge=0, lt=1)
    clip: float | None = Field(5.0, gt=0, le=1e6, description="largest gradient norm; null for none")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="rate of each block of the backbone, as a share of that of the block after it"
    )
    needs_of_keys: ClassVar[Mapping[str, Need]] = {"momentum": Need("name=sgd", lambda own: own.name == "sgd")}


class ScheduleSettings(Settings):
    """Learning rate over the steps of this training: linear warm-up, then one of the named decays."""

    name: Literal["cosine", "exponential", "step", "constant"] = "cosine"
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps")
    final: float = Field(0.01, ge=0, le=1, description="last rate as a share of the first (cosine, exponential)")
    factor: float = Field(0.1, gt=0, le=1, description="what each drop multiplies by (step)")
    every: float = Field(0.33, gt=0, le=1, description="share of the steps between drops (step)")
    needs_of_keys: ClassVar[Mapping[str, Need]] = {
        "final": Need("name=cosine or exponential", lambda own: own.name in ("cosine", "exponential")),
        "factor": Need("name=step", lambda own: own.name == "step"),
        "every": Need("name=step", lambda own: own.name == "step"),
    }


class ValidationSettings(Settings):
    """Speakers held out from the training speakers: watched during training, calibration fitted on them."""

    speakers: int = Field(0, ge=0, le=100_000, description="how many; 0 switches validation off")
    every: int = Field(0, ge=0, le=MOST_STEPS, description="steps between validations; 0: only at the end")
    utterances: int = Field(8, ge=2, le=10_000, description="at most this many of each speaker")
    needs_of_keys: ClassVar[Mapping[str, Need]] = {
        "every": Need("speakers above 0", lambda own: own.speakers > 0),
        "utterances": Need("speakers above 0", lambda own: own.speakers > 0),
    }


class TransferSettings(Settings):
    """How a training that starts from a model treats that model's head."""

    head: Literal["trained", "frozen"] = "trained"
    freeze_norm: bool = Field(False, description="freeze the batch norm after the embedding too")
    statistics: Literal["batch", "model"] = Field("batch", description="what all batch norms normalise by in training")
    blend: float = Field(1.0, ge=0, le=1, description="how far the weights that are kept lie from the start's")
    centre: Literal["none", "corpus", "domain"] = Field(
        "none", description="at the end, less what all training speakers share; domain: whitened by domains, too"
    )
    missing: Literal["refuse", "centroid"] = Field("refuse", description="training speakers without a head row")
    absent: Literal["keep", "drop"] = Field("keep", description="head rows of speakers who are not in the training")
    rows: Literal["model", "centroids", "new"] = Field(
        "model", description="W: the model's, full-length speaker centroids, or a new head's, whatever the model has"
    )
    refresh: Literal["never", "epoch", "ema"] = Field("never", description="how a frozen W follows the student")
    momentum: float = Field(0.99, ge=0, lt=1, description="ema: what W keeps of itself in a step")
    utterances: int = Field(10, ge=1, le=10_000, description="centroids: at most this many utterances of each speaker")
    needs_of_keys: ClassVar[Mapping[str, Need]] = {
        "momentum": Need("refresh=ema", lambda own: own.refresh == "ema"),
        "utterances": Need(
            "rows=centroids, missing=centroid or refresh=epoch",
            lambda own: own.rows == "centroids" or own.missing == "centroid" or own.refresh == "epoch",
        ),
    }

    @model_validator(mode="after")
    def _only_frozen_rows_follow(self) -> TransferSettings:
        if self.rows == "new" and self.head == "frozen":
            raise ValueError("rows: new needs head: trained; what nobody has trained cannot be frozen")
        if self.refresh != "never" and self.head != "frozen":
            raise ValueError(f"refresh: {self.refresh} needs head: frozen, because a trained W follows its gradient")
        return self
