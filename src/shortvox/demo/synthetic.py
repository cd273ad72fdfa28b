"""Synthetic voices, for machines that cannot have recorded ones: espeak-ng, shifted in pitch and formants.

A voice is an espeak-ng variant with a pitch, a pitch range and a pace of its own, played faster or slower by a few
per cent, which shifts its formants as a shorter or longer vocal tract would. They show that the machinery works.
They show nothing about people: each voice says a word in the same way every time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.corpus import write_manifest
from shortvox.corpora.utterance import Utterance
from shortvox.demo.clips import Clip, join, trim, write_flac
from shortvox.errors import ShortvoxError
from shortvox.files import write_text
from shortvox.progress import progress_bar

TRAIN_SPEAKERS, TEST_SPEAKERS = 24, 10
UTTERANCES = {"train": 20, "test": 12}
_SENTENCES_EACH = 3  # three short sentences last 6 s or more
_VARIANTS = (
    "m1",
    "m2",
    "m3",
    "m4",
    "m5",
    "m6",
    "m7",
    "m8",
    "f1",
    "f2",
    "f3",
    "f4",
    "f5",
    "klatt",
    "klatt2",
    "klatt4",
    "linda",
    "steph",
    "rob",
    "david",
    "ed",
    "michel",
    "max",
    "benjamin",
    "aunty",
    "grandma",
    "grandpa",
    "antonio",
    "adam",
    "pedro",
    "belinda",
    "miguel",
    "norbert",
    "marco",
)
_FEMALE = frozenset(["linda", "steph", "aunty", "grandma", "belinda"])
_WHO = (
    "The baker",
    "My sister",
    "A tall man",
    "The driver",
    "Our teacher",
    "The old captain",
    "A young nurse",
    "The farmer",
    "His uncle",
    "The singer",
    "Every child",
    "The judge",
)
_DOES = (
    "carries",
    "forgets",
    "paints",
    "follows",
    "watches",
    "borrows",
    "repairs",
    "remembers",
    "finds",
    "sells",
    "describes",
    "chooses",
)
_WHAT = (
    "a yellow bicycle",
    "the broken window",
    "seven small boxes",
    "an empty bottle",
    "the wooden bridge",
    "a quiet garden",
    "the morning paper",
    "some fresh bread",
    "a heavy suitcase",
    "the longest river",
    "five green apples",
    "a silver watch",
)
_WHEN = (
    "before sunrise",
    "every Thursday",
    "in the rain",
    "without a word",
    "near the station",
    "after lunch",
    "behind the house",
    "once a year",
    "on the way home",
    "at the weekend",
    "under a bright moon",
    "in winter",
)


@dataclass(frozen=True)
class SyntheticVoice:
    """`stretch` is the factor of the playing rate: above 1, formants and pitch are higher."""

    name: str
    variant: str
    pitch: int
    range: int
    rate: int
    stretch: float

    @property
    def gender(self) -> str:
        return "f" if self.variant[0] == "f" or self.variant in _FEMALE else "m"


@dataclass(frozen=True)
class Synthetic:
    licence: dict[str, Any]
    notes: tuple[str, ...]


def voices(count: int, seed: int) -> list[SyntheticVoice]:
    """`count` different voices, each with its own variant while there are enough."""
    rng = np.random.default_rng([seed, 2])
    variants = [_VARIANTS[i % len(_VARIANTS)] for i in rng.permutation(max(count, len(_VARIANTS)))][:count]
    return [
        SyntheticVoice(
            f"synthetic-{i:02d}",
            variant,
            int(rng.integers(25, 76)),
            int(rng.integers(30, 71)),
            int(rng.integers(140, 190)),
            round(float(rng.uniform(0.88, 1.14)), 3),
        )
        for i, variant in enumerate(variants)
    ]


def build(out: Path, *, seed: int, train: int = TRAIN_SPEAKERS, test: int = TEST_SPEAKERS) -> Synthetic:
    """Fill `out/train`, `out/test` and `out/licences` with synthetic speakers.

    Raises ShortvoxError when espeakng-loader is not installed, or when fewer than 4 voices of a split can be made.
    """
    try:
        import espeakng_loader
    except ImportError:
        raise ShortvoxError("synthetic demo voices need espeakng-loader; pip install 'shortvox[demo]'") from None
    library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    made = voices(train + test, seed)
    notes: list[str] = []
    rows: dict[str, list[Utterance]] = {"train": [], "test": []}
    with progress_bar() as bar:
        task = bar.add_task("SYNTHETIC voices", total=len(made), note="")
        for position, voice in enumerate(made):
            split = "train" if position < train else "test"
            bar.update(task, note=voice.name)
            try:
                rows[split] += write_voice(voice, out / split, str(library), str(data), seed, UTTERANCES[split])
            except ShortvoxError as error:
                notes.append(f"{voice.name}: left out, {error}.")
            bar.advance(task)
    for split, utterances in rows.items():
        if len({u.speaker for u in utterances}) < 4:
            raise ShortvoxError(f"synthetic voices could not be made: {' '.join(notes)}")
        write_manifest(out / split, utterances)
    write_text(
        out / "licences" / "espeak-ng.txt",
        "The voices were made by espeak-ng (GPL-3.0-or-later, its authors) through the Python package "
        "espeakng-loader. The sound itself is this program's output.\n",
    )
    licence = {
        "package": "espeakng-loader",
        "version": _version(),
        "licence": "GPL-3.0-or-later (espeak-ng)",
        "file": "licences/espeak-ng.txt",
        "speakers": sorted({u.speaker for own in rows.values() for u in own}),
    }
    return Synthetic(
        licence,
        (*notes, "Synthetic voices show that the machinery works. Nothing can be concluded about people from them."),
    )


def write_voice(
    voice: SyntheticVoice, out: Path, library: str, data: str, seed: int, utterances: int
) -> list[Utterance]:
    """Speak and write `utterances` of 6 to 8 s below `out`, with espeak-ng's `library` and its `data`.

    Raises ShortvoxError when espeak-ng fails, or fewer than 4 come of it.
    """
    rng = np.random.default_rng([seed, 3, *voice.name.encode()])
    with tempfile.TemporaryDirectory() as folder:
        texts = [sentence(rng) for _ in range(_SENTENCES_EACH * utterances + _SENTENCES_EACH)]
        paths = [Path(folder) / f"{i:03d}.wav" for i in range(len(texts))]
        job = {
            "library": library,
            "data": data,
            "voice": f"en+{voice.variant}",
            "rate": voice.rate,
            "pitch": voice.pitch,
            "range": voice.range,
            "out": [[text, str(path)] for text, path in zip(texts, paths, strict=True)],
        }
        _speak(job)
        clips = [Clip(path.name, _shifted(path, voice.stretch), ("espeak-ng",)) for path in paths]
    joined = join([clip for clip in clips if len(clip.samples)], rng)[:utterances]
    rows = []
    for number, (samples, parts) in enumerate(joined):
        name = f"{voice.name}-{number:03d}"
        path = out / voice.name / f"{name}.flac"
        write_flac(path, samples)
        rows.append(
            Utterance(
                name,
                voice.name,
                path,
                "espeak-ng",
                round(len(samples) / SAMPLE_RATE, 3),
                voice.gender,
                extra=(
                    ("family", "espeak-ng"),
                    ("package", "espeak-ng"),
                    ("bandwidth", "16k"),
                    ("clips", str(len(parts))),
                ),
            )
        )
    if len(rows) < 4:
        raise ShortvoxError(f"espeak-ng gave only {len(rows)} utterances")
    return rows


def sentence(rng: np.random.Generator) -> str:
    """One of 20 736."""
    return " ".join(part[rng.integers(len(part))] for part in (_WHO, _DOES, _WHAT, _WHEN)) + "."


def _speak(job: dict[str, Any]) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-m", "shortvox.demo.espeak"],
            input=json.dumps(job),
            text=True,
            errors="replace",
            capture_output=True,
            timeout=300,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ShortvoxError("espeak-ng did not finish within 300 s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise ShortvoxError(f"espeak-ng failed with status {done.returncode} ({lines[-1] if lines else 'no message'})")


def _shifted(path: Path, stretch: float) -> np.ndarray:
    """The file played at `stretch` times its rate, at 16 kHz, trimmed."""
    samples, rate = soundfile.read(str(path), dtype="float32")
    if not len(samples):
        return np.zeros(0, np.float32)
    return trim(np.clip(soxr.resample(samples, rate * stretch, SAMPLE_RATE), -1, 1))


def _version() -> str:
    from importlib.metadata import version

    return version("espeakng-loader")
