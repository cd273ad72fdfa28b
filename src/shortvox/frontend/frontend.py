"""Waveforms to network input: filter bank, mean normalisation, voice activity detection."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from shortvox.config import Settings
from shortvox.frontend.cmn import normaliser
from shortvox.frontend.fbank import Fbank, whole_windows, windows
from shortvox.frontend.masking import frame_mask, pack_left
from shortvox.frontend.vad import detector

Cmn = Literal["utterance", "sliding", "none"]
Vad = Literal["none", "sre16-v2", "sre16-v1"]


class FrontEndSettings(Settings):
    """The whole front end of a model; pinned in its folder, so that a test hears what training heard."""

    bands: int = Field(80, ge=8, le=256)
    cmn: Cmn = "utterance"
    vad: Vad = "none"


class FrontEnd(nn.Module):
    """(batch, samples) at 16 kHz in [-1, 1] -> (batch, frames, bands). 16 000 samples give 100 frames.

    The mean is normalised over all frames; then, with a VAD, the unvoiced ones are dropped (Kaldi's SRE16 recipe).
    """

    def __init__(self, settings: FrontEndSettings) -> None:
        super().__init__()
        self.settings = settings
        self.fbank = Fbank(bands=settings.bands)
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
        (`fbank.frame_bounds`). Windows, means and VAD decisions still come from the whole waveform; where nothing
        between the bounds is voiced, all frames between them are kept. With (n x batch, 2), each waveform gives n rows,
        side by side.
        """
        with torch.autocast(waveforms.device.type, enabled=False):
            signal, counts = whole_windows(waveforms.float(), lengths)
            features = self._normalise(self.fbank.log_mel(signal), counts)
            if self._detect is None and inside is None:
                return features, counts
            own, voiced = self._decide(signal, counts, inside)
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
            signal, counts = whole_windows(waveforms.float(), lengths)
            return self._decide(signal, counts, inside)[1]

    def _decide(self, signal: Tensor, counts: Tensor | None, inside: Tensor | None) -> tuple[Tensor, Tensor]:
        """Two masks (batch, frames): a row's own frames, between the bounds if given; and the voiced ones of these."""
        batch, frames, _ = windows(signal).shape
        if counts is None:
            own = torch.ones(batch, frames, dtype=torch.bool, device=signal.device)
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
