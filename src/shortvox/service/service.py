"""What is asked of a service, without HTTP: recordings in, answers of the names that Python and the command line use.

Everything here blocks, and may be called from several threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.errors import ConfigError
from shortvox.gallery.gallery import Gallery
from shortvox.gallery.profile import Profile
from shortvox.service.conversation import Start
from shortvox.verification.decision import Refusal
from shortvox.verification.recording import read_recording
from shortvox.verification.speech import Speech, find_speech
from shortvox.verification.stream import Stream
from shortvox.verification.verifier import Heard, Verifier
from shortvox.verification.voiceprint import Voiceprint


@dataclass(frozen=True, slots=True)
class Service:
    """`gallery` is None for a service that keeps no voices."""

    verifier: Verifier
    gallery: Gallery | None = None

    def verify(self, who: str | Sequence[bytes], test: bytes, **policy: Any) -> dict[str, Any]:
        """A decision about `who`, a name or recordings that enrol, with what was found in the test.

        `policy` has what `Verifier.decide` takes. Where the enrolment is refused, its Refusal instead, with `side`
        "enrolment".
        """
        if isinstance(who, str):
            voices = self._voices
            speech, heard = self._hear(test)
            decision, more = voices.verify_heard(who, heard, **policy), {}
        else:
            voiceprint = self.verifier.enrol(who)
            if isinstance(voiceprint, Refusal):
                return {**voiceprint.as_dict(), "side": "enrolment"}
            speech, heard = self._hear(test)
            decision = self.verifier.decide(voiceprint, heard, **policy)
            more = {"voiceprint": voiceprint.as_dict()}
        return {**decision.as_dict(), **found(speech), **more}

    def identify(self, test: bytes, **policy: Any) -> dict[str, Any]:
        voices = self._voices
        speech, heard = self._hear(test)
        return {**voices.identify_heard(heard, **policy).as_dict(), **found(speech)}

    def enrol(self, recordings: Sequence[bytes]) -> Voiceprint | Refusal:
        return self.verifier.enrol(recordings)

    def embed(self, recording: bytes) -> Heard | Refusal:
        return self._hear(recording)[1]

    def keep(
        self, name: str, voiceprint: Voiceprint, consent: str, replace: bool, audio: Sequence[bytes] | None
    ) -> Profile:
        waveforms = None if audio is None else [read_recording(one) for one in audio]
        return self._voices.add(name, voiceprint, consent=consent, replace=replace, audio=waveforms)

    def profiles(self) -> list[dict[str, Any]]:
        return [profile.as_dict() for profile in self._voices.profiles()]

    def profile(self, name: str) -> dict[str, Any]:
        return self._voices.profile(name).as_dict()

    def remove(self, name: str) -> None:
        self._voices.remove(name)

    def stream(self, start: Start) -> Stream:
        return self.verifier.stream(
            self._voices.voiceprint(start.speaker),
            give_up_after=start.give_up_after,
            max_fpr=start.max_fpr,
            max_miss=start.max_miss,
            prior=start.prior,
        )

    def _hear(self, recording: bytes) -> tuple[Speech, Heard | Refusal]:
        speech = find_speech(read_recording(recording), self.verifier.detector)
        return speech, self.verifier.hear_speech(speech)

    @property
    def _voices(self) -> Gallery:
        if self.gallery is None:
            raise NoGalleryError("this service keeps no voices; start it with --gallery FILE")
        return self.gallery


class NoGalleryError(ConfigError):
    """Asked for voices where none are kept."""


def found(speech: Speech) -> dict[str, Any]:
    """How long a recording is, and where its speech is, in seconds."""
    segments = (np.array(speech.segments, np.float64).reshape(-1, 2) / SAMPLE_RATE).round(4)
    return {"seconds": len(speech.waveform) / SAMPLE_RATE, "segments": segments.tolist()}
