"""A model in memory: front end, backbone and head, from waveforms to embeddings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from shortvox.frontend.frontend import FrontEnd
from shortvox.heads import Head, head
from shortvox.models import Backbone, backbone
from shortvox.models.settings import ModelSettings


@dataclass(frozen=True)
class SpeakerModel:
    """Front end, backbone and head, with the names of the head's rows in order."""

    settings: ModelSettings
    frontend: FrontEnd
    backbone: Backbone
    head: Head
    speakers: tuple[str, ...]
    calibration: dict[str, Any] | None = None

    @classmethod
    def fresh(cls, settings: ModelSettings, speakers: tuple[str, ...]) -> SpeakerModel:
        """A model with random weights (torch's global generator)."""
        network = backbone[settings.backbone]()
        settings.check(network)
        classifier = head[settings.head.name].make(settings.head, dim=network.dim, speakers=len(speakers))
        return cls(settings, FrontEnd(settings.frontend), network, classifier, speakers)

    def modules(self) -> dict[str, nn.Module]:
        return {"backbone": self.backbone, "head": self.head}

    def tensors(self) -> dict[str, Tensor]:
        """Weights and buffers under `backbone.…` and `head.…`."""
        return tensors_of(self.modules())

    def fingerprint(self, *, with_head: bool = False) -> str:
        """Hash of what decides an embedding, or `with_head` of all that a training starts from."""
        digest = hashlib.sha256(json.dumps(self.settings.frontend.model_dump()).encode())
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
        features, counts = self.frontend(waveforms, lengths, inside=inside)
        return nn.functional.normalize(self.backbone(features, counts))

    def to(self, device: torch.device) -> SpeakerModel:
        for module in (self.frontend, self.backbone, self.head):
            module.to(device)
        return self

    def eval(self) -> SpeakerModel:
        for module in (self.frontend, self.backbone, self.head):
            module.eval()
        return self


def tensors_of(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Weights and buffers of named modules, as `MODULE.NAME`."""
    return {
        f"{part}.{name}": tensor.detach()
        for part, module in modules.items()
        for name, tensor in module.state_dict().items()
    }


def load_tensors(modules: Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Inverse of `tensors_of`; raises RuntimeError where names or shapes do not fit."""
    for part, module in modules.items():
        module.load_state_dict(
            {name.removeprefix(f"{part}."): t for name, t in tensors.items() if name.startswith(f"{part}.")}
        )
