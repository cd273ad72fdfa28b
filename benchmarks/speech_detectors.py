"""Speech detectors against each other: frames missed and falsely found, and what that does to verification.

    python benchmarks/speech_detectors.py CORPUS --noise NOISE

First, pieces of speech between two half seconds of silence, in noise and in rooms. The reference is the energy VAD on
the clean recording, which hears loudness and not speech: breaths count as speech, soft consonants do not, and a
reverberant tail is a false alarm although it is somebody's voice. It is the same for all detectors.

Second, the error that matters: whole recordings enrolled clean, tested with one second of speech of another session
between two seconds that hold only noise, cut to what a detector finds in it, to the true second, or not at all.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.corpus import load_corpus
from shortvox.corpora.speech import SpeechData
from shortvox.encoders.opening import open_encoder
from shortvox.evaluation.metrics import eer
from shortvox.frontend.augment import Bank, at_snr, direct_path_first, power
from shortvox.frontend.rooms import simulated_rooms
from shortvox.verification.detectors import KALDI_HOP, detector
from shortvox.verification.speech import find_speech

DETECTORS = ("silero", "energy")
HISS = 1e-4  # of what is called silence, -80 dBFS
SNRS = (20.0, 10.0, 0.0)
LENGTHS = (0.3, 0.5, 1.0)
AROUND = 0.5  # seconds of silence before and after a piece
ROOMS = 30
TESTS = 2  # of each speaker

Heard = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--noise", type=Path, required=True, help="folder of recordings without speech")
    parser.add_argument("--speakers", type=int, default=50)
    parser.add_argument("--model", default="default")
    given = parser.parse_args()
    corpus = load_corpus(given.corpus)
    speakers = set(corpus.speakers[: given.speakers])
    data = SpeechData.open(corpus).select(lambda utterance: utterance.speaker in speakers)
    noises = Bank((given.noise,))
    conditions = heard_through(noises)
    frames(data, conditions)
    false_alarms(noises)
    verification(data, noises, given.model)


def heard_through(noises: Bank) -> dict[str, Heard]:
    """Recordings -> what a microphone gets; noise is mixed at the power of the speech alone."""
    rooms = [direct_path_first(response) for response in simulated_rooms(ROOMS, seed=0)]

    def in_room(waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        room = rooms[rng.integers(len(rooms))]
        return np.convolve(waveform, room / np.sqrt(np.square(room).sum()))[: len(waveform)].astype(np.float32)

    def in_noise(snr: float) -> Heard:
        return lambda waveform, rng: with_noise(waveform, noises, snr, rng)

    return {
        "clean": lambda waveform, _: waveform,
        "room": in_room,
        **{f"noise, {snr:g} dB": in_noise(snr) for snr in SNRS},
    }


def with_noise(waveform: np.ndarray, noises: Bank, snr: float, rng: np.random.Generator) -> np.ndarray:
    """Noise over all of a waveform, `snr` dB below what of it is no silence."""
    spoken = waveform[np.abs(waveform) > 5 * HISS]
    noise = noises.crop(len(waveform), rng)
    level = at_snr(spoken, noise, snr) if len(spoken) else at_snr(np.ones(1), noise, 20.0)
    return hiss(len(waveform), rng) + (waveform + level).astype(np.float32)


def hiss(samples: int, rng: np.random.Generator) -> np.ndarray:
    return (HISS * rng.standard_normal(samples)).astype(np.float32)


def loud_from(decisions: np.ndarray, frames: int) -> int | None:
    """The first frame of the stretch of `frames` with the most speech; None where less than two thirds of it are."""
    if len(decisions) < frames:
        return None
    spoken = np.convolve(decisions, np.ones(frames), "valid")
    return int(spoken.argmax()) if spoken.max() >= frames * 2 / 3 else None


def frames(data: SpeechData, conditions: dict[str, Heard]) -> None:
    """Miss and false alarm of 10 ms frames, and pieces of which nothing was found."""
    firsts = [positions[0] for positions in data.corpus.by_speaker().values()]
    rows: dict[tuple[float, str, str], list[tuple[int, int, int, int, bool]]] = {}
    for position in firsts:
        whole = data.store.read(position)
        reference = detector["energy"](whole)
        for seconds in LENGTHS:
            count = round(seconds * SAMPLE_RATE) // KALDI_HOP
            first = loud_from(reference, count)
            if first is None:
                continue
            rng = np.random.default_rng((position, count))
            around = round(AROUND * SAMPLE_RATE) // KALDI_HOP
            piece = whole[first * KALDI_HOP :][: count * KALDI_HOP]
            truth = np.pad(reference[first : first + count], around)
            set_in = np.pad(piece, around * KALDI_HOP)
            for condition, heard in conditions.items():
                waveform = heard(set_in + hiss(len(set_in), rng), rng)
                for name in DETECTORS:
                    found = find_speech(waveform, name)
                    spoken = np.zeros(len(waveform), bool)
                    for start, stop in found.segments:
                        spoken[start:stop] = True
                    said = spoken[KALDI_HOP // 2 :: KALDI_HOP]  # at the middle of each frame
                    rows.setdefault((seconds, condition, name), []).append(
                        (
                            int((truth & ~said).sum()),
                            int(truth.sum()),
                            int((said & ~truth).sum()),
                            int((~truth).sum()),
                            not found.segments,
                        )
                    )
    print(
        "| speech | heard | detector | pieces | missed | false alarm | nothing found |\n|---|---|---|---|---|---|---|"
    )
    for (seconds, condition, name), counts in rows.items():
        missed, speech, false, other, nothing = np.sum(counts, axis=0)
        print(
            f"| {seconds:g} s | {condition} | {name} | {len(counts)} | {missed / speech:.1%} | {false / other:.1%} "
            f"| {nothing / len(counts):.1%} |"
        )


def false_alarms(noises: Bank) -> None:
    """Of noise alone, by its folder: the share that is called speech, and of recordings in which enough is."""
    counts: dict[tuple[str, str], list[tuple[float, bool]]] = {}
    for number, path in enumerate(noises.paths):
        noise = noises.load(number)[: 5 * SAMPLE_RATE]
        scaled = noise * np.float32(0.05 / np.sqrt(max(power(noise), 1e-12)))
        for name in DETECTORS:
            found = find_speech(scaled, name)
            share = found.seconds * SAMPLE_RATE / len(noise)
            counts.setdefault((path.parent.name, name), []).append((share, found.seconds >= LENGTHS[0]))
    print(f"\n| noise alone | detector | recordings | called speech | with {LENGTHS[0]:g} s or more |")
    print("|---|---|---|---|---|")
    for (kind, name), rows in sorted(counts.items()):
        share, any_speech = np.mean(rows, axis=0)
        print(f"| {kind} | {name} | {len(rows)} | {share:.1%} | {any_speech:.1%} |")


def across_sessions(data: SpeechData) -> list[tuple[int, int]]:
    """Positions: the first recording of each speaker, with some of other sessions where there are any."""
    utterances = data.corpus.utterances
    pairs: list[tuple[int, int]] = []
    for first, *rest in data.corpus.by_speaker().values():
        others = [one for one in rest if utterances[one].session != utterances[first].session]
        pairs += [(first, other) for other in (others or rest)[:TESTS]]
    return pairs


def verification(data: SpeechData, noises: Bank, model: str) -> None:
    """EER of the tests in which speech was found, and the share of tests in which it was not."""
    encoder = open_encoder(model, "cpu")
    pairs = across_sessions(data)
    enrolled = sorted({one for one, _ in pairs})
    voices = np.concatenate([encoder.embed([find_speech(data.store.read(one)).net]) for one in enrolled])
    print(f"\n{len(enrolled)} speakers enrolled, {len(pairs)} tests of 1 s, {encoder.name}")
    print("| noise | test cut to | seconds | refused | EER |\n|---|---|---|---|---|")
    for snr in (None, *SNRS):
        tests: dict[str, list[np.ndarray]] = {}
        for _, position in pairs:
            rng = np.random.default_rng(position)
            whole = data.store.read(position)
            first = loud_from(detector["energy"](whole), SAMPLE_RATE // KALDI_HOP) or 0
            piece = whole[first * KALDI_HOP :][:SAMPLE_RATE]
            waveform = np.pad(piece, SAMPLE_RATE) + hiss(len(piece) + 2 * SAMPLE_RATE, rng)
            if snr is not None:
                waveform = with_noise(waveform, noises, snr, rng)
            for name in DETECTORS:
                tests.setdefault(name, []).append(find_speech(waveform, name).net)
            tests.setdefault("the second", []).append(waveform[SAMPLE_RATE : SAMPLE_RATE + len(piece)])
            tests.setdefault("nothing, all is heard", []).append(waveform)
        for name, heard in tests.items():
            kept = [at for at, one in enumerate(heard) if len(one) >= encoder.shortest]
            embeddings = np.concatenate([encoder.embed([heard[at]]) for at in kept])
            labels = np.array([pairs[at][0] for at in kept])[:, None] == np.array(enrolled)
            seconds = np.mean([len(heard[at]) for at in kept]) / SAMPLE_RATE
            refused = 1 - len(kept) / len(heard)
            error = eer((embeddings @ voices.T).ravel(), labels.ravel())
            noise = "none" if snr is None else f"{snr:g} dB"
            print(f"| {noise} | {name} | {seconds:.2f} | {refused:.1%} | {error:.1%} |", flush=True)


if __name__ == "__main__":
    main()
