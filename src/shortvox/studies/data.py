"""The corpora of a study, split into training, validation and test speakers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from shortvox.corpora.corpus import Corpus, load_corpora
from shortvox.corpora.speech import SpeechData
from shortvox.corpora.split import hold_out, read_speakers, split_speakers
from shortvox.errors import CorpusError
from shortvox.evaluation.cohort import refuse_overlap
from shortvox.evaluation.settings import TestSettings
from shortvox.evaluation.testset import TestSet
from shortvox.evaluation.triallist import only_tried, read_trials
from shortvox.textfiles import refuse_stream

FEWEST_TEST_SPEAKERS = 2
FEWEST_VALIDATION_SPEAKERS = 2  # with fewer there is no validation and no calibration


@dataclass(frozen=True)
class DataSource:
    """Where a study's speech is. Small and picklable: each worker process opens it for itself.

    Test speakers come from `test_corpora`, or from the file `test_speakers`, or are a seeded share of all speakers.
    """

    corpora: tuple[Path, ...]
    cache: Path | None
    test_corpora: tuple[Path, ...] = ()
    test_speakers: Path | None = None
    trials: Path | None = None
    share: float = 0.2
    validation_speakers: int = 20
    unlabelled: bool = False  # of `corpora`: each utterance counts as a speaker of its own

    def open(self) -> StudyData:
        for table in (self.trials, self.test_speakers):
            if table is not None:
                refuse_stream(table, CorpusError)  # every worker reads it
        everything = SpeechData.open(load_corpora(self.corpora), self.cache)
        if self.unlabelled:
            each = tuple(replace(utterance, speaker=utterance.id) for utterance in everything.corpus.utterances)
            everything = SpeechData(replace(everything.corpus, utterances=each), everything.store)
        if self.test_corpora:
            train, test = everything, SpeechData.open(self._test_corpus(), self.cache)
            refuse_overlap(train.corpus, test.corpus, "in training and in test")
        else:
            chosen = set(self._split(everything.corpus)[1].speakers)
            train = everything.select(lambda u: u.speaker not in chosen)
            test = everything.select(lambda u: u.speaker in chosen, f"{everything.corpus.name} (test)")
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

    def validation_note(self, data: StudyData) -> str | None:
        """What to tell the user when fewer speakers than asked for could be held out for validation."""
        held = len(data.validation.corpus.speakers) if data.validation else 0
        if held == self.validation_speakers:
            return None
        calibration = "" if held else " Without any, figures that need calibration are missing."
        return (
            f"{self.validation_speakers} validation speakers were asked for and {held} held out: at least "
            f"{FEWEST_VALIDATION_SPEAKERS}, at most a quarter of the training speakers, and only such as have two "
            f"utterances.{calibration}"
        )

    def _split(self, corpus: Corpus) -> tuple[Corpus, Corpus]:
        if self.test_speakers is None:
            if len(corpus.speakers) < 2 + FEWEST_TEST_SPEAKERS:
                raise CorpusError(
                    f"{corpus.name}: {len(corpus.speakers)} speakers; a study needs at least two to "
                    "train on and two to test on"
                )
            return hold_out(corpus, fraction=max(self.share, FEWEST_TEST_SPEAKERS / len(corpus.speakers)))
        return split_speakers(corpus, read_speakers(self.test_speakers))

    def _test_corpus(self) -> Corpus:
        """The test corpora; with a trial list, only what it names, so that nothing else is decoded."""
        corpus = load_corpora(self.test_corpora)
        return corpus if self.trials is None else only_tried(corpus, read_trials(self.trials, corpus))[0]


@dataclass(frozen=True)
class StudyData:
    train: SpeechData
    validation: SpeechData | None
    test: SpeechData
