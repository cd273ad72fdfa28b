"""Words of one speaker joined to utterances of a few seconds: a training corpus of one-word recordings.

A crop is seldom longer than a second of one word, and what a teacher hears of it says little. Here each speaker's
recordings of a session, in a random order, are joined in groups of about `--words` with short pauses between, as FLAC.

    python benchmarks/join_words.py OUT CORPUS [--words 4] [--seed 0]
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import soundfile

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.corpus import load_corpus, write_manifest
from shortvox.corpora.speech import SpeechData
from shortvox.corpora.utterance import Utterance

PAUSE = (0.05, 0.25)  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--words", type=int, default=4, help="in an utterance, about")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    data = SpeechData.open(load_corpus(asked.corpus))
    sessions: dict[tuple[str, str], list[int]] = defaultdict(list)
    for position, utterance in enumerate(data.corpus.utterances):
        sessions[utterance.speaker, utterance.session].append(position)
    (asked.out / "audio").mkdir(parents=True)
    rows = []
    for (speaker, session), positions in sorted(sessions.items()):
        groups = np.array_split(rng.permutation(positions), max(1, round(len(positions) / asked.words)))
        for number, group in enumerate(groups):
            joined = join([data.store.read(int(position)) for position in group], rng)
            name = f"{speaker}-{session}-joined{number}"
            path = asked.out.absolute() / "audio" / f"{name}.flac"
            soundfile.write(path, joined, SAMPLE_RATE, subtype="PCM_16")
            first = data.corpus.utterances[int(group[0])]
            rows.append(
                Utterance(
                    id=name,
                    speaker=speaker,
                    session=session,
                    path=path,
                    duration=round(len(joined) / SAMPLE_RATE, 3),
                    gender=first.gender,
                )
            )
    write_manifest(asked.out, rows)
    print(f"{len(rows)} utterances of {len({row.speaker for row in rows})} speakers")


def join(words: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    pieces = [words[0]]
    for word in words[1:]:
        pieces += [np.zeros(round(rng.uniform(*PAUSE) * SAMPLE_RATE), dtype=np.float32), word]
    return np.concatenate(pieces)


if __name__ == "__main__":
    main()
