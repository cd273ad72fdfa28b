"""Reads a JSON job on stdin, speaks its texts with espeak-ng into WAV files. Run as a process of its own:
`python -m shortvox.demo.espeak < job.json`, because libespeak-ng may abort the process that loads it.

The job: {"library", "data", "voice", "rate", "pitch", "range", "out": [[text, path], …]}; rate in words a minute,
pitch and range from 0 to 100. Only the standard library is imported, so that a process starts quickly.
"""

from __future__ import annotations

import ctypes
import json
import sys
import wave
from typing import Any

_SYNCHRONOUS = 2
_RATE, _PITCH, _RANGE = 1, 3, 4
_UTF8 = 1
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def speak(job: dict[str, Any]) -> None:
    library = ctypes.CDLL(job["library"])
    rate = library.espeak_Initialize(_SYNCHRONOUS, 0, job["data"].encode(), 0)
    if rate <= 0:
        raise SystemExit("espeak-ng could not be started")
    heard = bytearray()

    def collect(samples: Any, count: int, events: Any) -> int:
        if count > 0:
            heard.extend(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _CALLBACK(collect)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(job["voice"].encode()):
        raise SystemExit(f"espeak-ng has no voice {job['voice']}")
    for parameter, value in ((_RATE, job["rate"]), (_PITCH, job["pitch"]), (_RANGE, job["range"])):
        library.espeak_SetParameter(parameter, int(value), 0)
    for text, path in job["out"]:
        heard.clear()
        spoken = text.encode()
        library.espeak_Synth(spoken, ctypes.c_size_t(len(spoken) + 1), 0, 0, 0, _UTF8, None, None)
        with wave.open(path, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(bytes(heard))


if __name__ == "__main__":
    speak(json.load(sys.stdin))
