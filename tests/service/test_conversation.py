"""The order of what is said over a WebSocket: every sequence ends in order, and no state is left by another way."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.serving import VERIFIER, said, wav
from shortvox.errors import UnknownVoiceError
from shortvox.service import conversation
from shortvox.service.conversation import LARGEST_FRAME, Conversation, Reply, Start, State
from shortvox.verification.stream import Stream
from shortvox.verification.voiceprint import Voiceprint

ALICE = VERIFIER.enrol([wav(1, 3.0, 10), wav(1, 3.0, 11)])
BEGIN = json.dumps({"type": "start", "speaker": "alice"})


def begin(start: Start) -> Stream:
    if start.speaker != "alice":
        raise UnknownVoiceError(f"nobody is called '{start.speaker}'")
    assert isinstance(ALICE, Voiceprint)
    return VERIFIER.stream(ALICE, give_up_after=start.give_up_after, max_fpr=start.max_fpr)


def pcm16(samples: np.ndarray) -> bytes:
    return (samples * 32767).astype("<i2").tobytes()


def speak(conversation: Conversation, speaker: int, seconds: float = 4.0, **start: object) -> list[Reply]:
    found = [conversation.text(json.dumps({"type": "start", "speaker": "alice", **start}))]
    samples = said(speaker, seconds, 5)
    for first in range(0, len(samples), 1600):
        block = samples[first : first + 1600]
        found.append(conversation.audio(block.tobytes() if start.get("format") == "float32" else pcm16(block)))
    return [reply for reply in found if reply]


@pytest.mark.parametrize(("speaker", "outcome"), [(1, "SAME"), (6, "DIFFERENT")])
def test_a_decision_grows_until_it_is_made(speaker: int, outcome: str) -> None:
    talk = Conversation(begin)
    started, *decisions = speak(talk, speaker)
    assert started.message["type"] == "started" and started.message["looks"]
    heard = [reply.message["net_speech"] for reply in decisions]
    assert heard == sorted(heard) and all(reply.close is None for reply in decisions[:-1])
    last = decisions[-1]
    assert (last.close, last.message["outcome"], last.message["done"]) == (1000, outcome, True)
    assert talk.state is State.DECIDED and talk.audio(pcm16(said(1))) is None


def test_both_formats_and_python_decide_the_same() -> None:
    one, other = (speak(Conversation(begin), 1, format=form)[-1].message for form in ("pcm16", "float32"))
    stream = begin(Start(type="start", speaker="alice"))
    for block in np.split(said(1, 4.0, 5), 40):
        decision = stream.push(block)
    assert other == {"type": "decision", "done": True, "heard": other["heard"], **decision.as_dict()}
    assert one["llr"] == pytest.approx(other["llr"], abs=0.05) and one["outcome"] == other["outcome"]


@pytest.mark.parametrize("form", ["pcm16", "float32"])
def test_samples_arrive_as_they_are(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[np.ndarray] = []
    push = Stream.push
    monkeypatch.setattr(Stream, "push", lambda self, block: (heard.append(block), push(self, block))[1])
    speak(Conversation(begin), 1, 0.4, format=form)
    assert np.concatenate(heard) == pytest.approx(said(1, 0.4, 5), abs=1e-4)


def test_who_stops_is_told_what_was_decided() -> None:
    talk = Conversation(begin)
    speak(talk, 1, 0.2)
    reply = talk.text('{"type": "stop"}')
    assert reply and reply.close == 1000 and reply.message["outcome"] == "TOO_LITTLE_SPEECH"


@pytest.mark.parametrize(
    ("steps", "code", "words"),
    [
        ([b"\0\0"], 1008, "a start comes first"),
        (['{"type": "stop"}'], 1008, "a start comes first"),
        ([BEGIN, BEGIN], 1008, "one start"),
        (["{"], 1007, "not JSON"),
        (["[" * 100_000], 1007, "not JSON"),
        (["[1]"], 1007, "of type 'start' or 'stop'"),
        (['{"type": ["start"]}'], 1007, "of type"),
        (['{"type": "start"}'], 1007, "speaker"),
        (['{"type": "start", "speaker": "alice", "speed": 1}'], 1007, "speed"),
        (['{"type": "start", "speaker": "alice", "max_fpr": NaN}'], 1007, "max_fpr"),
        (['{"type": "start", "speaker": "alice", "max_fpr": 2}'], 1008, "expected a probability"),
        (['{"type": "start", "speaker": "alice", "give_up_after": 99}'], 1008, "give_up_after"),
        (['{"type": "start", "speaker": "alice", "sample_rate": 48000}'], 1007, "16000"),
        (['{"type": "start", "speaker": "bob"}'], 1008, "nobody is called 'bob'"),
        ([BEGIN, b"\0"], 1007, "whole samples"),
        ([BEGIN, bytes(LARGEST_FRAME + 2)], 1009, "at most"),
        ([BEGIN.replace("}", ', "format": "float32"}'), np.array([np.nan], "<f4").tobytes()], 1007, "not finite"),
        ([BEGIN.replace("}", ', "format": "float32"}'), np.array([1e9], "<f4").tobytes()], 1007, "full scale"),
    ],
)
def test_what_is_out_of_order_or_broken_ends_it(steps: list[str | bytes], code: int, words: str) -> None:
    talk = Conversation(begin)
    for step in steps:
        reply = talk.text(step) if isinstance(step, str) else talk.audio(step)
    assert reply and reply.close == code and list(reply.message) == ["error"]
    assert words in reply.message["error"] and "\n" not in reply.message["error"]


def test_silence_does_not_go_on_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "LONGEST", 3.0)
    assert isinstance(ALICE, Voiceprint)
    listening = replace(VERIFIER, detector="silero")
    heard = replace(ALICE, space=listening.space)
    talk = Conversation(lambda start: listening.stream(heard))
    talk.text(BEGIN)
    assert [talk.audio(bytes(32_000)) for _ in range(3)][1:] == [None, None]
    reply = talk.audio(bytes(2))
    assert reply and reply.close == 4408 and "too little speech" in reply.message["error"]
    waiting = Conversation(begin).waited(10)
    assert waiting and waiting.close == 4408 and waiting.message == {"error": "nothing was sent for 10 s"}


def test_nothing_is_said_on_a_closed_connection() -> None:
    talk = Conversation(begin)
    talk.close()
    for step in (lambda: talk.text(BEGIN), lambda: talk.audio(b""), lambda: talk.waited(1)):
        with pytest.raises(ValueError, match="closed"):
            step()


MESSAGES = st.one_of(
    st.just(BEGIN),
    st.just('{"type": "stop"}'),
    st.just(None),
    st.sampled_from([pcm16(said(speaker, 0.6, 3)) for speaker in (1, 6)]),
    st.binary(max_size=9),
    st.text(max_size=9),
    st.just(bytes(LARGEST_FRAME + 1)),
)
# What may follow each state.
FOLLOWS = {
    State.CONNECTED: {State.CONNECTED, State.STREAMING, State.DECIDED},
    State.STREAMING: {State.STREAMING, State.DECIDED},
    State.DECIDED: {State.DECIDED},
}


@settings(max_examples=60)
@given(st.lists(MESSAGES, max_size=8))
def test_any_order_of_messages_ends_once(messages: list[str | bytes | None]) -> None:
    talk = Conversation(begin)
    ended = 0
    for message in messages:
        before = talk.state
        if message is None:
            reply = talk.waited(10)
        else:
            reply = talk.text(message) if isinstance(message, str) else talk.audio(message)
        assert talk.state in FOLLOWS[before]
        if before is State.DECIDED:
            assert reply is None
        if reply:
            json.dumps(reply.message, allow_nan=False)
            assert (reply.close is not None) == (talk.state is State.DECIDED)
            assert ("error" in reply.message) == (reply.close not in (None, 1000))
            ended += reply.close is not None
    assert ended == (talk.state is State.DECIDED)
