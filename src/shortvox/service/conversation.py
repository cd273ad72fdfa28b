"""What is said over one WebSocket, and in which order; nothing here touches a network.

    CONNECTED   waits for one JSON `start`
    STREAMING   takes binary frames of samples, and a JSON `stop` when the speaker is done; tells each new decision
    DECIDED     has told the last decision or an error; what still arrives was sent before that was heard, and is let be
    CLOSED      the connection is closed

Whatever is out of order or broken ends the conversation with one JSON error and a close code.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shortvox.config import first_problem
from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.errors import ShortvoxError
from shortvox.verification.policy import MAX_FPR, MAX_MISS, PRIOR
from shortvox.verification.stream import Stream

# Close codes of RFC 6455, section 7.4.1; codes from 4000 on are for applications.
DONE, WRONG_DATA, OUT_OF_ORDER, TOO_LARGE, BUG, TRY_LATER, TIME_OUT = 1000, 1007, 1008, 1009, 1011, 1013, 4408
LARGEST_FRAME = 2**16  # bytes: 2 s of 16-bit samples
LONGEST = 60.0  # seconds heard without a decision
_SAMPLES: dict[str, np.dtype[Any]] = {"pcm16": np.dtype("<i2"), "float32": np.dtype("<f4")}


class State(StrEnum):
    CONNECTED = "CONNECTED"
    STREAMING = "STREAMING"
    DECIDED = "DECIDED"
    CLOSED = "CLOSED"


class Start(BaseModel):
    """What begins a stream: who is expected, the error rates, and how samples are sent."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    type: Literal["start"]
    speaker: str = Field(max_length=1000)
    give_up_after: float = 4.0
    max_fpr: float = MAX_FPR
    max_miss: float = MAX_MISS
    prior: float = PRIOR
    format: Literal["pcm16", "float32"] = "pcm16"
    sample_rate: Literal[16000] = 16000


@dataclass(frozen=True, slots=True)
class Reply:
    """A JSON message; with a `close` code the last one."""

    message: dict[str, Any]
    close: int | None = None


class Conversation:
    """`begin` gives the stream of a `Start`; it may raise ShortvoxError."""

    def __init__(self, begin: Callable[[Start], Stream]) -> None:
        self.state = State.CONNECTED
        self._begin = begin
        self._stream: Stream | None = None
        self._samples = _SAMPLES["pcm16"]
        self._heard = 0
        self._told: object = None

    def text(self, content: str) -> Reply | None:
        """A text message; a reply where there is something to tell."""
        if self._is_over():
            return None
        try:
            message = json.loads(content)
        except (ValueError, RecursionError):
            return self._end("a text message that is not JSON", WRONG_DATA)
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "start" and self.state is State.CONNECTED:
            return self._start(message)
        if kind == "stop" and self.state is State.STREAMING:
            assert self._stream is not None
            return self._decision(self._stream.finish, last=True)
        if kind in ("start", "stop"):
            wanted = "a start comes first" if self.state is State.CONNECTED else "a stream has one start"
            return self._end(f"'{kind}' out of order: {wanted}", OUT_OF_ORDER)
        return self._end("expected a JSON object of type 'start' or 'stop'", WRONG_DATA)

    def audio(self, content: bytes) -> Reply | None:
        """A binary message: samples."""
        if self._is_over():
            return None
        if self.state is State.CONNECTED:
            return self._end("samples out of order: a start comes first", OUT_OF_ORDER)
        if len(content) > LARGEST_FRAME:
            return self._end(f"a frame of {len(content)} bytes: at most {LARGEST_FRAME}", TOO_LARGE)
        if len(content) % self._samples.itemsize:
            whole = f"of {self._samples.itemsize} bytes each"
            return self._end(f"a frame of {len(content)} bytes: expected whole samples, {whole}", WRONG_DATA)
        block = np.frombuffer(content, self._samples)
        if self._samples.kind == "i":
            block = block / np.float32(32768)
        self._heard += len(block)
        if self._heard > LONGEST * SAMPLE_RATE:
            return self._end(f"{LONGEST:g} s heard, and too little speech in them to decide", TIME_OUT)
        stream = self._stream
        assert stream is not None
        return self._decision(lambda: stream.push(block))

    def waited(self, seconds: float) -> Reply | None:
        """Nothing was sent for so long."""
        return None if self._is_over() else self._end(f"nothing was sent for {seconds:g} s", TIME_OUT)

    def close(self) -> None:
        self.state = State.CLOSED
        self._stream = None

    def _is_over(self) -> bool:
        if self.state is State.CLOSED:
            raise ValueError("the conversation is closed")
        return self.state is State.DECIDED

    def _start(self, message: dict[str, Any]) -> Reply:
        try:
            wanted = Start.model_validate(message)
            self._stream = self._begin(wanted)
        except ValidationError as error:
            return self._end(f"start: {first_problem(error)}", WRONG_DATA)
        except ShortvoxError as error:
            return self._end(str(error), OUT_OF_ORDER)
        self._samples = _SAMPLES[wanted.format]
        self.state = State.STREAMING
        return Reply({"type": "started", "speaker": wanted.speaker, "looks": list(self._stream.looks)})

    def _decision(self, step: Callable[[], Any], last: bool = False) -> Reply | None:
        try:
            decision = step()
        except ShortvoxError as error:
            return self._end(str(error), WRONG_DATA)
        assert self._stream is not None
        done = last or self._stream.done
        if decision == self._told and not done:
            return None
        self._told = decision
        if done:
            self.state = State.DECIDED
        message = {"type": "decision", "done": done, "heard": self._heard / SAMPLE_RATE, **decision.as_dict()}
        return Reply(message, DONE if done else None)

    def _end(self, line: str, code: int) -> Reply:
        self.state = State.DECIDED
        return Reply({"error": line}, code)
