"""Waveforms to network input: filter bank, mean normalisation."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from shortvox.config import Settings
from shortvox.frontend.cmn import normaliser
from shortvox.frontend.fbank import Fbank


class FrontEndSettings(Settings):
    """The whole front end of a model; pinned in its folder, so that a test hears what training heard."""

    bands: int = Field(80, ge=8, le=256)
    cmn: Literal["utterance", "none"] = "utterance"


class FrontEnd(nn.Module):
    """(batch, samples) at 16 kHz in [-1, 1] -> (batch, frames, bands). 16 000 samples give 100 frames."""

    def __init__(self, settings: FrontEndSettings) -> None:
        super().__init__()
        self.settings = settings
        self.fbank = Fbank(bands=settings.bands)
        self._normalise = normaliser[settings.cmn]

    @torch.no_grad()
    def forward(
        self,
        waveforms: Tensor,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Features and frame counts (None without lengths)."""
        with torch.autocast(waveforms.device.type, enabled=False):
            features, counts = self.fbank(waveforms.float(), lengths)
            features = self._normalise(features, counts)
        return features, counts
