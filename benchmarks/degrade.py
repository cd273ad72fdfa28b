"""A copy of a corpus that went through one degradation: what a test does in a room, over a telephone, among voices.

    python benchmarks/degrade.py OUT_OF INTO --with room
    python benchmarks/degrade.py OUT_OF INTO --with noise --noise NOISE --level 5
    python benchmarks/degrade.py OUT_OF INTO --with opus --only test --trials OUT_OF/test_trials.txt

Manifest, ids, columns and lists (*.txt) stay as they are. With `--only test` the clean recordings stay, each recording
on the test side of the list comes beside it as ID~KIND, and the list is written with these names: enrolled clean,
tested degraded, although one recording stands on both sides. Every choice is drawn from the seed and the utterance's
id.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.corpus import Corpus, load_corpus, write_manifest
from shortvox.corpora.manifest import MANIFEST
from shortvox.corpora.speech import SpeechData
from shortvox.corpora.utterance import Utterance
from shortvox.errors import ConfigError, CorpusError, in_one_line
from shortvox.evaluation.triallist import read_trials
from shortvox.evaluation.trials import Trials
from shortvox.files import write_text
from shortvox.frontend import channels as channels  # registers its kinds
from shortvox.frontend.augment import Augmenter, AugmentSettings, kind, mix
from shortvox.frontend.codecs import through_codec
from shortvox.progress import progress_bar

CLEAN, DEGRADED = "clean", "degraded"  # folders of the output
ROOMS = 60
LOUDEST = 0.99  # of full scale; what a degradation takes beyond it is written more quietly

Degrade = Callable[[Augmenter, np.ndarray, int, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Degradation:
    """`apply` takes an augmenter, (samples,), the utterance's position, a level and a generator; gives (samples,).

    `level` is the default, in `unit`; None where the degradation draws its own.
    """

    apply: Degrade
    level: float | None = None
    unit: str = ""


def _drawn(name: str) -> Degradation:
    """A kind of augmentation as it is drawn for training crops."""
    return Degradation(lambda augmenter, speech, position, _, rng: kind[name](augmenter, speech, position, rng))


def _noise(augmenter: Augmenter, speech: np.ndarray, _: int, snr: float, rng: np.random.Generator) -> np.ndarray:
    return mix(speech, augmenter.noises.crop(len(speech), rng), snr)


def _babble(augmenter: Augmenter, speech: np.ndarray, at: int, snr: float, rng: np.random.Generator) -> np.ndarray:
    """Three to seven other speakers of the corpus, all of them together at the SNR."""
    voices = speech
    while np.array_equal(voices, speech):  # when the speaker alone was drawn
        voices = kind["babble"](augmenter, speech, at, rng)
    return mix(speech, voices - speech, snr)


def _coded(name: str) -> Degrade:
    return lambda _, speech, __, rate, ___: through_codec(speech, name, round(1000 * rate))


DEGRADATIONS = {
    "room": _drawn("reverb"),
    "playback": _drawn("playback"),
    "noise": Degradation(_noise, 5.0, "dB SNR"),
    "babble": Degradation(_babble, 5.0, "dB SNR"),
    "telephone": _drawn("telephone"),
    "gsm": Degradation(_coded("gsm"), 13.2, "kbit/s"),
    "opus": Degradation(_coded("opus"), 6.0, "kbit/s"),
    "mp3": Degradation(_coded("mp3"), 16.0, "kbit/s"),
    "overload": _drawn("overload"),
    "loss": _drawn("loss"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--with", dest="name", required=True, choices=DEGRADATIONS)
    parser.add_argument("--level", type=float, help="dB of speech above noise or babble, kbit/s of a codec")
    parser.add_argument("--noise", type=Path, help="folder of noise, for --with noise")
    parser.add_argument("--only", choices=["test"], help="leave the enrolment side clean")
    parser.add_argument("--trials", type=Path, help="the list that says what is on the test side")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    try:
        if (asked.only is None) != (asked.trials is None):
            raise ConfigError("--only test: needs --trials LIST, and a list needs --only test; give both or neither")
        rows = degrade_corpus(
            asked.corpus,
            asked.out,
            asked.name,
            level=asked.level,
            noise=asked.noise,
            trials=asked.trials,
            seed=asked.seed,
        )
    except Exception as error:
        if (told := in_one_line(error)) is None:
            raise
        print(told, file=sys.stderr)
        sys.exit(2)
    print(f"{rows} utterances in {asked.out}")


def degrade_corpus(
    folder: Path,
    out: Path,
    name: str,
    *,
    level: float | None = None,
    noise: Path | None = None,
    trials: Path | None = None,
    seed: int = 0,
) -> int:
    """Write the degraded copy of a corpus; how many utterances it has. With a list of `trials`, clean ones are kept.

    Raises ConfigError for a level that the degradation does not take or lacks its noise, CorpusError for an output that
    holds a corpus.
    """
    how = DEGRADATIONS[name]
    if level is not None and how.level is None:
        raise ConfigError(f"--level: {name} draws its own strength; leave it out")
    if (noise is None) != (name != "noise"):
        raise ConfigError("--noise: goes with --with noise, and is needed there; name a folder of noise")
    if (out / MANIFEST).exists():
        raise CorpusError(f"{out}: holds a corpus already; choose another output folder")
    corpus = load_corpus(folder)
    if name == "babble" and len(corpus.speakers) < 2:
        raise CorpusError(f"{folder}: one speaker alone has nobody to babble; choose a corpus of several")
    settings = AugmentSettings(kinds=(), noise=(noise,) if noise else (), rooms=ROOMS)
    augmenter = Augmenter(settings, corpus, (data := SpeechData.open(corpus)).store, seed=seed)
    listed = None if trials is None else read_trials(trials, corpus)
    positions = range(len(corpus)) if listed is None else np.unique(listed.test).tolist()
    rows = {}
    (out / DEGRADED).mkdir(parents=True, exist_ok=True)
    with progress_bar() as bar:
        task = bar.add_task(f"Degrading by {name}", total=len(positions), note="")
        for position in positions:
            u = corpus.utterances[position]
            strength = 0.0 if how.level is None else how.level if level is None else level
            heard = how.apply(augmenter, data.store.read(position), position, strength, generator(seed, u.id))
            rows[position] = _written(out / DEGRADED / f"{position:06d}.flac", heard, u)
            bar.advance(task)
    if listed is None:
        utterances: Iterable[Utterance] = rows.values()
        for text in sorted(folder.glob("*.txt")):
            shutil.copy(text, out / text.name)
    else:
        named = {position: replace(u, id=f"{u.id}~{name}") for position, u in rows.items()}
        utterances = [*_linked(corpus, out), *named.values()]
        write_text(out / Path(str(trials)).name, _relisted(corpus, listed, named))
    write_manifest(out, utterances)
    return len(load_corpus(out))


def generator(seed: int, utterance: str) -> np.random.Generator:
    """Draws for one utterance, the same in whatever corpus it is."""
    return np.random.default_rng((seed, int.from_bytes(hashlib.sha256(utterance.encode()).digest()[:8], "little")))


def _written(path: Path, heard: np.ndarray, u: Utterance) -> Utterance:
    path = path.absolute()
    gain = min(1.0, LOUDEST / max(float(np.abs(heard).max()), 1e-9))
    soundfile.write(path, heard * np.float32(gain), SAMPLE_RATE, subtype="PCM_16")
    return replace(u, path=path, start=0.0, channel=None, duration=round(len(heard) / SAMPLE_RATE, 4))


def _linked(corpus: Corpus, out: Path) -> list[Utterance]:
    """The clean utterances, their recordings behind a link."""
    link = out.absolute() / CLEAN
    if not link.is_symlink():
        link.symlink_to(corpus.root.resolve())
    return [replace(u, path=link / u.path.relative_to(corpus.root)) for u in corpus.utterances]


def _relisted(corpus: Corpus, trials: Trials, named: dict[int, Utterance]) -> str:
    rows = zip(trials.label.tolist(), trials.enrol.tolist(), trials.test.tolist(), strict=True)
    return "".join(f"{int(label)}\t{corpus.utterances[enrol].id}\t{named[test].id}\n" for label, enrol, test in rows)


if __name__ == "__main__":
    main()
