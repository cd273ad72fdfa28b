"""`Verifier`: find the speech, refuse or embed it, score it, calibrate for what was heard, decide.

    v = Verifier.load()
    alice = v.enrol(["a1.wav", "a2.wav"])
    decision = v.verify(alice, "door.wav", max_fpr=0.001)

A refusal is a value (`Refusal`, or a Decision with outcome TOO_LITTLE_SPEECH); a mistake is a ShortvoxError.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.encoders.encoder import Encoder
from shortvox.encoders.opening import open_encoder
from shortvox.errors import EncoderError
from shortvox.scoring.amount import AmountCalibration
from shortvox.scoring.calibrationfile import read_calibration
from shortvox.verification.decision import Decision, Outcome, Refusal
from shortvox.verification.detectors import DETECTOR
from shortvox.verification.enrolment import PLAN, Plan, plan_for
from shortvox.verification.policy import MAX_FPR, MAX_MISS, PRIOR, Comparison, Costs, Policy, Rates
from shortvox.verification.quality import examine
from shortvox.verification.recording import Recording, named, read_recording
from shortvox.verification.space import Space
from shortvox.verification.speech import Speech, find_speech
from shortvox.verification.stream import Stream
from shortvox.verification.voiceprint import Voiceprint
from shortvox.verification.voices import cohesion, odd_ones, stretches, two_voices

REPEATED = 0.9999  # cosine from which two embeddings are of one and the same recording
STRETCH = 2 * SAMPLE_RATE  # of one recording, when it is searched for a second voice
# Natural-log LLR below which recordings are two voices: people are seldom refused who are one (docs/deciding.md).
ANOTHER_VOICE = -4.0


@dataclass(frozen=True, eq=False)
class Heard:
    """Speech that was found and taken: its embedding (dim,) float32 of unit length, and seconds of it."""

    embedding: np.ndarray
    net_speech: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Verifier:
    """Whether recordings are of one person, by an encoder and what its scores mean for so much speech.

    `plan` is what enrolments are to reach: the error towards which `percent` of a voiceprint counts.
    """

    encoder: Encoder
    calibration: AmountCalibration
    detector: str = DETECTOR
    plan: Plan = PLAN

    @classmethod
    def load(
        cls, model: str | Path = "default", *, calibration: Path | None = None, device: str = "cpu", plan: Plan = PLAN
    ) -> Verifier:
        """A model in the box, a model folder, an export or any encoder that `open_encoder` takes.

        `calibration` is a file that `shortvox calibrate` wrote, by default the one beside the model. Raises
        EncoderError, also for an encoder whose scores were not calibrated by amount of speech.
        """
        encoder = open_encoder(model, device)
        content = encoder.calibration if calibration is None else read_calibration(calibration)
        source = str(calibration or f"{encoder.source}: its calibration")
        if content is None or "amounts" not in content:
            raise EncoderError(
                f"{source}: says nothing about amounts of speech, so no decision can be made; run `shortvox calibrate "
                f"--model {model} --corpus DIR`"
            )
        detector = str(content.get("detector", DETECTOR))
        return cls(encoder, AmountCalibration.from_json(content["amounts"], source), detector, plan)

    @cached_property
    def space(self) -> Space:
        """What its voiceprints are made with; worked out once, for every comparison asks for it."""
        fitted = json.dumps(self.calibration.to_json(), sort_keys=True).encode()
        return Space(self.encoder.fingerprint, self.detector, hashlib.sha256(fitted).hexdigest()[:16])

    @property
    def shortest(self) -> float:
        """Seconds of net speech below which nothing is compared."""
        return max(self.calibration.shortest, self.encoder.shortest / SAMPLE_RATE)

    def hear(self, recording: Recording) -> Heard | Refusal:
        """A recording (path, encoded bytes, or (samples,) float32 at 16 kHz); a Refusal says why it is not taken.

        Raises AudioError for one that cannot be read or is longer than a recording may be.
        """
        return self.hear_speech(find_speech(read_recording(recording), self.detector))

    def hear_speech(self, speech: Speech) -> Heard | Refusal:
        """As `hear`, of a recording whose speech was found by this verifier's detector."""
        findings = examine(speech, self.shortest)
        for one in findings:
            if one.refuses:
                return Refusal(str(one.fault), one.text, one.advice, speech.seconds)
        (embedding,) = self.encoder.embed([speech.net])
        return Heard(embedding, speech.seconds, tuple(f"{one.text}; {one.advice}" for one in findings))

    def enrol(self, recordings: Sequence[Recording]) -> Voiceprint | Refusal:
        """Recordings of one person -> their voiceprint, or why they are not taken: all of them or none.

        Raises AudioError for a recording that cannot be read, and EncoderError for none or the same one twice.
        """
        if not recordings:
            raise EncoderError("no recording to enrol; give one or more of one person")
        found: list[Heard] = []
        for place, recording in enumerate(recordings):
            speech = find_speech(read_recording(recording), self.detector)
            heard = self.hear_speech(speech)
            if isinstance(heard, Refusal):
                text = f"{named(recording, place)}: {heard.text}"
                return replace(heard, text=text, recordings=(place,))
            if self._two_within(speech):
                return _two_voices(f"{named(recording, place)}: more than one voice speaks", heard.net_speech, (place,))
            found.append(heard)
        embeddings = np.stack([one.embedding for one in found])
        seconds = [one.net_speech for one in found]
        _refuse_repeated(embeddings, recordings)
        llrs = self._pairwise(embeddings, np.array(seconds))
        if two_voices(llrs, ANOTHER_VOICE):
            return _two_voices("the recordings are of different voices", sum(seconds), tuple(range(len(found))))
        if odd := odd_ones(llrs, ANOTHER_VOICE):
            names = ", ".join(named(recordings[place], place) for place in odd)
            return _two_voices(f"another voice than in the others: {names}", sum(seconds), odd)
        warnings = tuple(
            f"{named(recordings[place], place)}: {line}" for place, one in enumerate(found) for line in one.warnings
        )
        return replace(self.voiceprint(embeddings, seconds), warnings=warnings)

    def voiceprint(self, embeddings: np.ndarray, seconds: Sequence[float]) -> Voiceprint:
        """The voiceprint of embeddings (recordings, dim) of unit length that were kept, and their net speech."""
        state = plan_for(self.calibration, self.plan, sum(seconds), len(seconds))
        return Voiceprint(
            self.space,
            np.asarray(embeddings, np.float32),
            tuple(map(float, seconds)),
            state.percent,
            state.expected_error,
            state.advice,
            cohesion(embeddings),
        )

    def verify(
        self,
        voiceprint: Voiceprint,
        recording: Recording,
        *,
        max_fpr: float = MAX_FPR,
        max_miss: float = MAX_MISS,
        prior: float = PRIOR,
        costs: Costs | None = None,
    ) -> Decision:
        """Whether the person of the voiceprint speaks.

        At most `max_fpr` of strangers are to be SAME and at most `max_miss` of true speakers DIFFERENT; where so little
        speech cannot keep both, what lies between is TOO_LITTLE_SPEECH. With `costs`, what costs least at this prior is
        decided instead. Raises ConfigError for rates or a prior that are none, EncoderError for a voiceprint of another
        space, AudioError for a recording that cannot be read.
        """
        self.refuse_another_space(voiceprint)
        heard = self.hear(recording)
        return self.decide(voiceprint, heard, max_fpr=max_fpr, max_miss=max_miss, prior=prior, costs=costs)

    def decide(
        self,
        voiceprint: Voiceprint,
        heard: Heard | Refusal,
        *,
        max_fpr: float = MAX_FPR,
        max_miss: float = MAX_MISS,
        prior: float = PRIOR,
        costs: Costs | None = None,
        comparisons: int = 1,
    ) -> Decision:
        """As `verify`, for what was heard.

        `comparisons`: of how many voices this is the most alike, so that the false alarms of all of them together keep
        to `max_fpr`.
        """
        policy: Policy = Rates(max_fpr, max_miss, prior) if costs is None else replace(costs, prior=prior)
        return self.decide_by(policy, voiceprint, heard, comparisons)

    def decide_by(
        self, policy: Policy, voiceprint: Voiceprint, heard: Heard | Refusal, comparisons: int = 1
    ) -> Decision:
        """As `decide`, by a policy."""
        comparison = Comparison(voiceprint.net_speech, len(voiceprint.seconds), heard.net_speech, comparisons)
        if isinstance(heard, Refusal):
            return Decision(
                Outcome.TOO_LITTLE_SPEECH,
                heard.reason,
                f"{heard.text}; {heard.advice}",
                *(None, None, None),
                policy.prior,
                *(None, None),
                comparison.tested,
                comparison.enrolled,
                policy.needed(self.calibration, comparison),
                None,
            )
        score = float(voiceprint.centre.astype(np.float64) @ heard.embedding.astype(np.float64))
        decision = policy.decide(self.calibration, score, comparison)
        repeated = (voiceprint.embeddings @ heard.embedding > REPEATED).any()
        warnings = (*heard.warnings, *(["this very recording has enrolled the voice"] if repeated else []))
        return replace(decision, warnings=warnings)

    def llr(
        self, score: np.ndarray, enrolled: np.ndarray, recordings: np.ndarray, tested: float | np.ndarray
    ) -> np.ndarray:
        """Natural-log likelihood ratios of cosines, for `enrolled` seconds in so many recordings and `tested` ones."""
        return self.calibration.llr(score, self.calibration.reliability(enrolled, recordings, tested))

    def stream(
        self,
        voiceprint: Voiceprint,
        *,
        give_up_after: float = 4.0,
        max_fpr: float = MAX_FPR,
        max_miss: float = MAX_MISS,
        prior: float = PRIOR,
    ) -> Stream:
        """Decides while they speak: `push` blocks of (samples,) float32 at 16 kHz, look at each Decision.

        `give_up_after` is in seconds of net speech. The rates are those of the whole stream, however often it is looked
        at. Raises what `verify` raises.
        """
        self.refuse_another_space(voiceprint)
        return Stream(self, voiceprint, Rates(max_fpr, max_miss, prior), give_up_after)

    def refuse_another_space(self, voiceprint: Voiceprint) -> None:
        if differs := self.space.differs(voiceprint.space):
            raise EncoderError(
                f"a voiceprint of another space than {self.encoder.source} ({', '.join(differs)} differ); enrol "
                "again, or use what it was made with"
            )

    def _pairwise(self, embeddings: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """LLRs (n, n) of single recordings."""
        exact = embeddings.astype(np.float64)
        return self.calibration.llr(
            exact @ exact.T, self.calibration.reliability(seconds[:, None], 1, seconds[None, :])
        )

    def _two_within(self, speech: Speech) -> bool:
        net = speech.net
        pieces = [net[start:stop] for start, stop in stretches(len(net), STRETCH)]
        if len(pieces) < 2:
            return False
        seconds = np.array([len(piece) / SAMPLE_RATE for piece in pieces])
        llrs = self._pairwise(self.encoder.embed(pieces), seconds)
        return two_voices(llrs, ANOTHER_VOICE) or bool(odd_ones(llrs, ANOTHER_VOICE))


def _two_voices(text: str, seconds: float, places: tuple[int, ...]) -> Refusal:
    return Refusal("two_voices", text, "record one person alone", seconds, places)


def _refuse_repeated(embeddings: np.ndarray, recordings: Sequence[Recording]) -> None:
    same = np.argwhere(np.triu(embeddings @ embeddings.T > REPEATED, 1))
    if len(same):
        one, other = same[0].tolist()
        raise EncoderError(
            f"{named(recordings[other], other)}: the same recording as {named(recordings[one], one)}; give each once"
        )
