"""The corpora of a study, split into training, validation and test speakers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shortvox.corpora.corpus import Corpus, load_corpora
from shortvox.errors import CorpusError
from shortvox.evaluation.evaluate import TestSet, TestSettings
from shortvox.evaluation.trials import read_trials
from shortvox.training.data import TrainingData

FEWEST_TEST_SPEAKERS = 2
FEWEST_VALIDATION_SPEAKERS = 2  # with fewer there is no validation and no calibration


@dataclass(frozen=True)
class DataSource:
    """Where a study's speech is. Small and picklable: each worker process opens it for itself.

    Test speakers come from `test_corpora`, or from the file `test_speakers`, or are a seeded share of all speakers.
    """

    corpora: tuple[Path, ...]
    cache: Path
    test_corpora: tuple[Path, ...] = ()
    test_speakers: Path | None = None
    trials: Path | None = None
    share: float = 0.2
    validation_speakers: int = 20

    def open(self) -> StudyData:
        everything = TrainingData.open(load_corpora(self.corpora), self.cache)
        if self.test_corpora:
            train, test = everything, TrainingData.open(load_corpora(self.test_corpora), self.cache)
        else:
            chosen = self._chosen_speakers(everything.corpus)
            train = everything.select(lambda u: u.speaker not in chosen)
            test = everything.select(lambda u: u.speaker in chosen, f"{everything.corpus.name} (test)")
        both = set(train.corpus.speakers) & set(test.corpus.speakers)
        if both:
            raise CorpusError(f"speaker '{min(both)}' is in training and in test; speakers must be disjoint")
        if len(train.corpus.speakers) < 2 or len(test.corpus.speakers) < FEWEST_TEST_SPEAKERS:
            raise CorpusError(
                f"{train.corpus.name}: {len(train.corpus.speakers)} training and {len(test.corpus.speakers)} test "
                "speakers; a study needs at least two of each"
            )
        several = sum(len(positions) > 1 for positions in train.corpus.by_speaker().values())
        count = min(self.validation_speakers, several, len(train.corpus.speakers) // 4)
        if count < FEWEST_VALIDATION_SPEAKERS:
            return StudyData(train, None, test)
        return StudyData(*train.hold_out(count), test)

    def test_set(self, data: StudyData, settings: TestSettings) -> TestSet:
        trials = None if self.trials is None else read_trials(self.trials, data.test.corpus)
        return TestSet.make(data.test, settings, trials)

    def _chosen_speakers(self, corpus: Corpus) -> set[str]:
        names = corpus.speakers
        if self.test_speakers is None:
            count = max(FEWEST_TEST_SPEAKERS, round(self.share * len(names)))
            return set(np.random.default_rng((0, 7)).permutation(names)[:count].tolist())
        try:
            wanted = self.test_speakers.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise CorpusError(f"{self.test_speakers}: cannot be read ({error})") from None
        # With several corpora, speakers carry their corpus's name; a published list does not.
        known = {name: name for name in names} | {name.rpartition("/")[2]: name for name in names}
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise CorpusError(f"{self.test_speakers}: speaker '{unknown[0]}' is in no corpus given"
                              + (f" (nor are {len(unknown) - 1} others)" if len(unknown) > 1 else ""))
        return {known[name] for name in wanted}


@dataclass(frozen=True)
class StudyData:
    train: TrainingData
    validation: TrainingData | None
    test: TrainingData
