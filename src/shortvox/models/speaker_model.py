"""A model in memory: front end, backbone and head, from waveforms to embeddings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shortvox.errors import ModelError
from shortvox.frontend.frontend import FrontEnd
from shortvox.heads import Head, NoHead, head
from shortvox.models import Backbone, backbone
from shortvox.models.settings import ModelSettings

UNIT = 1e-3  # how far from 1 the length of an embedding may be


@dataclass(frozen=True)
class SpeakerModel:
    """Front end, backbone and head, with the names of the head's rows in order; `folder` is where it was read."""

    settings: ModelSettings
    frontend: FrontEnd
    backbone: Backbone
    head: Head
    speakers: tuple[str, ...]
    calibration: dict[str, Any] | None = None
    folder: Path | None = None

    @classmethod
    def fresh(cls, settings: ModelSettings, speakers: tuple[str, ...]) -> SpeakerModel:
        """A model with random weights (torch's global generator); one without a head has no rows to name."""
        network = backbone[settings.backbone]()
        settings.check(network)
        if settings.head is None:
            return cls(settings, FrontEnd(settings.frontend), network, NoHead(dim=network.dim, speakers=0), ())
        classifier = head[settings.head.name].make(settings.head, dim=network.dim, speakers=len(speakers))
        return cls(settings, FrontEnd(settings.frontend), network, classifier, speakers)

    def headless(self) -> SpeakerModel:
        """The same encoder without its head."""
        settings = self.settings.model_copy(update={"head": None})
        return replace(self, settings=settings, head=NoHead(dim=self.backbone.dim, speakers=0), speakers=())

    def modules(self) -> dict[str, nn.Module]:
        return {"backbone": self.backbone, "head": self.head}

    def tensors(self) -> dict[str, Tensor]:
        """Weights and buffers under `backbone.…` and `head.…`."""
        return tensors_of(self.modules())

    def fingerprint(self, *, with_head: bool = False) -> str:
        """Hash of what decides an embedding, or `with_head` of all that a training starts from."""
        digest = hashlib.sha256(json.dumps(self.settings.frontend.identity()).encode())
        head_state = self.head.state_dict(prefix="head.") if with_head else {}
        digest.update("\n".join(self.speakers if with_head else ()).encode())
        for name, tensor in sorted({**self.backbone.state_dict(), **head_state}.items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:24]

    def embed(self, waveforms: Tensor, lengths: Tensor | None = None, *, inside: Tensor | None = None) -> Tensor:
        """(batch, samples), lengths in samples -> unit-length embeddings (batch, dim).

        `inside` (batch, 2) bounds the frames that are embedded, in features of the whole waveforms; see `FrontEnd`.
        """
        return nn.functional.normalize(self.encode(waveforms, lengths, inside=inside))

    def encode(self, waveforms: Tensor, lengths: Tensor | None = None, *, inside: Tensor | None = None) -> Tensor:
        """As `embed`, of the length that the backbone gives them."""
        features, counts = self.frontend(waveforms, lengths, inside=inside)
        embeddings: Tensor = self.backbone(features, counts)
        return embeddings

    def require_unit_length(self, embeddings: np.ndarray) -> np.ndarray:
        """The embeddings (n, dim) themselves; raises ModelError, which names the model, where one is no direction.

        Finite weights can give NaN, by an overflow say, or a vector of zeros, which has no direction.
        """
        unsound = ~(np.abs(np.linalg.norm(embeddings, axis=1) - 1) < UNIT)  # true for NaN
        if unsound.any():
            raise ModelError(
                f"{self._name}: {unsound.sum()} of {len(embeddings)} embeddings are not "
                "finite or have no direction; train the model again, with a lower optimiser.lr, or copy it again"
            )
        return embeddings

    def require_finite(self, embeddings: np.ndarray) -> np.ndarray:
        """The embeddings (n, dim) of any length themselves; raises ModelError where one is not finite."""
        if not np.isfinite(embeddings).all():
            raise ModelError(f"{self._name}: gives embeddings that are not finite; lower optimiser.lr and train again")
        return embeddings

    @property
    def _name(self) -> str:
        return str(self.folder or "the model in training")

    def to(self, device: torch.device) -> SpeakerModel:
        for module in (self.frontend, self.backbone, self.head):
            module.to(device)
        return self

    def eval(self) -> SpeakerModel:
        for module in (self.frontend, self.backbone, self.head):
            module.eval()
        return self


def misfit(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], *, extra: bool = False) -> str | None:
    """The first difference in names, shapes and types of numbers, in words; None where there is none.

    With `extra`, tensors that are not expected are let be.

    Loading into a module would convert numbers of any type, and turn weights stored as int8 to zeros.
    """
    for name, tensor in expected.items():
        if name not in tensors:
            return f"{name} is missing"
        if (shape := tensors[name].shape) != tensor.shape:
            return f"{name} has shape {tuple(shape)}, not {tuple(tensor.shape)}"
        if (dtype := tensors[name].dtype) != tensor.dtype:
            return f"{name} is stored as {dtype}, not {tensor.dtype}".replace("torch.", "")
    more = None if extra else next((name for name in tensors if name not in expected), None)
    return None if more is None else f"{more} has no place"


def tensors_of(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Weights and buffers of named modules, as `MODULE.NAME`."""
    return {
        f"{part}.{name}": tensor.detach()
        for part, module in modules.items()
        for name, tensor in module.state_dict().items()
    }


def load_tensors(modules: Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Inverse of `tensors_of`, for tensors without `misfit`."""
    for part, module in modules.items():
        module.load_state_dict(
            {name.removeprefix(f"{part}."): t for name, t in tensors.items() if name.startswith(f"{part}.")}
        )
