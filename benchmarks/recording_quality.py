"""What is said of real recordings: how many of a corpus are refused or warned of, and for what.

    python benchmarks/recording_quality.py CORPUS … [--every N] [--shortest SECONDS]

The thresholds of `shortvox.verification.quality` are set so that this refuses next to none; the refused are named, to
be listened to.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from shortvox.corpora.corpus import load_corpus
from shortvox.corpora.speech import SpeechData
from shortvox.verification.quality import Fault, examine, flat_share, level, loudest
from shortvox.verification.speech import find_speech


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="+", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take one recording of so many")
    parser.add_argument("--shortest", type=float, default=0.3, help="seconds of speech that are needed")
    given = parser.parse_args()
    print(f"| corpus | recordings | hours | refused | {' | '.join(Fault)} | least loud | least level | most flat |")
    print(f"|{'---|' * (len(Fault) + 7)}")
    refused: list[str] = []
    for folder in given.corpora:
        data = SpeechData.open(load_corpus(folder))
        faults: Counter[Fault] = Counter()
        measured: list[tuple[float, float, float]] = []
        before, seconds = len(refused), 0.0
        for position in range(0, len(data.corpus.utterances), given.every):
            speech = find_speech(data.store.read(position))
            seconds += len(speech.waveform) / 16000
            findings = examine(speech, given.shortest)
            faults.update(finding.fault for finding in findings)
            refused += [f"{data.store.name(position)}: {one.text}" for one in findings if one.refuses]
            if speech.segments:
                measured.append((loudest(speech.waveform), level(speech.net), flat_share(speech.net)))
        loud, speaking, flat = np.array(measured).T
        counts = " | ".join(str(faults[fault]) for fault in Fault)
        print(
            f"| {data.corpus.name} | {-(-len(data.corpus.utterances) // given.every)} | {seconds / 3600:.2f} "
            f"| {len(refused) - before} | {counts} | {loud.min():.0f} | {speaking.min():.0f} | {flat.max():.2%} |",
            flush=True,
        )
    print(*refused, sep="\n")


if __name__ == "__main__":
    main()
