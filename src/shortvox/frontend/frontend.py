"""Waveforms to network input: filter bank, mean normalisation, voice activity detection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from shortvox.config import Need, Settings
from shortvox.frontend import speechbrain as speechbrain
from shortvox.frontend import voxceleb_trainer as voxceleb_trainer
from shortvox.frontend.cmn import normaliser
from shortvox.frontend.fbank import INT16_SCALE, Window
from shortvox.frontend.filterbank import Edges, filter_bank, frame_count
from shortvox.frontend.masking import frame_mask, pack_left
from shortvox.frontend.vad import detector

Features = Literal["kaldi", "speechbrain", "voxceleb_trainer"]
Cmn = Literal["utterance", "sliding", "none"]
Vad = Literal["none", "sre16-v2", "sre16-v1"]


class FrontEndSettings(Settings):
    """The whole front end of a model; pinned in its folder, so that a test hears what training heard."""

    features: Features = Field("kaldi", description="whose filter bank")
    bands: int = Field(80, ge=8, le=256)
    window: Window = "povey"
    edges: Literal["mirror", "snip"] = Field("mirror", description="a frame for every hop, or whole windows only")
    scale: float = Field(INT16_SCALE, gt=0, le=2**31, description="what samples in [-1, 1] are multiplied by")
    cmn: Cmn = "utterance"
    vad: Vad = "none"
    needs_of_keys: ClassVar[Mapping[str, Need]] = {
        key: Need("features=kaldi", lambda own: own.features == "kaldi") for key in ("window", "edges", "scale")
    }

    @model_validator(mode="after")
    def _vad_knows_the_frames(self) -> FrontEndSettings:
        if self.vad != "none" and self.features != "kaldi":
            raise ValueError(f"vad: {self.vad} decides about Kaldi's frames; set features: kaldi, or vad: none")
        return self

    @property
    def framing(self) -> Edges:
        """Where frames lie, whosever they are."""
        return self.edges if self.features == "kaldi" else "centre"

    def identity(self) -> dict[str, Any]:
        """What it is known by: as `model_dump`, without settings at their default that older models do not have."""
        return self.model_dump(include={"bands", "cmn", "vad"}) | self.model_dump(exclude_defaults=True)


class FrontEnd(nn.Module):
    """(batch, samples) at 16 kHz in [-1, 1] -> (batch, frames, bands). 16 000 samples give 100 frames,
    with `edges: snip` 98, with features that are not Kaldi's 101.

    The mean is normalised over all frames; then, with a VAD, the unvoiced ones are dropped (Kaldi's SRE16 recipe).
    """

    def __init__(self, settings: FrontEndSettings) -> None:
        super().__init__()
        self.settings = settings
        self.bank = filter_bank[settings.features].make(settings)
        self._normalise = normaliser[settings.cmn]
        self._detect = None if settings.vad == "none" else detector[settings.vad]

    @torch.no_grad()
    def forward(
        self, waveforms: Tensor, lengths: Tensor | None = None, *, inside: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Features and frame counts; the counts are None where all rows are whole: no lengths, no VAD, no `inside`.

        With a VAD, a row's voiced frames stand at its left, zeros after them. A row without a voiced frame keeps all
        its frames, so that it still has an embedding; `voiced` tells which rows these are.

        `inside` (batch, 2), at least one frame each, bounds the frames [first, last) that are kept of each row
        (`filterbank.frame_bounds`). Windows, means and VAD decisions still come from the whole waveform; where nothing
        between the bounds is voiced, all frames between them are kept. With (n x batch, 2), each waveform gives n rows,
        side by side.
        """
        with torch.autocast(waveforms.device.type, enabled=False):
            signal, counts = self.bank.signal(waveforms.float(), lengths)
            features = self._normalise(self.bank.log_mel(signal, counts), counts)
            if self._detect is None and inside is None:
                return features, counts
            own, voiced = self._decide(signal, features.shape[1], counts, inside)
            if inside is not None:
                features = _repeated(features, own)
            return pack_left(features, voiced | own & ~voiced.any(dim=1, keepdim=True))

    @torch.no_grad()
    def voiced(self, waveforms: Tensor, lengths: Tensor | None = None, *, inside: Tensor | None = None) -> Tensor:
        """Bool (batch, frames): the frames, between the bounds if given, that the VAD takes for speech.

        `~voiced(…).any(dim=1)` are the rows of which `forward` keeps all frames. Without a VAD every frame counts as
        voiced.
        """
        with torch.autocast(waveforms.device.type, enabled=False):
            signal, counts = self.bank.signal(waveforms.float(), lengths)
            return self._decide(signal, frame_count(waveforms.shape[1], self.bank.edges), counts, inside)[1]

    def _decide(
        self, signal: Tensor, frames: int, counts: Tensor | None, inside: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Two masks (batch, frames): a row's own frames, between the bounds if given; and the voiced ones of these."""
        if counts is None:
            own = torch.ones(signal.shape[0], frames, dtype=torch.bool, device=signal.device)
        else:
            own = frame_mask(counts, frames)
        if inside is not None:
            own = _repeated(own, inside) & frame_mask(inside[:, 1], frames) & ~frame_mask(inside[:, 0], frames)
        if self._detect is None:
            return own, own
        voiced = self._detect(signal, counts)
        return own, voiced if inside is None else own & _repeated(voiced, own)


def _repeated(rows: Tensor, like: Tensor) -> Tensor:
    """Each row as often as `like` has rows for it."""
    return rows.repeat_interleave(len(like) // len(rows), dim=0) if len(like) > len(rows) else rows
