"""How often a replayed recording is taken for its speaker: what a verifier does not protect against.

    python benchmarks/replay.py CORPUS

Each speaker is enrolled with three recordings. Then recordings are verified whole, and two seconds of each: those
that enrolled, as they are, through a small loudspeaker in a room, that once more in the room of the listener, and over
a telephone; others of the speaker, live and through a loudspeaker; and other speakers. Prints the share that is SAME,
with 95 % intervals over speakers.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from degrade import ROOMS, generator

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.corpus import Corpus, load_corpus
from shortvox.corpora.speech import SpeechData
from shortvox.frontend import channels as channels  # registers its kinds
from shortvox.frontend.augment import Augmenter, AugmentSettings, kind
from shortvox.progress import progress_bar
from shortvox.verification.decision import Outcome
from shortvox.verification.policy import MAX_FPR
from shortvox.verification.verifier import Verifier
from shortvox.verification.voiceprint import Voiceprint

ENROLLED = 3  # recordings
REPLAYED = 2  # of them, and as many others of the speaker and of other speakers
SECONDS = 2.0
DRAWS = 2000


@dataclass(frozen=True)
class Test:
    """`of` says whose recordings are verified, `ways` what they go through first, kinds of augmentation."""

    name: str
    of: Literal["enrolled", "same", "other"]
    ways: tuple[str, ...] = ()


TESTS = (
    Test("others of the speaker, live", "same"),
    Test("enrolled, as it is", "enrolled"),
    Test("enrolled, through a loudspeaker", "enrolled", ("playback",)),
    Test("enrolled, through a loudspeaker into another room", "enrolled", ("playback", "reverb")),
    Test("enrolled, over a telephone", "enrolled", ("telephone",)),
    Test("others of the speaker, through a loudspeaker", "same", ("playback",)),
    Test("other speakers, live", "other"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--max-fpr", type=float, default=MAX_FPR)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    corpus, verifier = load_corpus(asked.corpus), Verifier.load(asked.model)
    shares = measure(corpus, verifier, asked.max_fpr, asked.seed)
    if not len(shares):
        raise SystemExit(f"{asked.corpus}: no speaker has {ENROLLED + REPLAYED} recordings that are taken")
    print(f"{len(shares)} speakers, {verifier.encoder.name}, max_fpr {asked.max_fpr:g}: share that is SAME\n")
    print(f"| | whole | {SECONDS:g} s |\n|---|---|---|")
    for row, test in enumerate(TESTS):
        print(f"| {test.name} | {' | '.join(told(shares[:, row, column]) for column in range(2))} |")


def measure(corpus: Corpus, verifier: Verifier, max_fpr: float, seed: int) -> np.ndarray:
    """(speakers, tests, 2) shares of SAME, whole and cut; speakers with too few recordings are left out."""
    store = SpeechData.open(corpus).store
    augmenter = Augmenter(AugmentSettings(kinds=(), rooms=ROOMS), corpus, store, seed=seed)
    found = []
    with progress_bar() as bar:
        task = bar.add_task("Replaying", total=len(corpus.speakers), note="")
        for speaker in corpus.speakers:
            if sides := chosen(corpus, speaker, seed):
                voiceprint = verifier.enrol([store.read(position) for position in sides["enrolled"]])
                if isinstance(voiceprint, Voiceprint):
                    found.append([[*_shares(verifier, voiceprint, test, sides, augmenter, max_fpr)] for test in TESTS])
            bar.advance(task)
    return np.array(found)


def chosen(corpus: Corpus, speaker: str, seed: int) -> dict[str, list[int]]:
    """Positions of recordings by whose they are; nothing where the speaker has too few."""
    mine = [position for position, u in enumerate(corpus.utterances) if u.speaker == speaker]
    theirs = [position for position, u in enumerate(corpus.utterances) if u.speaker != speaker]
    if len(mine) < ENROLLED + REPLAYED:
        return {}
    rng = generator(seed, speaker)
    mine = rng.permutation(mine).tolist()
    return {
        "enrolled": mine[:ENROLLED],
        "same": mine[ENROLLED : ENROLLED + REPLAYED],
        "other": rng.choice(theirs, REPLAYED, replace=False).tolist(),
    }


def _shares(
    verifier: Verifier,
    voiceprint: Voiceprint,
    test: Test,
    sides: dict[str, list[int]],
    augmenter: Augmenter,
    max_fpr: float,
) -> Iterator[float]:
    heard = []
    for position in sides[test.of][:REPLAYED]:
        rng = generator(augmenter.seed, f"{test.name} {position}")
        samples = augmenter.store.read(position)
        for way in test.ways:
            samples = kind[way](augmenter, samples, position, rng)
        heard.append(samples)
    for recordings in (heard, [*map(middle, heard)]):
        decisions = [verifier.verify(voiceprint, one, max_fpr=max_fpr) for one in recordings]
        yield float(np.mean([decision.outcome is Outcome.SAME for decision in decisions]))


def middle(samples: np.ndarray) -> np.ndarray:
    """`SECONDS` from the middle of (samples,)."""
    first = max(len(samples) - round(SECONDS * SAMPLE_RATE), 0) // 2
    return samples[first : first + round(SECONDS * SAMPLE_RATE)]


def told(shares: np.ndarray) -> str:
    """The mean of (speakers,) in percent, with its interval over speakers."""
    drawn = np.random.default_rng(0).choice(shares, (DRAWS, len(shares))).mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    return f"{100 * shares.mean():.0f} % ({100 * low:.0f}–{100 * high:.0f})"


if __name__ == "__main__":
    main()
