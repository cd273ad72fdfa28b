"""Made voices: sounds with a pitch and formants of their own, so that training has something to learn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from scipy import signal

from shortvox.corpora.corpus import Corpus, load_corpus, write_manifest
from shortvox.corpora.store import AudioStore
from shortvox.corpora.utterance import Utterance

RATE = 16000


def voice(speaker: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """(samples,) float32, int16-quantised: glottal pulses through formants, over a noise floor."""
    samples = round(seconds * RATE)
    pitch = (90 + 28 * speaker) * (1 + 0.05 * np.sin(2 * np.pi * 3 * np.arange(samples) / RATE + rng.uniform(0, 6)))
    phase = np.cumsum(pitch / RATE)
    pulses = np.diff(np.floor(phase), prepend=0.0) + 0.02 * rng.standard_normal(samples)
    sound = pulses
    for formant in (420 + 70 * speaker, 1300 + 160 * speaker, 2500 + 110 * speaker):
        radius = np.exp(-np.pi * 90 / RATE)
        sound = signal.lfilter([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * formant / RATE), radius**2], sound)
    loudness = 0.6 + 0.4 * np.sin(2 * np.pi * 2.5 * np.arange(samples) / RATE + rng.uniform(0, 6))
    sound = 0.2 * loudness * sound / np.sqrt(np.mean(sound**2)) + 0.002 * rng.standard_normal(samples)
    return (np.rint(np.clip(sound, -0.99, 0.99) * 32767) / 32768).astype(np.float32)


# Formants of men's vowels in Hz (Peterson and Barney, 1952).
VOWELS = (
    (730, 1090, 2440),
    (270, 2290, 3010),
    (300, 870, 2240),
    (530, 1840, 2480),
    (570, 840, 2410),
    (660, 1720, 2410),
)


def syllables(speaker: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """(samples,) float32: four syllables a second whose vowels glide, so that a speech detector hears speech."""
    time = np.arange(round(seconds * RATE)) / RATE
    count = int(seconds * 4) + 2
    knots = np.arange(count) / 4
    tract = 0.9 + 0.05 * speaker
    vowels = np.column_stack([np.array(VOWELS)[rng.integers(0, len(VOWELS), count)], np.full(count, 3500)]) * tract
    pitch = (95 + 17 * speaker) * np.interp(time, knots, rng.uniform(0.85, 1.2, count))
    pulses = np.diff(np.floor(np.cumsum(pitch / RATE)), prepend=0.0)
    sound = signal.lfilter([1], [1, -0.95], pulses) + 0.003 * rng.standard_normal(len(time))
    for formant, hertz in enumerate(vowels.T):
        radius = np.exp(-np.pi * (60 + 40 * formant) / RATE)
        state = np.zeros(2)
        for first in range(0, len(time), RATE // 100):
            angle = 2 * np.pi * np.interp(time[first], knots, hertz) / RATE
            poles = [1, -2 * radius * np.cos(angle), radius**2]
            piece = slice(first, first + RATE // 100)
            sound[piece], state = signal.lfilter([sum(poles)], poles, sound[piece], zi=state)
    sound = np.diff(sound, prepend=0.0) * (0.15 + 0.85 * np.sin(np.pi * (time * 4 % 1)) ** 0.7)
    sound = 0.08 * sound / np.sqrt(np.mean(sound**2)) + 2e-4 * rng.standard_normal(len(time))
    return np.clip(sound, -0.99, 0.99).astype(np.float32)


def make_voices(folder: Path, *, speakers: int = 6, each: int = 4, first: int = 0) -> Corpus:
    """Speakers `v0`, `v1`…, utterances `v0-0` of 1.5–3 s over two sessions, WAV and FLAC in turn."""
    rng = np.random.default_rng(7)
    utterances = []
    for speaker in range(first, first + speakers):
        for number in range(each):
            path = folder / f"v{speaker}" / f"{number}.{('wav', 'flac')[number % 2]}"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, voice(speaker, rng.uniform(1.5, 3.0), rng), RATE, subtype="PCM_16")
            utterances.append(Utterance(f"v{speaker}-{number}", f"v{speaker}", path, session=f"day{number % 2}"))
    write_manifest(folder, utterances)
    return load_corpus(folder)


@dataclass(frozen=True)
class Broken:
    """A store whose speech has pauses, at another share in each utterance."""

    store: AudioStore

    @property
    def lengths(self) -> np.ndarray:
        return self.store.lengths

    def read(self, position: int, start: int = 0, samples: int | None = None) -> np.ndarray:
        waveform = self.store.read(position, start, samples)
        quiet = np.arange(start, start + len(waveform)) // 1600 % (2 + position % 3) == 0
        return np.where(quiet, np.float32(1e-3), np.float32(1)) * waveform


def write_pairs(folder: Path) -> tuple[Path, Path, Path]:
    """Three seconds each of a voice, of the same again, and of another, which speech detectors hear."""
    paths = []
    for number, (speaker, seed) in enumerate(((0, 0), (0, 2), (7, 0))):
        paths.append(folder / f"{number}.wav")
        soundfile.write(paths[-1], syllables(speaker, 3.0, np.random.default_rng((seed, speaker))), RATE)
    return paths[0], paths[1], paths[2]
