"""A setting that was asked for and would have no effect is refused; every declaration has its row here."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from shortvox.config import Settings, override_all, parse
from shortvox.effect import idle, refuse_idle
from shortvox.encoders.sidecar import GraphSettings
from shortvox.errors import ConfigError
from shortvox.evaluation.settings import TestSettings
from shortvox.studies.settings import StudySettings
from shortvox.studies.study import Study
from shortvox.training.settings import TrainSettings
from test_settings import every_class

AP = {"model.head.name": "ap", "sampler": "balanced"}
# key: what asks for it in vain, and what gives it its effect
TRAIN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "optimiser.momentum": ({"optimiser.momentum": 0.5}, {"optimiser.name": "sgd"}),
    "schedule.final": ({"schedule.final": 0.5, "schedule.name": "step"}, {"schedule.name": "exponential"}),
    "schedule.factor": ({"schedule.factor": 0.5}, {"schedule.name": "step"}),
    "schedule.every": ({"schedule.every": 0.5}, {"schedule.name": "step"}),
    "validation.every": ({"validation.every": 10}, {"validation.speakers": 2}),
    "validation.utterances": ({"validation.utterances": 4}, {"validation.speakers": 2}),
    "transfer.momentum": ({"transfer.momentum": 0.5}, {"transfer.refresh": "ema", "transfer.head": "frozen"}),
    "transfer.utterances": ({"transfer.utterances": 5}, {"transfer.missing": "centroid"}),
    "transfer.missing": ({"transfer.missing": "centroid", **AP}, {"model.head.name": "softmax-ap"}),
    "transfer.absent": ({"transfer.absent": "drop", **AP}, {"model.head.name": "aam"}),
    "segments.overlap": ({"segments.overlap": 0.5, "segments.pick": "one"}, {"segments.pick": "all"}),
    "segments.reduce": ({"segments.reduce": "sum", "segments.pick": "one"}, {"segments.pick": "all"}),
    "segments.join": ({"segments.join": "maps", "segments.loss.aggregate": 0}, {"segments.loss.cosine": 1}),
    "segments.augment": (
        {
            "segments.augment": "segment",
            "augment.probability": 0,
            "augment.time_frames": 0,
            "augment.frequency_bands": 0,
        },
        {"augment.time_frames": 5},
    ),
    "teachers.t.temperature": ({"teachers.t": {"temperature": 2, "posterior": 0}}, {"teachers.t.posterior": 1}),
    "teachers.t.projection": ({"teachers.t": {"projection": True, "embedding": 0}}, {"teachers.t.embedding": 1}),
    "teachers.t.uncertainty": (
        {"teachers.t": {"uncertainty": True, "embedding": 0, "contrast": 1}},
        {"teachers.t.embedding": 1},
    ),
    "teachers.t.contrast_scale": (
        {"teachers.t": {"contrast_scale": 5, "contrast": 0}},
        {"teachers.t.contrast": 1},
    ),
    "teachers.t.target": (
        {"teachers.t": {"target": "speaker", "hears": "crop", "teaches": ["crop"]}},
        {"teachers.t.hears": "utterance", "teachers.t.posterior": 0},
    ),
    "teachers.t.centred": (
        {"teachers.t": {"centred": True, "hears": "crop", "teaches": ["crop"]}},
        {"teachers.t.hears": "utterance", "teachers.t.posterior": 0},
    ),
    "per_speaker": ({"per_speaker": 3}, {"sampler": "balanced"}),
    "domain": ({"domain": "language"}, {"sampler": "domains"}),
    "model.head.margin": ({"model.head": {"name": "softmax", "margin": 0.3}}, {"model.head.name": "aam"}),
    "model.head.scale": ({"model.head": {"name": "softmax", "scale": 20}}, {"model.head.name": "aam"}),
    "model.head.margin_warmup": ({"model.head": {"margin": 0, "margin_warmup": 0.5}}, {"model.head.margin": 0.2}),
    "model.frontend.window": (
        {"model.frontend": {"features": "speechbrain", "window": "hamming"}},
        {"model.frontend.features": "kaldi"},
    ),
    "model.frontend.edges": (
        {"model.frontend": {"features": "speechbrain", "edges": "snip"}},
        {"model.frontend.features": "kaldi"},
    ),
    "model.frontend.scale": (
        {"model.frontend": {"features": "speechbrain", "scale": 1}},
        {"model.frontend.features": "kaldi"},
    ),
    "augment.probability": ({"augment.probability": 0.7, "augment.kinds": []}, {"augment.kinds": ["noise"]}),
    "augment.kinds": ({"augment.kinds": ["noise"], "augment.probability": 0}, {"augment.probability": 0.1}),
    "augment.most": ({"augment.most": 2, "augment.kinds": ["noise"]}, {"augment.kinds": ["noise", "reverb"]}),
    "augment.noise": ({"augment.noise": ["."], "augment.kinds": ["reverb"]}, {"augment.kinds": ["noise"]}),
    "augment.noise_snr": ({"augment.noise_snr": [0, 1], "augment.probability": 0}, {"augment.probability": 1}),
    "augment.music": ({"augment.music": ["."]}, {"augment.kinds": ["music"]}),
    "augment.music_snr": ({"augment.music_snr": [0, 1]}, {"augment.kinds": ["music"], "augment.music": ["."]}),
    "augment.babble_snr": ({"augment.babble_snr": [0, 1], "augment.kinds": ["noise"]}, {"augment.kinds": ["babble"]}),
    "augment.rirs": ({"augment.rirs": ["."], "augment.kinds": ["noise"]}, {"augment.kinds": ["reverb"]}),
    "augment.rooms": ({"augment.rooms": 5, "augment.rirs": ["."]}, {"augment.rirs": []}),
}
TEST: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "scoring.norm.top": ({"scoring.norm.top": 5, "scoring.norm.name": "s-norm"}, {"scoring.norm.name": "as-norm2"}),
    "scoring.norm.floor": ({"scoring.norm.floor": 0.1}, {"scoring.norm.name": "s-norm"}),
    "scoring.cohort.utterances": ({"scoring.cohort.utterances": 2}, {"scoring.transforms": ["centring"]}),
    "scoring.cohort.duration": (
        {"scoring.cohort.duration": "own", "scoring.transforms": ["centring"]},
        {"scoring.norm.name": "s-norm"},
    ),
    "scoring.embedding.frames": ({"scoring.embedding.frames": 100}, {"scoring.embedding.name": "joined"}),
    "scoring.embedding.crops": (
        {"scoring.embedding.crops": 4, "scoring.embedding.name": "segments"},
        {"scoring.embedding.name": "tta"},
    ),
    "scoring.embedding.with_whole": ({"scoring.embedding.with_whole": True}, {"scoring.embedding.name": "tta"}),
    "scoring.embedding.overlap": (
        {"scoring.embedding.overlap": 0.5, "scoring.embedding.name": "tta"},
        {"scoring.embedding.name": "segments"},
    ),
}
WAVEFORM, KALDI = {"features": "waveform"}, {"features": "kaldi"}
GRAPH: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "window": ({**WAVEFORM, "window": "hann"}, KALDI),
    "low": ({**WAVEFORM, "low": 50}, KALDI),
    "high": ({**WAVEFORM, "high": 7000}, KALDI),
    "edges": ({"features": "nemo", "edges": "mirror"}, KALDI),
    "layout": ({**WAVEFORM, "layout": "bands-frames"}, {"features": "nemo"}),
    "bands": ({**WAVEFORM, "bands": 40}, KALDI),
    "normalisation": ({**WAVEFORM, "normalisation": "mean"}, {"features": "nemo"}),
}
ROWS = [(TrainSettings, key, *row) for key, row in TRAIN.items()] + [
    (TestSettings, key, *row) for key, row in TEST.items()
]
ROWS += [(GraphSettings, key, *row) for key, row in GRAPH.items()]
WITH_SEGMENTS = {"segments": {"length": "1s"}, "crop": "2s"}


def settings(kind: type[Settings], changes: dict[str, Any]) -> Settings:
    base = copy.deepcopy(WITH_SEGMENTS) if kind is TrainSettings else {}
    return parse(kind, override_all(base, changes), "c.yaml")


@pytest.mark.parametrize(("kind", "key", "vain", "needed"), ROWS, ids=[row[1] for row in ROWS])
def test_what_has_no_effect_is_refused_until_it_has(
    kind: type[Settings], key: str, vain: dict[str, Any], needed: dict[str, Any]
) -> None:
    found = idle(settings(kind, vain))
    assert key in found
    with pytest.raises(ConfigError, match=rf"^c\.yaml: {key}: has no effect here, because it needs {found[key][:5]}"):
        refuse_idle({key: found[key]}, "c.yaml")
    assert key not in idle(settings(kind, {**vain, **needed}))
    left_out = {other: value for other, value in vain.items() if other != key}
    if left_out != vain:
        assert key not in idle(settings(kind, left_out))


def test_every_declaration_has_its_row() -> None:
    declared = [key for kind in every_class() for key in kind.needs_of_keys]
    assert len(declared) == len(ROWS)
    for key in declared:
        assert any(f".{row}".endswith(f".{key}") for row in (*TRAIN, *TEST, *GRAPH)), key


def test_defaults_have_no_need() -> None:
    assert not idle(TrainSettings())
    assert not idle(TestSettings())
    explicit = parse(TrainSettings, {"optimiser": {"momentum": 0.9}, "per_speaker": 2}, "c.yaml")
    assert not idle(explicit)  # what is as it would be anyway
    assert not idle(parse(TrainSettings, {"augment": {"kinds": [], "probability": 0}}, "c.yaml"))  # off twice


def test_unset_parts_are_passed_over(tmp_path: Path) -> None:
    assert not idle(parse(TrainSettings, {"segments": None}, "c.yaml"))


def study(**changes: Any) -> Study:
    values = {
        "title": "",
        "about": "",
        "budget": {"T": 4},
        "systems": {
            "adam": {"steps": "T", "crop": "1s"},
            "sgd": {"steps": "T", "crop": "1s", "set": {"optimiser.name": "sgd"}},
            "tta": {"of": "adam", "scoring": {"embedding.name": "tta"}},
        },
    }
    return Study("s", parse(StudySettings, override_all(values, changes), "study s"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"train": {"optimiser": {"momentum": 0.5}}},  # one system has SGD
        {"test": {"scoring": {"embedding": {"crops": 4}}}},  # one system has TTA
        {"systems.sgd.set": {"optimiser": {"name": "sgd", "momentum": 0.5}}},
        {"systems.adam.set": {"optimiser": {"momentum": 0.9}}},  # as it is anyway
    ],
)
def test_a_study_may_set_what_takes_effect_in_one_system(changes: dict[str, Any]) -> None:
    study(**changes).check()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"systems.adam.set": {"optimiser.momentum": 0.5}}, "systems.adam.set: optimiser.momentum: has no effect here"),
        ({"systems.adam.set": {"optimiser": {"momentum": 0.5}}}, "systems.adam.set: optimiser.momentum: has no effect"),
        ({"train": {"schedule": {"factor": 0.5}}}, "train: schedule.factor: has no effect here, because it needs sch"),
        ({"test": {"scoring": {"norm": {"top": 9}}}}, "test.scoring: norm.top: has no effect here"),
        (
            {"systems.tta.scoring": {"embedding.name": "segments", "embedding.crops": 4}},
            "systems.tta.scoring: embedding.crops: has no effect here",
        ),
    ],
)
def test_a_study_may_not_set_what_has_no_effect_in_any(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=rf"^study s: {told}"):
        study(**changes).check()
