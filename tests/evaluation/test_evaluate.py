from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shortvox.config import parse
from shortvox.corpora.crop import centre, whole
from shortvox.corpora.speech import SpeechData
from shortvox.corpora.utterance import Utterance
from shortvox.errors import ConfigError
from shortvox.evaluation.calibrate import calibrate, calibration_for
from shortvox.evaluation.evaluate import System, evaluate, spread_degrees
from shortvox.evaluation.metrics import eer
from shortvox.evaluation.protocols import protocol
from shortvox.evaluation.scorer import make_scorer
from shortvox.evaluation.settings import ScoringSettings, TestSettings
from shortvox.evaluation.testset import TestSet
from shortvox.evaluation.trials import Trials
from shortvox.models.embedding import embed_crops
from shortvox.models.speaker_model import SpeakerModel

SETTINGS = TestSettings(lengths=("full", "2", "1"), draws=100, crop_seeds=2)


@pytest.fixture(scope="module")
def test_set(data: SpeechData) -> TestSet:
    return TestSet.make(data, SETTINGS)


@pytest.fixture(scope="module")
def results(model: SpeakerModel, test_set: TestSet, data: SpeechData) -> dict[str, Any]:
    fitted = replace(model, calibration=calibrate(model, data, SETTINGS))
    systems = {"fitted": System((fitted,), facts={"total_steps": 3}), "plain": System((model, model), seeds=(0, 1))}
    return evaluate(systems, test_set, SETTINGS)


def test_figures_are_those_of_embedding_and_scoring_by_hand(
    results: dict[str, Any], model: SpeakerModel, test_set: TestSet
) -> None:
    store, positions = test_set.data.store, range(len(test_set.data.corpus))
    enrol = embed_crops(model, store, [whole(store, p) for p in positions])
    test = embed_crops(model, store, [centre(store, p, 16_000) for p in positions])
    scores = [float(enrol[e] @ test[t]) for e, t in zip(test_set.trials.enrol, test_set.trials.test, strict=True)]
    by_hand = eer(np.array(scores), test_set.trials.label)
    figures = results["protocols"]["full-short"]["systems"]["plain"]["lengths"]["1"]
    assert figures["eer"] == pytest.approx(by_hand, abs=1e-3)
    assert figures["seeds"][0]["eer"] == figures["seeds"][1]["eer"]


def test_every_key_is_there_for_every_length(results: dict[str, Any]) -> None:
    expected = {
        "eer",
        "min_dcf",
        "act_dcf",
        "cllr",
        "min_cllr",
        "intervals",
        "indicative",
        "n_target",
        "n_nontarget",
        "n_short",
        "short_fraction",
        "long_only",
        "seeds",
        "spread_degrees",
        "det",
        "same_family",
        "band_limited",
    }
    assert set(results["protocols"]) == {"full-short", "short-short"}
    for name, one in results["protocols"].items():
        assert one["protocol"] == name
        assert set(one) == {"protocol", "systems", "comparisons", "bootstrap", "trials"}
        assert one["bootstrap"] == {"draws": 100, "over": "speakers; one training", "trainings": 1}
        assert set(one["trials"]) == {"note", "n_target", "n_nontarget", "speakers"}
        assert one["systems"]["fitted"]["total_steps"] == 3
        for system in one["systems"].values():
            assert list(system["lengths"]) == ["full", "2", "1"]
            for figures in system["lengths"].values():
                assert set(figures) == expected
                assert set(figures["min_dcf"]) == {"0.05", "0.01"}
                assert set(figures["intervals"]) >= {"eer", "min_dcf_0.05"}
                assert figures["indicative"]  # six speakers
        assert [(row["a"], row["b"], row["length"]) for row in one["comparisons"]] == [
            ("fitted", "plain", length) for length in ("full", "2", "1")
        ]
        assert all(row["difference"] == 0 and not row["significant"] for row in one["comparisons"])


def test_draws_are_as_many_as_the_comparisons_need(model: SpeakerModel, test_set: TestSet) -> None:
    settings = SETTINGS.model_copy(update={"protocols": ("full-short",), "lengths": ("full", "1"), "draws": None})
    names = ("a", "b", "c")
    found = evaluate({name: System((model,)) for name in names}, test_set, settings)
    assert len(found["comparisons"]) == 6
    assert found["bootstrap"]["draws"] == 6 * 20 / 0.05
    assert all(row["resolution"] == pytest.approx(0.005, rel=0.001) for row in found["comparisons"])
    few = evaluate({name: System((model,)) for name in names}, test_set, settings, pairs=[("a", "b")])
    assert few["bootstrap"]["draws"] == 1000


def test_crop_seeds_count_only_where_crops_are_random(results: dict[str, Any]) -> None:
    def seeds(name: str, length: str) -> int:
        figures = results["protocols"][name]["systems"]["plain"]["lengths"][length]
        return len(figures["seeds"][0]["crop_seeds"])

    assert (seeds("full-short", "1"), seeds("short-short", "1"), seeds("short-short", "full")) == (1, 2, 1)


def test_calibrated_costs_need_a_calibration(results: dict[str, Any]) -> None:
    systems = results["protocols"]["full-short"]["systems"]
    assert systems["plain"]["lengths"]["1"]["cllr"] is None
    fitted = systems["fitted"]["lengths"]["1"]
    assert fitted["min_cllr"] <= fitted["cllr"] < 1.0


def test_one_protocol_is_one_object(model: SpeakerModel, test_set: TestSet) -> None:
    settings = SETTINGS.model_copy(update={"protocols": ("short-short",), "lengths": ("1",)})
    one = evaluate({"x": System((model,))}, test_set, settings)
    assert one["protocol"] == "short-short"
    assert "protocols" not in one


def test_short_files_are_counted_and_left_out_of_long_only(
    results: dict[str, Any], data: SpeechData, test_set: TestSet
) -> None:
    short = data.store.lengths < 32_000
    assert 0 < short.sum() < len(short)
    sides = {
        "full-short": ~short[test_set.trials.test],
        "short-short": ~(short[test_set.trials.enrol] | short[test_set.trials.test]),
    }
    for name, long in sides.items():
        figures = results["protocols"][name]["systems"]["plain"]["lengths"]["2"]
        assert figures["n_short"] == short.sum()
        assert figures["short_fraction"] == pytest.approx(short.mean())
        assert figures["long_only"]["n_target"] == (long & test_set.trials.label).sum()
        assert figures["long_only"]["n_nontarget"] == (long & ~test_set.trials.label).sum()
    assert results["protocols"]["full-short"]["systems"]["plain"]["lengths"]["full"]["n_short"] == 0


def test_figures_by_column_cover_all_trials(model: SpeakerModel, test_set: TestSet) -> None:
    settings = SETTINGS.model_copy(update={"protocols": ("full-short",), "lengths": ("1",)})
    parts = evaluate({"x": System((model,))}, test_set, settings, by="session")["by"]["session"]
    assert set(parts) == {"day0", "day1"}
    assert sum(part["n_target"] for part in parts.values()) == test_set.trials.n_target
    assert sum(part["n_nontarget"] for part in parts.values()) == test_set.trials.n_nontarget


def test_same_family_and_band_limited(model: SpeakerModel, data: SpeechData) -> None:
    def with_family(utterance: Utterance) -> Utterance:
        return replace(utterance, extra=(("family", "ab"[int(utterance.speaker[1]) % 2]),))

    corpus = replace(data.corpus, utterances=tuple(map(with_family, data.corpus.utterances)))
    settings = SETTINGS.model_copy(update={"lengths": ("1",), "band_limited": True})
    test = TestSet.make(SpeechData(corpus, data.store), settings)
    protocols = evaluate({"x": System((model,))}, test, settings)["protocols"]
    first, second = (protocols[name]["systems"]["x"]["lengths"]["1"] for name in ("full-short", "short-short"))
    family = np.array([u.column("family") for u in corpus.utterances])
    same = (family[test.trials.enrol] == family[test.trials.test]) & ~test.trials.label
    assert first["same_family"]["n_nontarget"] == same.sum()
    assert 0 <= first["band_limited"]["eer"] <= 1
    assert second["band_limited"] is None


def test_spread_is_the_mean_angle_to_the_speaker_s_other_whole_utterances(
    model: SpeakerModel, test_set: TestSet
) -> None:
    embeddings = make_scorer(model, ScoringSettings(), test_set, SETTINGS).vectors["none"]
    cuts = test_set.cuts(protocol["short-short"], "1", 2)
    full = test_set.cuts(protocol["full-short"], "full", 1)[0].enrol
    angles = []
    for cut in cuts:
        for position, name in enumerate(test_set.speakers):
            others = [p for p, other in enumerate(test_set.speakers) if other == name and p != position]
            centroid = embeddings.of(full[p] for p in others).mean(axis=0)
            vector = embeddings.of([cut.test[position]])[0]
            cosine = float(vector @ centroid) / float(np.linalg.norm(centroid))
            angles.append(math.degrees(math.acos(min(1.0, cosine))))
    assert spread_degrees(embeddings.of, cuts, test_set) == pytest.approx(np.mean(angles), abs=1e-2)


def test_spread_needs_a_speaker_with_several_utterances(model: SpeakerModel, data: SpeechData) -> None:
    trials = Trials(np.array([0, 0]), np.array([0, 4]), np.array([True, False]))
    test = TestSet.make(data, SETTINGS, trials)
    one = evaluate({"x": System((model,))}, test, SETTINGS)["protocols"]["full-short"]["systems"]["x"]
    assert one["lengths"]["1"]["spread_degrees"] is None


def test_scores_are_cosines_in_trial_order(model: SpeakerModel, test_set: TestSet) -> None:
    scorer = make_scorer(model, ScoringSettings(), test_set, SETTINGS)
    embeddings = scorer.vectors["none"]
    (cut,) = test_set.cuts(protocol["full-short"], "1", 1)
    scores = scorer.scores(protocol["full-short"], "1", cut)
    assert scores.dtype == np.float64
    for n in (0, 7, len(scores) - 1):
        a = embeddings.of([cut.enrol[test_set.trials.enrol[n]]])[0]
        b = embeddings.of([cut.test[test_set.trials.test[n]]])[0]
        assert scores[n] == pytest.approx(float(a @ b), abs=1e-6)


def test_calibration_of_the_nearest_length(model: SpeakerModel) -> None:
    fitted = {length: {"scale": float(n), "offset": 0.0} for n, length in enumerate(("full", "5", "2", "1"))}
    calibrated = replace(model, calibration={"protocols": {"full-short": fitted}})

    def nearest(length: str) -> float:
        found = calibration_for(calibrated, "full-short", length)
        assert found is not None
        return found.scale

    assert [nearest(length) for length in ("full", "5", "4", "1.5", "1.3", "0.5", "30")] == [0, 1, 1, 2, 3, 3, 0]
    assert calibration_for(calibrated, "short-short", "1") is None
    assert calibration_for(model, "full-short", "1") is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"draws": 0}, "draws"),
        ({"crop_seeds": 0}, "crop_seeds"),
        ({"max_nontarget": -1}, "max_nontarget"),
        ({"seed": -1}, "seed"),
        ({"protocols": []}, "protocols"),
        ({"protocols": ["full-shrt"]}, "'full-short'"),
        ({"drws": 9}, "did you mean 'draws'"),
    ],
)
def test_what_a_test_cannot_be_asked_for(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(TestSettings, values, "evaluate")
