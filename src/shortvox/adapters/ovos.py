"""Who may wake Open Voice OS: a wake word verifier plugin. For who has ovos-plugin-manager.

In its configuration, `mycroft.conf`:

    "listener": {"ww_verifiers": {"shortvox-verifier": {"gallery": "~/home.db", "speakers": ["alice", "bob"]}}}

The listener builds every verifier that is installed, with `{}` where nothing is configured, and lets a wake word pass
where a verifier raises. So without a configuration everybody passes here; with one that cannot be used, nobody does.
"""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np
import soxr
from ovos_plugin_manager.templates.hotwords import HotWordVerifier
from ovos_utils.log import LOG
from pydantic import Field

from shortvox.config import Settings, parse
from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.gallery.gallery import Gallery
from shortvox.verification.decision import Outcome
from shortvox.verification.policy import MAX_FPR
from shortvox.verification.verifier import Verifier

NAME = "shortvox-verifier"  # of the entry point
OF_THE_LISTENER = ("enabled", "module")  # keys that a listener reads itself


class VerifierSettings(Settings):
    """`speakers` are those of the gallery who may wake it, all of them where it is missing.

    `max_fpr` is the probability that somebody who is not in the gallery is taken for anybody in it. `too_little` says
    what happens where too little speech was heard to tell, or none. `sample_rate` is that of the listener.
    """

    gallery: str = Field(min_length=1)
    speakers: tuple[str, ...] | None = Field(None, min_length=1)
    max_fpr: float = Field(MAX_FPR, gt=0, lt=1)
    too_little: Literal["reject", "accept"] = "reject"
    sample_rate: int = Field(SAMPLE_RATE, ge=8000, le=192_000)
    model: str = "default"


class SpeakerVerifier(HotWordVerifier):
    """Passes a wake word that somebody of a gallery has said."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        super().__init__(config)
        self._gallery: Gallery | None = None
        given = {key: value for key, value in self.config.items() if key not in OF_THE_LISTENER}
        self._everybody = not given
        if self._everybody:
            LOG.warning(f"{NAME}: no `gallery` is configured, so everybody passes")
            return
        try:
            self._settings = parse(VerifierSettings, given, NAME)
            self._gallery = self._open()
        except Exception as error:  # raised, it would let everybody pass
            LOG.error(f"{NAME}: {error}; nobody passes")

    def verify(self, chunk: bytes) -> bool:
        """Whether who says a wake word, 16-bit mono PCM, may wake the listener. Raises nothing."""
        if self._gallery is None:
            return self._everybody
        try:
            found = self._gallery.identify(self._waveform(chunk), max_fpr=self._settings.max_fpr)
        except Exception as error:  # raised, it would let everybody pass
            LOG.error(f"{NAME}: {error}; the wake word does not pass")
            return False
        LOG.debug(f"{NAME}: {found.name or found.reason}")
        if found.outcome is Outcome.TOO_LITTLE_SPEECH:
            return self._settings.too_little == "accept"
        return found.name is not None and (self._names is None or found.name in self._names)

    def _open(self) -> Gallery:
        settings = self._settings
        address = os.path.expanduser(settings.gallery)  # noqa: PTH111 (not every address is a path)
        gallery = Gallery.open(address, Verifier.load(settings.model), create=False)
        self._names = settings.speakers and frozenset(gallery.profile(name).name for name in settings.speakers)
        return gallery

    def _waveform(self, chunk: bytes) -> np.ndarray:
        """(samples,) float32 at 16 kHz."""
        samples = np.frombuffer(chunk, "<i2").astype(np.float32) / 32768
        return soxr.resample(samples, self._settings.sample_rate, SAMPLE_RATE)
