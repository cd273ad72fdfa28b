"""Are enrolments of one person taken, and those of two refused? By `Verifier.enrol`, on recordings of a corpus.

    python benchmarks/two_voices.py corpora/librispeech_test --cache audio

One person: three recordings of each speaker, and one long recording (two joined). Two people: three recordings of which
the last is somebody else's, two of which one is, and one recording in which a second voice takes over half way.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shortvox.corpora.corpus import load_corpus
from shortvox.corpora.speech import SpeechData
from shortvox.verification.decision import Refusal
from shortvox.verification.verifier import Verifier


def cases(takes: list[list[np.ndarray]], rng: np.random.Generator) -> dict[str, list[tuple[list[np.ndarray], bool]]]:
    """Enrolments of each kind and whether they are of one person, one for each speaker (takes of three and more)."""
    found: dict[str, list[tuple[list[np.ndarray], bool]]] = {}

    def add(name: str, recordings: Sequence[np.ndarray], one: bool) -> None:
        found.setdefault(name, []).append((list(recordings), one))

    for number, own in enumerate(takes):
        other = takes[(number + int(rng.integers(1, len(takes)))) % len(takes)][0]
        add("three recordings", own[:3], True)
        add("a long recording", [np.concatenate(own[:2])], True)
        add("the third of another", [*own[:2], other], False)
        add("the second of another", [own[0], other], False)
        add("another takes over half way", [np.concatenate([own[0], other])], False)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--cache", type=Path)
    asked = parser.parse_args()
    verifier = Verifier.load(asked.model)
    data = SpeechData.open(load_corpus(asked.corpus), asked.cache)
    takes = [
        [data.store.read(at) for at in places[:3]] for places in data.corpus.by_speaker().values() if len(places) > 2
    ]
    result = {}
    for name, enrolments in cases(takes, np.random.default_rng(0)).items():
        said = [verifier.enrol(recordings) for recordings, _ in enrolments]
        refused = [one for one in said if isinstance(one, Refusal)]
        voices = [one for one in refused if one.reason == "two_voices"]
        named = sum(one.recordings == (2,) for one in voices)
        result[name] = {
            "enrolments": len(said),
            "two voices": len(voices),
            "otherwise refused": len(refused) - len(voices),
        }
        if name == "the third of another":
            result[name]["the third is named"] = named
    print(json.dumps({"model": asked.model, "corpus": data.corpus.name, **result}, indent=2))


if __name__ == "__main__":
    main()
