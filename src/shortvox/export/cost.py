"""What int8 costs: error rates of two graphs on speakers whose speech was not used for calibration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.corpus import load_corpora
from shortvox.corpora.crop import centre
from shortvox.corpora.speech import SpeechData
from shortvox.encoders.crops import embed_crops
from shortvox.encoders.encoder import Encoder
from shortvox.errors import CorpusError
from shortvox.evaluation.cohort import refuse_overlap
from shortvox.evaluation.metrics import eer
from shortvox.evaluation.protocols import FULL, protocol
from shortvox.evaluation.trials import Trials, make_trials
from shortvox.scoring.measures import measure, trial_scores

LENGTHS = ("1", FULL)
PROTOCOL = "full-short"
MOST_HELD = 50  # speakers
MOST_HEARD = 200  # utterances that calibrate
HEARD_SECONDS = 3.0


@dataclass(frozen=True)
class Speech:
    """Speech that calibrates an int8 graph, and other people's that tests it."""

    calibration: SpeechData
    test: SpeechData
    trials: Trials

    @property
    def heard_count(self) -> int:
        """Utterances that calibrate."""
        return min(MOST_HEARD, len(self.calibration.corpus))

    def heard(self) -> Iterator[np.ndarray]:
        """Waveforms (samples,) for calibration: the middle of utterances drawn at random, always the same."""
        store = self.calibration.store
        for position in np.random.default_rng(0).permutation(len(self.calibration.corpus))[: self.heard_count]:
            yield store.read(*centre(store, int(position), round(HEARD_SECONDS * SAMPLE_RATE)))


def open_speech(corpora: list[Path], tests: list[Path], cache: Path | None) -> Speech:
    """Of the corpora, all calibrates where there are tests; otherwise up to 50 speakers are held out to test.

    Raises CorpusError where somebody is on both sides, or too few are there to hold some out.
    """
    data = SpeechData.open(load_corpora(corpora), cache)
    if tests:
        test = load_corpora(tests)
        refuse_overlap(data.corpus, test, "in --corpus and in --test-corpus")
        tested = SpeechData.open(test, cache)
        return Speech(data, tested, make_trials(tested.corpus))
    several = sorted(name for name, own in data.corpus.by_speaker().items() if len(own) > 1)
    held = set(np.random.default_rng(0).permutation(several)[: min(MOST_HELD, len(data.corpus.speakers) // 2)].tolist())
    if len(held) < 2:
        raise CorpusError(
            f"{data.corpus.name}: {len(data.corpus.speakers)} speakers, {len(several)} with two or more utterances; "
            "int8 needs two of these to be tested on and two others to be calibrated on; add some, or --test-corpus"
        )
    tested = data.select(lambda u: u.speaker in held, f"{data.corpus.name} (held out)")
    return Speech(data.select(lambda u: u.speaker not in held), tested, make_trials(tested.corpus))


def error_rates(encoder: Encoder, speech: Speech) -> dict[str, float]:
    """EER by length of the test side, `1` second and `full`, the enrolment side whole (protocol P-A), by cosine."""
    data, trials, how = speech.test, speech.trials, protocol[PROTOCOL]
    compare = measure["cosine"]
    rates = {}
    for length in LENGTHS:
        (cut,) = how.cut(data.corpus, data.store, length, 1)
        crops = sorted({*cut.enrol, *cut.test})
        vectors = embed_crops(encoder, data.store, crops)
        row = {crop: place for place, crop in enumerate(crops)}
        sides = [compare.summary(vectors[[row[crop] for crop in side], None]) for side in (cut.enrol, cut.test)]
        scores = trial_scores(compare, sides[:1], sides[1:], (trials.enrol, trials.test))
        rates[length] = eer(scores, trials.label)
    return rates
