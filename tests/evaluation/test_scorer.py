"""From the settings of a way of scoring to scores: what is heard, what it is compared with, what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shortvox.config import parse
from shortvox.corpora.corpus import Corpus, load_corpora
from shortvox.corpora.crop import Crop, whole
from shortvox.corpora.speech import SpeechData
from shortvox.errors import ConfigError, CorpusError
from shortvox.evaluation import embeddings
from shortvox.evaluation import scorer as scorer_module
from shortvox.evaluation.calibrate import calibrate, calibrated, calibration_for, variant_of
from shortvox.evaluation.cohort import Cohort, open_cohort, refuse_overlap
from shortvox.evaluation.evaluate import System, evaluate
from shortvox.evaluation.hearing import hearing
from shortvox.evaluation.protocols import Protocol, length_samples, protocol
from shortvox.evaluation.repeating import RepeatingStore
from shortvox.evaluation.scorefile import read_scores
from shortvox.evaluation.scorer import Scorer, make_scorer
from shortvox.evaluation.settings import ScoringSettings, TestSettings
from shortvox.evaluation.testset import TestSet
from shortvox.models.embedding import embed_crops
from shortvox.models.segmented import Bring, embed_segmented, joined_embedding, mean_embedding
from shortvox.models.speaker_model import SpeakerModel
from shortvox.scoring.measures import Measure, cohort_table
from voices import make_voices

SETTINGS = TestSettings(lengths=("full", "1"), draws=100, crop_seeds=1)
PA, PB = protocol["full-short"], protocol["short-short"]


def scoring(**changes: Any) -> ScoringSettings:
    return parse(ScoringSettings, changes, "scoring")


TTA = scoring(embedding={"name": "tta", "crops": 4, "frames": 60})


@pytest.fixture(scope="module")
def test_set(data: SpeechData) -> TestSet:
    return TestSet.make(data.select(lambda u: u.speaker in ("v0", "v1", "v2")), SETTINGS)


@pytest.fixture(scope="module")
def cohort(data: SpeechData) -> SpeechData:
    return data.select(lambda u: u.speaker not in ("v0", "v1", "v2"))


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def first_trials(scorer: Scorer, how: Any, length: str, count: int = 6) -> list[tuple[float, Crop, Crop]]:
    """(score, enrolment crop, test crop) of some trials."""
    cut = scorer.cuts(how, length)[0]
    scores = scorer.scores(how, length, cut)
    assert scores.dtype == np.float64
    trials = scorer.test.trials
    return [
        (scores[n], cut.enrol[trials.enrol[n]], cut.test[trials.test[n]])
        for n in np.linspace(0, len(scores) - 1, count).astype(int)
    ]


@pytest.mark.parametrize("name", list(hearing))
@pytest.mark.parametrize("crop", [Crop(3, 500, 40_001), Crop(3, 500, 20_000), Crop(3, 500, 90)])
def test_everything_that_is_heard_lies_inside_the_crop(name: str, crop: Crop) -> None:
    chosen = hearing[name](scoring(embedding={"name": name, "frames": 125, "with_whole": True}).embedding)
    for view in chosen.pieces(crop):
        for piece in view:
            assert piece.position == crop.position
            assert crop.start <= piece.start
            assert piece.start + piece.samples <= crop.start + crop.samples


def test_tta_crops_are_evenly_spaced_and_a_shorter_crop_is_one() -> None:
    settings = scoring(embedding={"name": "tta", "crops": 5}).embedding
    (spaced,) = hearing["tta"](settings).pieces(Crop(0, 100, 64_000 + 8_000))
    assert [piece.start for piece in spaced] == [100, 2_100, 4_100, 6_100, 8_100]
    assert {piece.samples for piece in spaced} == {64_000}
    (alone,) = hearing["tta"](settings).pieces(Crop(0, 100, 64_000))
    assert set(alone) == {Crop(0, 100, 64_000)}


@pytest.mark.parametrize(("measure", "with_whole"), [("cosine", False), ("cosine", True), ("distance", False)])
def test_tta_is_the_mean_over_all_pairs_of_crops(
    model: SpeakerModel, test_set: TestSet, measure: str, with_whole: bool
) -> None:
    chosen = scoring(measure=measure, embedding={**TTA.embedding.model_dump(), "with_whole": with_whole})
    scorer = make_scorer(model, chosen, test_set, SETTINGS)
    store = test_set.data.store

    def alike(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b) if measure == "cosine" else -float(np.linalg.norm(a - b))

    for score, enrol, test in first_trials(scorer, PA, "full"):
        sides = [embed_crops(model, store, scorer.hearing.pieces(crop)[0]) for crop in (enrol, test)]
        expected = float(np.mean([alike(a, b) for a in sides[0] for b in sides[1]]))
        if with_whole:
            ends = [embed_crops(model, store, [crop])[0] for crop in (enrol, test)]
            expected = (expected + alike(*ends)) / 2
        assert score == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("with_whole", [False, True])
@pytest.mark.parametrize(("name", "bring"), [("segments", mean_embedding), ("joined", joined_embedding)])
def test_tta_of_long_embeddings(
    model: SpeakerModel, test_set: TestSet, name: str, bring: Bring, with_whole: bool, tmp_path: Path
) -> None:
    """Each crop is embedded by its own segments; what is whole beside them, by its."""
    each = {"name": name, "frames": 25, "overlap": 0.2}
    chosen = scoring(embedding={**TTA.embedding.model_dump(), "of": each, "with_whole": with_whole})
    scorer = make_scorer(model, chosen, test_set, SETTINGS, cache=tmp_path)
    whole_pieces = make_scorer(model, TTA, test_set, SETTINGS, cache=tmp_path)

    def embedded(crops: Sequence[Crop]) -> np.ndarray:
        return embed_segmented(model, test_set.data.store, crops, frames=25, overlap=0.2, bring=bring)

    for (score, enrol, test), (other, *_) in zip(
        first_trials(scorer, PA, "full"), first_trials(whole_pieces, PA, "full"), strict=True
    ):
        spaced = [whole_pieces.hearing.pieces(crop)[0] for crop in (enrol, test)]
        expected = float((embedded(spaced[0]) @ embedded(spaced[1]).T).mean())
        if with_whole:
            expected = (expected + float(embedded([enrol])[0] @ embedded([test])[0])) / 2
        assert score == pytest.approx(expected, abs=1e-5)
        assert abs(score - other) > 1e-4
    assert f"TTA, 4 crops of 60 frames ({'mean' if name == 'segments' else 'joined'}" in scorer.facts()["text"]


@pytest.mark.parametrize("name", ["tta", "segments", "joined"])
def test_what_is_no_longer_than_a_piece_is_scored_whole(model: SpeakerModel, test_set: TestSet, name: str) -> None:
    long = scoring(embedding={"name": name, "frames": 400})
    whole_scores, found = (
        [score for score, _, _ in first_trials(make_scorer(model, one, test_set, SETTINGS), PB, "1")]
        for one in (scoring(), long)
    )
    np.testing.assert_allclose(found, whole_scores, atol=1e-5)
    short = scoring(embedding={"name": name, "frames": 40, "overlap": 0.1})
    other = [score for score, _, _ in first_trials(make_scorer(model, short, test_set, SETTINGS), PB, "1")]
    assert np.abs(np.subtract(other, whole_scores)).max() > 1e-4


@pytest.mark.parametrize("duration", ["full", "own", "other"])
@pytest.mark.parametrize("how", [PA, PB], ids=lambda how: how.name)
def test_as_norm_of_one_trial_by_hand(
    model: SpeakerModel, test_set: TestSet, cohort: SpeechData, duration: str, how: Any
) -> None:
    # Among untrained embeddings two cohort scores are nearly equal; the floor keeps rounding out of the comparison.
    chosen = scoring(norm={"name": "as-norm1", "top": 2, "floor": 0.01}, cohort={"utterances": 2, "duration": duration})
    scorer = make_scorer(model, chosen, test_set, SETTINGS, cohort=cohort)

    def members(length: str) -> list[np.ndarray]:
        """Each cohort speaker's mean embedding over the first and the last utterance."""
        means = []
        for own in cohort.corpus.by_speaker().values():
            crops = [whole(cohort.store, p) for p in (own[0], own[-1])]
            if length != "full":
                crops = [Crop(p, (n - 16_000) // 2, 16_000) for p, _, n in crops]
            means.append(unit(embed_crops(model, cohort.store, crops).mean(axis=0)))
        return means

    enrol_length = "1" if how.both_cropped else "full"
    lengths = {"full": ("full", "full"), "own": (enrol_length, "1"), "other": ("1", enrol_length)}[duration]
    for score, enrol, test in first_trials(scorer, how, "1"):
        a, b = embed_crops(model, test_set.data.store, [enrol, test])
        parts = []
        for vector, length in zip((a, b), lengths, strict=True):
            top = sorted(float(vector @ member) for member in members(length))[-2:]
            parts.append((float(a @ b) - np.mean(top)) / max(np.std(top), 0.01))
        assert score == pytest.approx(np.mean(parts), rel=1e-2, abs=1e-3)
    assert scorer.facts()["cohort"] == {"speakers": 3, "utterances": 6, "norm": "as-norm1", "top": 2}


def test_as_norm_over_the_whole_cohort_is_called_s_norm(
    model: SpeakerModel, test_set: TestSet, cohort: SpeechData
) -> None:
    facts = make_scorer(model, scoring(norm={"name": "as-norm2"}), test_set, SETTINGS, cohort=cohort).facts()
    assert facts["cohort"]["norm"] == "s-norm"
    assert "s-norm over 3 of 3 cohort speakers" in facts["text"]


def test_transforms_are_fitted_on_the_cohort(model: SpeakerModel, test_set: TestSet, cohort: SpeechData) -> None:
    scorer = make_scorer(model, scoring(transforms=["centring"]), test_set, SETTINGS, cohort=cohort)
    mean = embed_crops(model, cohort.store, [whole(cohort.store, p) for p in range(len(cohort.corpus))]).mean(axis=0)
    for score, enrol, test in first_trials(scorer, PA, "1"):
        a, b = embed_crops(model, test_set.data.store, [enrol, test])
        assert score == pytest.approx(float(unit(a - mean) @ unit(b - mean)), abs=1e-4)


@pytest.mark.parametrize("transforms", [[], ["centring"]])
def test_a_prefix_is_compared_alone(
    model: SpeakerModel, test_set: TestSet, cohort: SpeechData, transforms: list[str]
) -> None:
    scorer = make_scorer(model, scoring(prefix=5, transforms=transforms), test_set, SETTINGS, cohort=cohort)
    others = embed_crops(model, cohort.store, [whole(cohort.store, p) for p in range(len(cohort.corpus))])[:, :5]
    mean = (others / np.linalg.norm(others, axis=1, keepdims=True)).mean(axis=0) if transforms else 0
    for score, enrol, test in first_trials(scorer, PA, "1"):
        a, b = (unit(vector[:5]) for vector in embed_crops(model, test_set.data.store, [enrol, test]))
        assert score == pytest.approx(float(unit(a - mean) @ unit(b - mean)), abs=1e-4)
    assert "first 5 numbers of each embedding" in scorer.facts()["text"]
    assert scoring(prefix=5).key("") != scoring(prefix=6).key("") != ""


def test_a_prefix_of_all_is_refused(model: SpeakerModel, test_set: TestSet) -> None:
    with pytest.raises(ConfigError, match=r"scoring\.prefix: 128 is no part of the 128 numbers"):
        make_scorer(model, scoring(prefix=model.backbone.dim), test_set, SETTINGS)


def test_the_cohort_takes_utterances_from_all_over_a_speaker(data: SpeechData) -> None:
    chosen = Cohort.of(data, 2)
    assert chosen.positions[:4] == (0, 3, 4, 7)
    assert chosen.speaker.tolist() == [n for n in range(6) for _ in (0, 1)]
    assert len(Cohort.of(data, 9).positions) == len(data.corpus)
    with pytest.raises(CorpusError, match="at least two"):
        Cohort.of(data.select(lambda u: u.speaker == "v0"), 2)


def test_only_what_the_cohort_needs_is_opened(corpus: Corpus) -> None:
    opened = open_cohort([corpus.root], 1, None)
    assert [u.id for u in opened.corpus.utterances] == [f"v{n}-0" for n in range(6)]


def test_nobody_is_in_the_cohort_and_in_the_test(corpus: Corpus, tmp_path: Path) -> None:
    sides = "in the cohort and in the test"
    part = corpus.select(lambda u: u.speaker in ("v0", "v1"))
    with pytest.raises(CorpusError, match="speaker 'v0' is in the cohort and in the test"):
        refuse_overlap(corpus, part, sides)
    renamed = replace(part, utterances=tuple(replace(u, speaker=f"x{u.speaker}") for u in part.utterances))
    with pytest.raises(CorpusError, match=r"0\.wav is in the cohort and in the test"):
        refuse_overlap(corpus, renamed, sides)
    prefixed = load_corpora([corpus.root, make_voices(tmp_path, speakers=5, each=1).root])
    with pytest.raises(CorpusError, match="speaker 'v0'"):
        refuse_overlap(corpus, prefixed, sides)
    refuse_overlap(part, load_corpora([tmp_path]).select(lambda u: u.speaker == "v4"), sides)


def test_a_recording_that_is_a_link_to_itself_overlaps_with_nothing(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    one = corpus.utterances[0]
    looped = replace(corpus, utterances=(replace(one, speaker="x", path=tmp_path / "loop.wav"),))
    refuse_overlap(corpus, looped, "in the cohort and in the test")  # the loop is named where it is read


def test_evaluation_refuses_a_cohort_with_a_test_speaker(model: SpeakerModel, test_set: TestSet) -> None:
    systems = {"normed": System((model,), scoring=scoring(norm={"name": "s-norm"}))}
    with pytest.raises(CorpusError, match="is in the cohort and in the test"):
        evaluate(systems, test_set, SETTINGS, cohort=test_set.data)


def test_short_files_may_be_repeated(model: SpeakerModel, test_set: TestSet) -> None:
    settings = SETTINGS.model_copy(update={"lengths": ("2.5",)})
    scorer = make_scorer(model, scoring(short_files="repeat"), test_set, settings)
    wanted, lengths = length_samples("2.5"), test_set.data.store.lengths
    assert (lengths < wanted).any()
    for how, cropped in ((PA, ("test",)), (PB, ("enrol", "test"))):
        (cut,) = scorer.cuts(how, "2.5")
        for side in ("enrol", "test"):
            for crop, length in zip(getattr(cut, side), lengths, strict=True):
                assert crop.samples == (wanted if side in cropped else length)
    position = int(np.argmin(lengths))
    store = RepeatingStore(test_set.data.store)
    heard = store.read(position, 0, wanted)
    once = test_set.data.store.read(position)
    np.testing.assert_array_equal(heard, np.concatenate([once, once, once])[:wanted])
    np.testing.assert_array_equal(store.read(position, 5, wanted), np.concatenate([once, once, once])[5 : 5 + wanted])
    np.testing.assert_array_equal(store.read(position, 5, 10), once[5:15])
    np.testing.assert_allclose(
        scorer.vectors["none"].of([Crop(position, 0, wanted)])[0],
        model.embed(torch.from_numpy(heard)[None]).detach().numpy()[0],
        atol=1e-5,
    )


def test_a_front_end_may_differ_from_the_model_s_own(model: SpeakerModel, test_set: TestSet, tmp_path: Path) -> None:
    own, same, none = (
        first_trials(make_scorer(model, scoring(frontend={"cmn": cmn}), test_set, SETTINGS, cache=tmp_path), PA, "1")
        for cmn in (None, "utterance", "none")
    )
    assert own == same
    assert own != none
    assert len(list(tmp_path.iterdir())) == 2


def test_the_front_end_may_hear_the_whole_file(model: SpeakerModel, test_set: TestSet, tmp_path: Path) -> None:
    """By a named option only: one second then has the mean, and the VAD, of its file."""
    for name in ("whole", "segments"):
        embedding = {"name": name, "frames": 40}
        crop, file = (
            make_scorer(model, scoring(context=context, embedding=embedding), test_set, SETTINGS, cache=tmp_path)
            for context in ("crop", "file")
        )
        for (own, *_), (heard, enrol, test) in zip(
            first_trials(crop, PA, "1"), first_trials(file, PA, "1"), strict=True
        ):
            assert own != heard
            if name == "whole":
                a, b = embed_crops(model, test_set.data.store, [enrol, test], context="file")
                assert heard == pytest.approx(float(a @ b), abs=1e-5)
    assert "whole file" in file.facts()["text"]


def test_crops_without_speech_are_counted(model: SpeakerModel, test_set: TestSet) -> None:
    lengths = test_set.data.store.lengths

    class Quiet:
        """Sounds of which half are all but silent in their middle second."""

        def __init__(self) -> None:
            self.lengths = lengths

        def read(self, position: int, start: int = 0, samples: int | None = None) -> np.ndarray:
            whole_file = test_set.data.store.read(position)
            if position % 2:
                middle = len(whole_file) // 2
                whole_file[middle - 8_100 : middle + 8_100] *= 1e-5
            return whole_file[start:][:samples]

    quiet = replace(test_set, data=SpeechData(test_set.data.corpus, Quiet()))  # type: ignore[arg-type]
    assert make_scorer(model, scoring(), quiet, SETTINGS).voiceless(PA, "1") is None
    scorer = make_scorer(model, scoring(frontend={"vad": "sre16-v2"}), quiet, SETTINGS)
    count = len(test_set.data.corpus)
    assert scorer.voiceless(PA, "1") == {"crops": count, "voiceless": count // 2}
    assert scorer.voiceless(PA, "full") == {"crops": count, "voiceless": 0}
    pieces = scoring(frontend={"vad": "sre16-v2"}, embedding={"name": "tta", "crops": 2, "frames": 50})
    assert make_scorer(model, pieces, quiet, SETTINGS).voiceless(PA, "1") == {
        "crops": 2 * count,
        "voiceless": 2 * (count // 2),
    }
    for name in ("segments", "joined"):  # of a whole file, only the segments in its middle are silent
        pieces = scoring(frontend={"vad": "sre16-v2"}, embedding={"name": name, "frames": 25})
        found = make_scorer(model, pieces, quiet, SETTINGS).voiceless(PA, "full")
        assert found is not None
        assert found["crops"] >= sum(length // (25 * 160) for length in lengths)
        assert 0 < found["voiceless"] < found["crops"] // 2
    chosen = {"vad": System((model,), scoring=scorer.scoring), "plain": System((model,))}
    for how, one in evaluate(chosen, quiet, SETTINGS)["protocols"].items():
        assert one["systems"]["plain"]["voiceless"] is None
        assert set(one["systems"]["vad"]["voiceless"]) == {"full", "1"}
        assert how == "short-short" or one["systems"]["vad"]["voiceless"]["1"]["voiceless"] == count // 2


def test_nothing_is_embedded_twice(
    model: SpeakerModel, test_set: TestSet, cohort: SpeechData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, Crop]] = []

    def counted(model: SpeakerModel, store: Any, crops: list[Crop], **options: Any) -> np.ndarray:
        asked.extend((id(store), crop) for crop in crops)
        return embed_crops(model, store, crops, **options)

    monkeypatch.setattr(embeddings, "embed_crops", counted)
    for chosen in (
        scoring(),
        TTA,
        scoring(measure="distance", embedding=TTA.embedding.model_dump()),
        scoring(norm={"name": "as-norm1", "top": 2}),
        scoring(norm={"name": "s-norm"}),
        scoring(transforms=["centring"]),
        scoring(norm={"name": "as-norm2", "top": 2}, transforms=["whitening"]),
    ):
        make_scorer(model, chosen, test_set, SETTINGS, cohort=cohort, cache=tmp_path)
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("how", [PA, PB])
def test_an_utterance_meets_the_cohort_once_on_each_side(
    model: SpeakerModel, test_set: TestSet, cohort: SpeechData, how: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[int] = []

    def counted(measure: Measure, side: list[np.ndarray], cohort: np.ndarray) -> np.ndarray:
        met.append(len(side[0]))
        return cohort_table(measure, side, cohort)

    monkeypatch.setattr(scorer_module, "cohort_table", counted)
    scorer = make_scorer(model, scoring(norm={"name": "as-norm1", "top": 2}), test_set, SETTINGS, cohort=cohort)
    (cut,) = scorer.cuts(how, "1")
    scorer.scores(how, "1", cut)
    trials = test_set.trials
    assert met == [len(np.unique(trials.enrol)), len(np.unique(trials.test))]
    assert sum(met) < len(trials.label)


def test_each_way_of_scoring_has_a_calibration_of_its_own(
    model: SpeakerModel, test_set: TestSet, cohort: SpeechData, model_folder: Path, tmp_path: Path
) -> None:
    chosen = scoring(norm={"name": "s-norm"})
    variant = variant_of(chosen, cohort)
    assert variant_of(scoring(), cohort) == ""
    assert len({variant, variant_of(TTA, cohort), variant_of(chosen, test_set.data)}) == 3
    assert variant_of(TTA, cohort) == variant_of(TTA, None)
    given = {"validation": test_set.data, "cohort": cohort}
    fitted = calibrated(model, [tmp_path], chosen, SETTINGS, **given)
    assert [path.name for path in tmp_path.iterdir()] == [f"calibration-{variant}.json"]
    found = calibration_for(fitted, "full-short", "1", variant)
    assert found is not None
    plain = calibrate(model, test_set.data, SETTINGS)
    assert set(plain) == {"fitted_on", "protocols"}
    assert found.scale != plain["protocols"]["full-short"]["1"]["scale"]
    assert calibration_for(fitted, "full-short", "1") is None  # not for scores made in another way
    assert calibration_for(replace(model, calibration=plain), "full-short", "1", variant) is None
    stamp = next(tmp_path.iterdir()).stat().st_mtime_ns
    assert calibrated(model, [tmp_path], chosen, SETTINGS, **given).calibration == fitted.calibration
    assert next(tmp_path.iterdir()).stat().st_mtime_ns == stamp
    longer = SETTINGS.model_copy(update={"lengths": ("full", "1", "1.2")})
    again = calibrated(model, [tmp_path], chosen, longer, **given)
    assert set((again.calibration or {})["protocols"]["full-short"]) == {"full", "1", "1.2"}
    assert calibrated(model, [tmp_path / "none"], TTA, SETTINGS).calibration is None


def test_systems_of_one_table_may_be_scored_differently(
    model: SpeakerModel, test_set: TestSet, cohort: SpeechData, tmp_path: Path
) -> None:
    normed = scoring(norm={"name": "as-norm1", "top": 2})
    fitted = replace(model, calibration=calibrate(model, test_set.data, SETTINGS, scoring=normed, cohort=cohort))
    systems = {
        "plain": System((model,)),
        "tta/crops": System((model, model), (0, 1), scoring=TTA),
        "normed": System((fitted,), scoring=normed),
        "miscalibrated": System((fitted,), scoring=TTA),
    }
    results = evaluate(systems, test_set, SETTINGS, cohort=cohort, scores=tmp_path)["protocols"]["full-short"]
    found = results["systems"]
    assert [system["scoring"]["text"] for system in found.values()] == [
        "cosine of whole crops",
        "cosine of TTA, 4 crops of 60 frames",
        "cosine of whole crops, as-norm1 over 2 of 3 cohort speakers",
        "cosine of TTA, 4 crops of 60 frames",
    ]
    assert found["plain"]["scoring"]["cohort"] is None
    assert found["normed"]["scoring"]["settings"]["norm"]["name"] == "as-norm1"
    assert [found[name]["lengths"]["1"]["cllr"] is not None for name in found] == [False, False, True, False]
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("tta*/full-*")) == [
        "tta_crops/full-short-1-seed0.parquet",
        "tta_crops/full-short-1-seed1.parquet",
        "tta_crops/full-short-full-seed0.parquet",
        "tta_crops/full-short-full-seed1.parquet",
    ]
    table = read_scores(tmp_path / "normed/short-short-1.parquet")
    scorer = make_scorer(model, normed, test_set, SETTINGS, cohort=cohort)
    np.testing.assert_array_equal(table.score, scorer.scores(PB, "1", scorer.cuts(PB, "1")[0]))
    np.testing.assert_array_equal(table.label, test_set.trials.label)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"norm": {"nam": "s-norm"}}, "did you mean 'name'"),
        ({"embedding": {"name": "ttta"}}, "did you mean 'tta'"),
        ({"measure": "cosin"}, "did you mean 'cosine'"),
        ({"transforms": ["centering"]}, "did you mean 'centring'"),
        ({"embedding": {"crops": 1}}, "crops"),
        ({"embedding": {"name": "joined", "of": {"name": "segments"}}}, "embedding: of: names how the crops of tta"),
        ({"embedding": {"name": "tta", "of": {"name": "tta", "frames": 9}}}, "embedding: of: names how the crops of"),
        ({"embedding": {"name": "tta", "of": {"name": "joined"}}}, r"of\.frames: .* 400 frames is one segment of 400"),
        ({"embedding": {"name": "tta", "of": {"name": "joint"}}}, "did you mean 'joined'"),
        ({"embedding": {"overlap": 1.0}}, "overlap"),
        ({"cohort": {"utterances": 0}}, "utterances"),
        ({"frontend": {"vad": "sre16"}}, "vad"),
        ({"context": "file", "short_files": "repeat"}, "short_files: whole"),
        ({"short_files": "wrap"}, "short_files"),
    ],
)
def test_what_cannot_be_asked_for(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        scoring(**values)


def test_a_missing_cohort_is_told(model: SpeakerModel, test_set: TestSet) -> None:
    with pytest.raises(ConfigError, match="--cohort DIR"):
        make_scorer(model, scoring(norm={"name": "s-norm"}), test_set, SETTINGS)
