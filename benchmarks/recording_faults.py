"""What faults of a recording do to verification: whole recordings enrolled as they are, tested with a fault.

    python benchmarks/recording_faults.py CORPUS

Tests are the first 1.5 s of speech. Clipping is hard, of the loudest share of samples, and so are 16 bits at a level.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import soxr
from speech_detectors import across_sessions

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.corpus import load_corpus
from shortvox.corpora.speech import SpeechData
from shortvox.encoders.opening import open_encoder
from shortvox.evaluation.metrics import eer
from shortvox.verification.quality import flat_share, high_band, level
from shortvox.verification.speech import find_speech

SECONDS = 1.5


def clipped(waveform: np.ndarray, share: float) -> np.ndarray:
    limit = np.quantile(np.abs(waveform), 1 - share)
    return np.clip(waveform, -limit, limit)


def in_16_bits(waveform: np.ndarray, decibels: float) -> np.ndarray:
    scaled = waveform * 10 ** ((decibels - level(waveform)) / 20)
    return (np.rint(scaled * 32768) / 32768).astype(np.float32)


def through_rate(waveform: np.ndarray, rate: int) -> np.ndarray:
    return soxr.resample(soxr.resample(waveform, SAMPLE_RATE, rate), rate, SAMPLE_RATE)


FAULTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda waveform: waveform,
    **{f"clipped, {share:.0%}": partial(clipped, share=share) for share in (0.01, 0.03, 0.1, 0.2, 0.3, 0.5)},
    **{f"16 bits at {db} dBFS": partial(in_16_bits, decibels=db) for db in (-40, -50, -60, -70, -80)},
    **{f"through {rate} Hz": partial(through_rate, rate=rate) for rate in (8000, 6000)},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--model", default="default")
    given = parser.parse_args()
    data = SpeechData.open(load_corpus(given.corpus))
    encoder = open_encoder(given.model, "cpu")
    pairs = across_sessions(data)
    enrolled = sorted({one for one, _ in pairs})
    voices = np.concatenate([encoder.embed([data.store.read(one)]) for one in enrolled])
    tests = [find_speech(data.store.read(other)).net[: round(SECONDS * SAMPLE_RATE)] for _, other in pairs]
    labels = np.array([one for one, _ in pairs])[:, None] == np.array(enrolled)
    print(f"{len(enrolled)} speakers enrolled, {len(tests)} tests of {SECONDS:g} s, {encoder.name}")
    print("| fault | flat | level, dBFS | high band, dB | speech found | cosine, same | others | EER |")
    print(f"|{'---|' * 8}")
    for name, fault in FAULTS.items():
        heard = [fault(test) for test in tests]
        scores = np.concatenate([encoder.embed([one]) for one in heard]) @ voices.T
        flat, loud, high = np.median([(flat_share(one), level(one), high_band(one)) for one in heard], axis=0)
        found = sum(find_speech(one).seconds for one in heard[::2]) / sum(
            find_speech(one).seconds for one in tests[::2]
        )
        print(
            f"| {name} | {flat:.2%} | {loud:.0f} | {high:.0f} | {found:.0%} | {scores[labels].mean():.2f} "
            f"| {scores[~labels].mean():.2f} | {eer(scores.ravel(), labels.ravel()):.1%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
