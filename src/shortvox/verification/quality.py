"""What is wrong with a recording: why it is refused, or what it is taken with.

The thresholds are set so that next to no clean recording of real speech is refused, and few are warned of
(docs/methods/speech-detection.md has the figures).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.verification.speech import Speech

SILENT = -60.0  # dBFS of the loudest 20 ms about their mean: real speech reaches -39 and more
QUIET = -60.0  # dBFS of speech, RMS; the detector begins to miss words below
FLAT = 0.98  # of the peak: samples from there on lie on it
CLIPPED = 0.003  # share of flat samples; at most 0.0007 in sentences that were not clipped
DESTROYED = 0.3  # up to 0.2 no error was seen to grow; the cosine falls by a quarter here
NARROW = -50.0  # dB of 4.2–7.5 kHz beside 0.2–3.4 kHz: telephone speech stays below -53, even after a codec


class Fault(StrEnum):
    SILENCE = "silence"
    NOISE = "noise"
    TOO_SHORT = "too_short"
    CLIPPING = "clipping"
    TOO_QUIET = "too_quiet"
    NARROW_BAND = "narrow_band"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault, `text` and `advice` in one line each; `refuses` where the recording must not be used."""

    fault: Fault
    text: str
    advice: str
    refuses: bool


def examine(speech: Speech, shortest: float) -> tuple[Finding, ...]:
    """All that is wrong with a recording of which `shortest` seconds of speech are needed; what refuses it comes first.

    Nothing, for a good one.
    """
    if not speech.segments:
        return (_without_speech(speech.waveform),)
    found = [
        *_short(speech, shortest),
        *_clipped(speech.net),
        *_quiet(speech.net),
        *_narrow(speech.net),
    ]
    return tuple(sorted(found, key=lambda finding: not finding.refuses))


def loudest(waveform: np.ndarray) -> float:
    """dBFS of the loudest 20 ms of (samples,) about their mean; of a shorter one, of all of it."""
    frame = max(min(SAMPLE_RATE // 50, len(waveform)), 1)
    frames = waveform[: len(waveform) // frame * frame].reshape(-1, frame)
    return _decibels(float(frames.var(axis=1, dtype=np.float64).max(initial=0.0)))


def level(net: np.ndarray) -> float:
    """dBFS of (samples,), at least one: RMS about their mean."""
    return _decibels(float(net.var(dtype=np.float64)))


def flat_share(net: np.ndarray) -> float:
    """The share of (samples,), at least one, that lies on their peak: about what was clipped, if no codec came after.

    At any gain, as clipping may have come before it.
    """
    size = np.abs(net)
    return float((size >= FLAT * size.max()).mean())


def high_band(net: np.ndarray) -> float:
    """dB by which the power at 4.2–7.5 kHz of (samples,), at least one, is above that at 0.2–3.4 kHz."""
    size = 512
    frames = np.pad(net, (0, -len(net) % size)).reshape(-1, size) * np.hanning(size).astype(np.float32)
    power = np.zeros(size // 2 + 1)
    for first in range(0, len(frames), 1000):  # a long recording needs no more memory than its samples
        power += np.square(np.abs(np.fft.rfft(frames[first : first + 1000]))).sum(axis=0)
    hertz = np.arange(len(power)) * SAMPLE_RATE / size
    high, low = (power[(hertz >= bottom) & (hertz < top)].sum() for bottom, top in ((4200, 7500), (200, 3400)))
    return _decibels(high) - _decibels(low)


def _without_speech(waveform: np.ndarray) -> Finding:
    if not len(waveform):
        return Finding(Fault.SILENCE, "nothing was recorded", "record again", refuses=True)
    length = f"{len(waveform) / SAMPLE_RATE:.2f} s"
    peak = loudest(waveform)
    if peak < SILENT:
        return Finding(
            Fault.SILENCE,
            f"{length} of silence: nothing is louder than {max(peak, -99):.0f} dBFS",
            "is the microphone on, and the right one? Record again",
            refuses=True,
        )
    return Finding(
        Fault.NOISE,
        f"{length} of sound, but no speech in it",
        "speak closer to the microphone, in less noise",
        refuses=True,
    )


def _short(speech: Speech, shortest: float) -> list[Finding]:
    if speech.seconds >= shortest:
        return []
    heard = len(speech.waveform) / SAMPLE_RATE
    found = math.floor(100 * speech.seconds) / 100  # never as much as is needed
    text = f"{found:.2f} s of speech in {heard:.2f} s of recording, {shortest:.2f} s are needed"
    more = math.ceil(10 * (shortest - speech.seconds)) / 10
    return [Finding(Fault.TOO_SHORT, text, f"speak {more:.1f} s longer", refuses=True)]


def _clipped(net: np.ndarray) -> list[Finding]:
    share = flat_share(net)
    if share < CLIPPED:
        return []
    text = f"{_percent(share)} of the samples are clipped"
    return [Finding(Fault.CLIPPING, text, "lower the recording level, and record again", refuses=share >= DESTROYED)]


def _quiet(net: np.ndarray) -> list[Finding]:
    heard = level(net)
    if heard >= QUIET:
        return []
    text = f"speech of {heard:.0f} dBFS is so quiet that words can be missed"
    return [Finding(Fault.TOO_QUIET, text, "raise the recording level, or come closer", refuses=False)]


def _narrow(net: np.ndarray) -> list[Finding]:
    if high_band(net) >= NARROW:
        return []
    text = "nothing above 4 kHz, as over a telephone"
    return [Finding(Fault.NARROW_BAND, text, "enrol over the same line, or record at 16 kHz", refuses=False)]


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"


def _decibels(power: float) -> float:
    return 10 * float(np.log10(max(power, 1e-30)))
