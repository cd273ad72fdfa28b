"""Speaker ids of a corpus that are one voice: what their error rates are not to blame an encoder for.

    python benchmarks/same_voice.py corpora/alphanumeric --model default --cache audio

Each id is enrolled with all of its recordings; ids are joined, the most alike groups first, while the mean natural-log
likelihood ratio between two groups is at least --least. It says that voices cannot be told apart, not whose they are.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from shortvox.corpora.corpus import load_corpus
from shortvox.corpora.speech import SpeechData
from shortvox.verification.verifier import Heard, Verifier
from shortvox.verification.voices import voices


def groups(folder: Path, model: str, cache: Path | None, least: float) -> tuple[list[list[str]], np.ndarray]:
    """Groups of two or more ids, the largest first, and the LLRs (n, n) of all ids in order of name."""
    verifier = Verifier.load(model)
    data = SpeechData.open(load_corpus(folder), cache)
    names, prints = [], []
    for name, places in sorted(data.corpus.by_speaker().items()):
        heard = [one for at in places if isinstance(one := verifier.hear(data.store.read(at)), Heard)]
        if heard:
            names.append(name)
            seconds = [one.net_speech for one in heard]
            prints.append(verifier.voiceprint(np.stack([one.embedding for one in heard]), seconds))
    centres = np.stack([one.centre for one in prints]).astype(np.float64)
    seconds = np.array([one.net_speech for one in prints])
    several = np.array([len(one.seconds) for one in prints])
    llrs = verifier.llr(centres @ centres.T, seconds[:, None], several[:, None], seconds[None, :])
    found = voices((llrs + llrs.T) / 2, least)
    return [[names[place] for place in group] for group in found if len(group) > 1], llrs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--least", type=float, default=6.0)
    asked = parser.parse_args()
    found, llrs = groups(asked.corpus, asked.model, asked.cache, asked.least)
    print(json.dumps({"ids": len(llrs), "voices": len(llrs) - sum(len(one) - 1 for one in found), "groups": found}))


if __name__ == "__main__":
    main()
