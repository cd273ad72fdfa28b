"""Decisions: find the speech, refuse or embed it, score it, calibrate for what was heard, decide."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from amounts import AMOUNTS
from hearing import ENCODER, VERIFIER, said
from shortvox.errors import AudioError, ConfigError, EncoderError
from shortvox.verification.decision import Decision, Outcome, Refusal
from shortvox.verification.enrolment import Plan, plan_for
from shortvox.verification.policy import Costs, shared_rate
from shortvox.verification.stream import LOOKS
from shortvox.verification.verifier import Heard, Verifier
from shortvox.verification.voiceprint import Voiceprint
from voices import syllables

RATE = 16000


LISTENING = Verifier(ENCODER, AMOUNTS, "silero")


ALICE = VERIFIER.enrol([said(1, 2.5, 1), said(1, 2.5, 2)])
assert isinstance(ALICE, Voiceprint)


def decide(score: float, seconds: float, **limits: object) -> Decision:
    """On a cosine with ALICE, of so much speech."""
    away = np.random.default_rng(0).standard_normal(98)
    away -= (away @ ALICE.centre) * ALICE.centre
    heard = score * ALICE.centre + math.sqrt(1 - score**2) * away / np.linalg.norm(away)
    return VERIFIER.decide(ALICE, Heard(heard.astype(np.float32), seconds), **limits)  # type: ignore[arg-type]


def test_a_voiceprint_says_what_it_is_made_of() -> None:
    assert ALICE.embeddings.shape == (2, 98) and len(ALICE.seconds) == 2
    assert ALICE.net_speech == pytest.approx(5, abs=0.4)
    assert ALICE.cohesion == pytest.approx(float(ALICE.embeddings[0] @ ALICE.embeddings[1]), abs=1e-6)
    assert np.linalg.norm(ALICE.centre) == pytest.approx(1) and 0 < ALICE.percent <= 100
    assert json.dumps(ALICE.as_dict()) and ALICE.space == VERIFIER.space


def test_a_path_its_bytes_and_its_samples_are_one_recording(tmp_path: Path) -> None:
    samples = said(1, 1.5, 7)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    content = io.BytesIO()
    soundfile.write(content, samples, RATE, format="WAV", subtype="FLOAT")
    found = [VERIFIER.hear(one) for one in (tmp_path / "a.wav", str(tmp_path / "a.wav"), content.getvalue(), samples)]
    for one in found:
        assert isinstance(one, Heard) and isinstance(found[0], Heard)
        assert one.net_speech == found[0].net_speech and (one.embedding == found[0].embedding).all()


def test_a_decision_has_no_truth() -> None:
    for value in (decide(0.9, 2), LISTENING.hear(np.zeros(RATE, np.float32))):
        with pytest.raises(TypeError, match="neither true nor false"):
            bool(value)


def test_three_outcomes_by_two_lines() -> None:
    assert decide(0.9, 1).outcome is Outcome.SAME
    assert decide(0.0, 1).outcome is Outcome.DIFFERENT
    middle = decide(0.32, 0.4, max_fpr=1e-4, max_miss=0.05)
    assert middle.outcome is Outcome.TOO_LITTLE_SPEECH and middle.reason == "undecided"
    assert middle.needed_seconds is not None and middle.needed_seconds > 0.4
    assert middle.advice == f"say more: {middle.needed_seconds - 0.4:.1f} s more speech decides in most cases"


@given(st.floats(-0.99, 0.99), st.floats(0.3, 20), st.floats(1e-6, 0.5), st.floats(1e-3, 0.5))
def test_outcome_and_lines_agree(score: float, seconds: float, max_fpr: float, max_miss: float) -> None:
    found = decide(score, seconds, max_fpr=max_fpr, max_miss=max_miss)
    assert found.llr is not None and found.accept is not None and found.reject is not None
    assert found.reject <= found.accept
    if abs(found.llr - found.accept) > 1e-6:
        assert (found.outcome is Outcome.SAME) == (found.llr > found.accept)
    if abs(found.llr - found.reject) > 1e-6:
        assert (found.outcome is Outcome.DIFFERENT) == (found.llr < found.reject)
    assert found.probability == pytest.approx(1 / (1 + math.exp(-found.llr)), abs=1e-9)
    if found.needed_seconds is not None and seconds > found.needed_seconds:
        assert found.outcome is not Outcome.TOO_LITTLE_SPEECH


@given(st.floats(0.3, 20), st.floats(0.01, 0.9))
def test_nobody_is_accepted_against_the_evidence(seconds: float, max_fpr: float) -> None:
    found = decide(0.3, seconds, max_fpr=max_fpr)
    assert found.accept is not None and found.accept >= -1e-9


def test_a_prior_moves_the_probability_alone() -> None:
    half, rare = decide(0.4, 1), decide(0.4, 1, prior=0.01)
    assert half.llr == rare.llr and half.accept == rare.accept
    assert rare.probability is not None and half.llr is not None
    assert rare.probability == pytest.approx(1 / (1 + 99 * math.exp(-half.llr)))


def test_costs_draw_one_line() -> None:
    found = decide(0.9, 1, costs=Costs(miss=1, false_alarm=10), prior=0.1)
    assert found.accept == found.reject == pytest.approx(math.log(90)) and found.needed_seconds is None
    assert decide(0.3, 0.3, costs=Costs()).outcome is not Outcome.TOO_LITTLE_SPEECH


def test_of_many_voices_the_best_needs_a_higher_line() -> None:
    alone, best = decide(0.5, 1), decide(0.5, 1, comparisons=1000)
    assert alone.accept is not None and best.accept is not None and best.accept > alone.accept
    assert 1 - (1 - shared_rate(0.01, 1000)) ** 1000 == pytest.approx(0.01)
    assert decide(0.5, 1, comparisons=1000, costs=Costs()).accept == pytest.approx(math.log(1000))


@pytest.mark.parametrize("limits", ({"max_fpr": 0.0}, {"max_miss": 1.0}, {"prior": math.nan}, {"max_fpr": -1.0}))
def test_rates_that_are_none_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="expected a probability"):
        decide(0.5, 1, **limits)
    with pytest.raises(ConfigError, match="above 0"):
        Costs(miss=0)


def test_silence_is_a_value_and_no_score() -> None:
    found = LISTENING.decide(ALICE, LISTENING.hear(np.zeros(4 * RATE, np.float32)))
    assert found.outcome is Outcome.TOO_LITTLE_SPEECH and found.reason == "silence"
    assert found.score is found.llr is found.probability is None and found.advice
    assert found.needed_seconds is not None


def test_a_word_in_a_long_recording_counts_as_a_word() -> None:
    hiss = (1e-4 * np.random.default_rng(3).standard_normal(4 * RATE)).astype(np.float32)
    hiss[RATE : RATE + RATE // 2] += syllables(3, 0.5, np.random.default_rng(9))
    found = LISTENING.decide(ALICE, LISTENING.hear(hiss))
    assert 0 < found.net_speech < 0.7


def test_the_voice_itself_and_another() -> None:
    mine, other = VERIFIER.verify(ALICE, said(1, 2, 5)), VERIFIER.verify(ALICE, said(7, 2, 5))
    assert mine.llr is not None and other.llr is not None and mine.llr > other.llr


def test_the_very_recording_is_told() -> None:
    told = "this very recording has enrolled the voice"
    assert told in VERIFIER.verify(ALICE, said(1, 2.5, 1)).warnings
    assert told not in VERIFIER.verify(ALICE, said(1, 2.5, 3)).warnings
    with pytest.raises(EncoderError, match="recording 2: the same recording as recording 1"):
        VERIFIER.enrol([said(1, 2.5, 1), said(1, 2.5, 1)])


def test_two_voices_are_refused_and_the_odd_one_is_named() -> None:
    strict = replace(VERIFIER, calibration=replace(AMOUNTS, even=0.5, slope=200.0))
    one, other = said(1, 1.9, 1), said(8, 1.9, 2)
    apart = strict.enrol([one, other])
    assert isinstance(apart, Refusal) and apart.reason == "two_voices" and apart.recordings == (0, 1)
    within = strict.enrol([np.concatenate([said(1, 4, 1), said(8, 4, 2)])])
    assert isinstance(within, Refusal) and within.recordings == (0,) and "more than one voice" in within.text
    found = replace(VERIFIER, encoder=replace(ENCODER, run=_told)).enrol(
        [_told_apart(0), _told_apart(1), _told_apart(2)]
    )
    assert isinstance(found, Refusal) and found.recordings == (2,) and "recording 3" in found.text


def _told_apart(number: int) -> np.ndarray:
    return (said(1, 1.5, 1) * (0.5 + 0.1 * number)).astype(np.float32)


def _told(waveforms: list[np.ndarray]) -> np.ndarray:
    """Two directions close to each other, and an opposite one for what is loudest."""
    loud = np.array([np.abs(one).max() for one in waveforms])
    loudest = np.abs(_told_apart(2)).max()
    found = np.random.default_rng(0).standard_normal((1, 98)).repeat(len(waveforms), axis=0)
    found[:, 0] += 3 * loud / loudest
    return np.where((loud > 0.95 * loudest)[:, None], -found, found)


def test_an_enrolment_of_silence_names_the_recording() -> None:
    found = LISTENING.enrol([np.zeros(RATE, np.float32), said(1, 2, 1)])
    assert isinstance(found, Refusal) and found.reason == "silence" and found.recordings == (0,)
    assert found.text.startswith("recording 1: ")
    with pytest.raises(EncoderError, match="no recording to enrol"):
        VERIFIER.enrol([])


def test_voiceprints_of_another_space_are_refused() -> None:
    other = replace(VERIFIER, encoder=replace(ENCODER, fingerprint="g"))
    with pytest.raises(EncoderError, match=r"another space than here \(encoder differ\)"):
        other.verify(ALICE, said(1, 1, 1))
    again = replace(VERIFIER, calibration=replace(AMOUNTS, slope=41.0))
    assert again.space.key != VERIFIER.space.key and again.space.differs(VERIFIER.space) == ("calibration",)
    with pytest.raises(EncoderError):
        again.stream(ALICE)


@pytest.mark.parametrize("bad", (np.zeros((2, RATE), np.float32), np.full(RATE, np.nan, np.float32), b"", b"no audio"))
def test_what_is_no_recording_raises_one_line(bad: object) -> None:
    with pytest.raises(AudioError) as found:
        VERIFIER.hear(bad)  # type: ignore[arg-type]
    assert "\n" not in str(found.value) and "/tmp" not in str(found.value)


def test_ten_hours_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "long.flac", "w", RATE, 1) as file:
        for _ in range(301):
            file.write(np.zeros(RATE, np.int16))
    with pytest.raises(AudioError, match="a recording may have 300 s"):
        VERIFIER.hear(tmp_path / "long.flac")


def test_an_enrolment_says_how_far_it_is() -> None:
    plan = Plan(max_miss=0.05, max_fpr=0.001)
    seconds = np.geomspace(0.3, 60, 40)
    states = [plan_for(AMOUNTS, plan, float(one), 1) for one in seconds]
    errors = [one.expected_error for one in states]
    assert errors == sorted(errors, reverse=True)
    assert states[0].percent < 30 and states[0].advice is not None and "another sentence" in states[0].advice
    easy = plan_for(AMOUNTS, Plan(max_miss=0.9), 10, 3)
    assert easy.percent == 100 and easy.advice is None
    hopeless = plan_for(AMOUNTS, Plan(max_miss=1e-9, max_fpr=1e-9), 1, 1)
    assert hopeless.advice is not None and "no enrolment brings that below" in hopeless.advice


def test_a_stream_ends_as_it_should() -> None:
    voice, said_now = ALICE, said(1, 3, 21)
    with VERIFIER.stream(voice, max_fpr=0.3, max_miss=0.3) as stream:
        seen = [stream.decision]
        for first in range(0, len(said_now), 800):
            seen.append(stream.push(said_now[first : first + 800]))
        last = stream.finish()
    assert seen[0].reason == "listening" and stream.done
    heard = [one.net_speech for one in seen]
    assert heard == sorted(heard)
    looked = {one.net_speech for one in seen if one.llr is not None}
    assert looked <= {*LOOKS, 4.0} and last.outcome in Outcome
    assert VERIFIER.stream(voice, give_up_after=4.0).looks == (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)
    assert VERIFIER.stream(voice).push(np.zeros(0, np.float32)).reason == "listening"


def test_a_stream_decides_on_what_was_said_until_the_look() -> None:
    said_now = said(1, 3, 22)
    one, other = (VERIFIER.stream(ALICE, max_fpr=1e-9, max_miss=1e-3) for _ in range(2))
    for first in range(0, len(said_now), 1600):
        one.push(said_now[first : first + 1600])
    for first in range(0, len(said_now), 333):
        other.push(said_now[first : first + 333])
    a, b = one.finish(), other.finish()
    assert (a.net_speech, a.outcome, a.reason) == (b.net_speech, b.outcome, b.reason)
    assert a.score == pytest.approx(b.score, abs=1e-5)


def test_a_stream_without_speech_gives_up_with_the_reason() -> None:
    stream = LISTENING.stream(replace(ALICE, space=LISTENING.space))
    stream.push(np.zeros(2 * RATE, np.float32))
    found = stream.finish()
    assert found.outcome is Outcome.TOO_LITTLE_SPEECH and found.reason == "silence" and stream.done


@pytest.mark.parametrize("seconds", (0.1, 60.0, math.nan))
def test_a_stream_that_never_looks_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigError, match="give_up_after"):
        VERIFIER.stream(ALICE, give_up_after=seconds)


def test_a_stream_has_its_lines_from_the_start() -> None:
    stream = VERIFIER.stream(ALICE, max_fpr=0.1, max_miss=0.1, give_up_after=3.0)
    assert (stream.decision.accept, stream.decision.reject) == (2.0, -1.0)
    with pytest.raises(ConfigError):
        VERIFIER.stream(ALICE, max_fpr=1.5)


def test_a_large_block_is_looked_at_as_small_ones_are() -> None:
    stream = VERIFIER.stream(ALICE, max_fpr=1e-9, max_miss=1e-9)
    assert stream.push(said(1, 1.6, 23)).net_speech == 1.5
