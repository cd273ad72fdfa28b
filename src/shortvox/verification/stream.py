"""Deciding while they speak: the same Decisions, growing with the speech."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Self

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.errors import ConfigError
from shortvox.verification.decision import Decision, Outcome
from shortvox.verification.policy import Comparison, Lines, Rates
from shortvox.verification.speech import Speech, SpeechStream
from shortvox.verification.voiceprint import Voiceprint

if TYPE_CHECKING:
    from shortvox.verification.verifier import Verifier

# Seconds of net speech at which everything that was heard is scored anew. They grow, so that all looks together cost
# little more than the last; more of them would need narrower lines for the same rates of the whole.
LOOKS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0)


class Stream:
    """One recording as it comes. A block costs at most one look at what was said until then.

    `decision` is the last one. From SAME or DIFFERENT on, and when the time is over, it is `done`: more is not heard.
    """

    def __init__(self, verifier: Verifier, voiceprint: Voiceprint, rates: Rates, give_up_after: float) -> None:
        """Raises ConfigError for a `give_up_after` before the first look or beyond the last."""
        if not max(LOOKS[0], verifier.shortest) <= give_up_after <= LOOKS[-1]:
            raise ConfigError(f"give_up_after {give_up_after:g}: expected {LOOKS[0]:g} to {LOOKS[-1]:g} s of speech")
        self.looks = (*(one for one in LOOKS if verifier.shortest <= one < give_up_after), give_up_after)
        lines = verifier.calibration.stream_lines(rates.max_fpr, rates.max_miss, self.looks[-1])
        self._verifier, self._voiceprint = verifier, voiceprint
        self._policy = Lines(*lines, rates.max_miss, rates.prior)
        self._speech = SpeechStream(verifier.detector)
        self._net = np.zeros(0, np.float32)
        self._seen = 0
        self.done = False
        self.decision = self._waiting()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.done = True

    def push(self, block: np.ndarray) -> Decision:
        """(samples,) float32 at 16 kHz, any number of them. Raises AudioError for a block that is no waveform."""
        if not self.done:
            self._hear(self._speech.push(block))
        return self.decision

    def finish(self) -> Decision:
        """The recording is over: what is decided with all that was said."""
        if not self.done:
            self._hear(self._speech.finish())
            if not self.done:
                self._look(len(self._net))
                self._give_up()
        return self.decision

    def _hear(self, speech: tuple[np.ndarray, ...]) -> None:
        self._net = np.concatenate([self._net, *speech])
        due = [one for one in self.looks[self._seen :] if one * SAMPLE_RATE <= len(self._net)]
        if due:
            self._seen += len(due)
            self._look(round(due[-1] * SAMPLE_RATE))
            if self._seen == len(self.looks):
                self._give_up()
        elif self.decision.score is None:
            self.decision = self._waiting()

    def _look(self, samples: int) -> None:
        net = self._net[:samples]
        heard = self._verifier.hear_speech(Speech(net, ((0, len(net)),) if len(net) else ()))
        self.decision = self._verifier.decide_by(self._policy, self._voiceprint, heard)
        self.done = self.decision.outcome is not Outcome.TOO_LITTLE_SPEECH

    def _give_up(self) -> None:
        if not self.done:
            self.done = True
            if self.decision.reason == "undecided":
                self.decision = replace(self.decision, reason="gave_up")

    def _waiting(self) -> Decision:
        enrolled = self._voiceprint
        comparison = Comparison(enrolled.net_speech, len(enrolled.seconds), len(self._net) / SAMPLE_RATE)
        return Decision(
            Outcome.TOO_LITTLE_SPEECH,
            "listening",
            None,
            *(None, None, None),
            self._policy.prior,
            *(self._policy.accept, self._policy.reject),
            comparison.tested,
            comparison.enrolled,
            self._policy.needed(self._verifier.calibration, comparison),
            None,
        )
