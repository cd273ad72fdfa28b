"""Voices made from voices: a corpus of speakers who do not exist, each a recorded one with other pitch and formants.

A made speaker has two factors, drawn once: pitch by playing faster or slower (pace goes along), formants by moving the
spectral envelope of every frame, as a shorter or longer vocal tract does. Its utterances are those of one recorded
speaker, changed in the same way. To a training they are speakers as any others, and a teacher hears them so.

    python benchmarks/changed_voices.py OUT CORPUS [--voices 1000] [--utterances 4] [--seed 0]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
from scipy.signal import ShortTimeFFT

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.corpus import load_corpus, write_manifest
from shortvox.corpora.speech import SpeechData
from shortvox.corpora.utterance import Utterance

PITCH = (0.8, 1.25)  # each to the other side of 1 by as much, in octaves
FORMANTS = (0.85, 1.18)
LEAST = 0.06  # octaves that formants move: with less, the voice is still that of its speaker
WINDOW, HOP = 512, 128
QUEFRENCIES = 40  # of the envelope: 2.5 ms, less than a period of most voices
LOUDEST = 30.0  # dB that a frequency gains or loses at most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--voices", type=int, default=1000)
    parser.add_argument("--utterances", type=int, default=4, help="of each at most")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    data = SpeechData.open(load_corpus(asked.corpus))
    (asked.out / "audio").mkdir(parents=True)
    rows = list(write_voices(data, asked.out.absolute(), asked.voices, asked.utterances, asked.seed))
    write_manifest(asked.out, rows)
    hours = sum(row.duration or 0.0 for row in rows) / 3600
    print(f"{len(rows)} utterances of {len({row.speaker for row in rows})} made speakers, {hours:.2f} h")


def write_voices(data: SpeechData, out: Path, voices: int, utterances: int, seed: int) -> Iterator[Utterance]:
    """The utterances of `voices` made speakers, written below `out`; recorded speakers take turns."""
    rng = np.random.default_rng(seed)
    recorded = sorted(data.corpus.by_speaker().items())
    rounds = -(-voices // len(recorded))
    order = np.concatenate([rng.permutation(len(recorded)) for _ in range(rounds)])[:voices]
    for number, place in enumerate(order):
        speaker, positions = recorded[place]
        pitch, formants = draw(rng)
        for position in rng.permutation(positions)[:utterances]:
            source = data.corpus.utterances[int(position)]
            changed = change_voice(data.store.read(int(position)), pitch, formants)
            name = f"made{number:05d}-{source.id.replace('/', '-')}"
            path = out / "audio" / f"{name}.flac"
            soundfile.write(path, changed, SAMPLE_RATE, subtype="PCM_16")
            yield Utterance(
                id=name,
                speaker=f"made{number:05d}",
                session=source.session,
                path=path,
                duration=round(len(changed) / SAMPLE_RATE, 3),
                gender=source.gender,
                extra=(("from", speaker), ("pitch", f"{pitch:.3f}"), ("formants", f"{formants:.3f}")),
            )


def draw(rng: np.random.Generator) -> tuple[float, float]:
    """Factors of pitch and formants, uniform in octaves."""
    while True:
        pitch, formants = np.exp2([rng.uniform(*np.log2(PITCH)), rng.uniform(*np.log2(FORMANTS))])
        if abs(np.log2(formants)) >= LEAST:
            return float(pitch), float(formants)


def change_voice(waveform: np.ndarray, pitch: float, formants: float) -> np.ndarray:
    """(samples,) at 16 kHz -> (about samples / pitch,) float32 of the same peak; pace changes as pitch does."""
    played = soxr.resample(waveform, SAMPLE_RATE * pitch, SAMPLE_RATE)
    changed = move_formants(played, formants / pitch)
    return (changed * (np.abs(waveform).max() / max(float(np.abs(changed).max()), 1e-9))).astype(np.float32)


def move_formants(waveform: np.ndarray, factor: float) -> np.ndarray:
    """(samples,) whose envelope at f is what it was at f / factor; the harmonics stay where they are.

    The envelope of a frame is its cepstrum's first quefrencies (Oppenheim and Schafer, 1975).
    """
    transform = ShortTimeFFT(np.hanning(WINDOW + 1)[:-1], HOP, SAMPLE_RATE)
    spectra = transform.stft(np.pad(waveform, (0, max(0, WINDOW - len(waveform)))))  # (bins, frames)
    cepstra = np.fft.irfft(np.log(np.abs(spectra) + 1e-6), axis=0)
    cepstra[QUEFRENCIES : WINDOW - QUEFRENCIES + 1] = 0.0
    envelope = np.fft.rfft(cepstra, axis=0).real
    bins = np.arange(len(envelope)) / factor
    low = np.minimum(bins.astype(int), len(envelope) - 2)
    share = np.minimum(bins - low, 1.0)[:, None]  # above what there was, the last value goes on
    gain = (1 - share) * envelope[low] + share * envelope[low + 1] - envelope
    most = LOUDEST / 20 * np.log(10)
    moved = transform.istft(spectra * np.exp(np.clip(gain, -most, most)), k1=max(len(waveform), WINDOW))
    return moved[: len(waveform)].astype(np.float32)


if __name__ == "__main__":
    main()
