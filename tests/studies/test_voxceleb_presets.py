"""Every `voxceleb` preset: its numbers against those of the research notes, and the whole graph as a dry run.

The dry run is on a made VoxCeleb tree, for two steps, with narrow networks in every run of the tests, at full size with
`-m slow`.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile

from shortvox.cli.main import run
from shortvox.config import override
from shortvox.models import backbone
from shortvox.studies.catalogue import list_studies, load_study
from shortvox.studies.data import DataSource
from shortvox.studies.results import study_results
from shortvox.studies.runner import StudyRun, plan
from shortvox.studies.step import Step, do_step
from shortvox.studies.study import Study
from shortvox.training.optim import learning_rate
from voices import RATE, voice

SPEAKERS, VIDEOS = 7, 2
STUDIES = [entry["name"] for entry in list_studies() if "voxceleb" in entry["presets"]]


@pytest.fixture(scope="module")
def voxceleb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus imported from `wav/id10001/video/00001.wav` and so on."""
    source, corpus = tmp_path_factory.mktemp("voxceleb"), tmp_path_factory.mktemp("corpora") / "vox1"
    rng = np.random.default_rng(3)
    for speaker in range(SPEAKERS):
        for video in range(VIDEOS):
            path = source / "wav" / f"id1000{speaker}" / f"video{video}" / "00001.wav"
            path.parent.mkdir(parents=True)
            soundfile.write(path, voice(speaker, rng.uniform(1.5, 2.5), rng), RATE, subtype="PCM_16")
    assert run(["corpus", "import", "voxceleb", str(source), str(corpus)]) == 0
    return corpus


BRIEF = {"test.lengths": ["full", "1"], "test.crop_seeds": 1, "test.draws": 100}
NARROW = {
    "ecapa-512": "ecapa-64",
    "ecapa-1024": "ecapa-64",
    "se-resnet34": "se-resnet34-8",
    "isk34": "isk34-8",
    "isk34-concat": "isk34-8-concat",
    "isk34-mean": "isk34-8-mean",
}


# Of rows that differ in lengths, backbones or what is frozen only, the narrow run has one.
KEPT = {
    "isk": ("vanilla-random", "vanilla-mean", "segging-vanilla", "segging-fm", "concat-200f-sre16"),
    "frontend": ("plain", "vad", "vad-before-sliding"),
    "ts-frozen-fc": ("teacher", "specialist", "ts-trained", "ts-centroid", "dual-ts-frozen", "dual-no-ts-trained"),
    "segging": ("100f", "200f", "400f", "segging-fm", "segging-random", "400t-fm", "dual-ts"),
    "ecapa-segment-aggregation": ("baseline-1s-thrice", "sa", "sa-fm", "sa-no-average", "sa-separate", "sa-pulled"),
}


def brief(name: str, *, narrow: bool) -> Study:
    whole = load_study(name, preset="voxceleb", changes=BRIEF)
    if not narrow or name not in KEPT:
        return whole
    assert set(KEPT[name]) <= set(whole.order())
    kept = [system for system in whole.settings.systems if whole.trained(system) in KEPT[name]]
    return load_study(name, preset="voxceleb", changes={**BRIEF, "only": kept})


def shortened(step: Step, *, narrow: bool, precision: str = "fp32") -> Step:
    """Two steps of two crops. Only what costs time differs from the preset: bf16 is slow without hardware for it."""
    settings = {**step.settings, "steps": 2, "batch": 2, "workers": 0, "precision": precision, "device": "cpu"}
    settings = override(settings, "augment.rooms", 2)
    if narrow:
        name = NARROW[settings["model"]["backbone"]]
        settings = override(settings, "model.backbone", name)
        settings = override(settings, "model.frontend.bands", backbone[name]().bands)
    return replace(step, settings=settings)


@pytest.mark.parametrize("narrow", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["narrow", "full"])
@pytest.mark.parametrize("name", STUDIES)
def test_the_whole_graph_runs_for_two_steps(name: str, narrow: bool, voxceleb: Path, tmp_path: Path) -> None:
    study = brief(name, narrow=narrow)
    source = DataSource((voxceleb,), tmp_path / "audio", validation_speakers=2)
    run_ = StudyRun(out=tmp_path, source=source, jobs=1, command="")
    data = source.open()
    study = study.on(len(data.train.corpus))
    steps = [shortened(step, narrow=narrow) for step in plan(study, run_, data.train.corpus.fingerprint())]
    for step in steps:
        do_step(step, lambda *_: None)
    test = source.test_set(data, study.settings.test)
    results = study_results(
        study, steps, data, test, cache=run_.embeddings, encoders={}, calibrations=tmp_path / "calibrations"
    )
    for protocol in results["protocols"].values():
        assert list(protocol["systems"]) == list(study.settings.systems)
        for system in protocol["systems"].values():
            assert all(0 <= system["lengths"][length]["eer"] <= 1 for length in ("full", "1"))


class Row(NamedTuple):
    """A row of the notes as they have it; what they do not say is a choice, and stands in the preset alone."""

    batch: int  # speakers, for losses over pairs
    epochs: float
    crop: str
    loss: str = "aam"
    segments: str | None = None
    join: str = "embeddings"
    backbone: str = "se-resnet34"
    sre16: bool = False  # sliding mean and VAD over the whole file, before cropping


SE, SEGGING, ISK = Row(150, 36, "200f"), Row(150, 36, "200f", segments="100f"), Row(150, 15, "200f", backbone="isk34")
CONCAT = ISK._replace(backbone="isk34-concat")
CUT_ISK = ISK._replace(batch=120, crop="400f", segments="200f")
NOTES = {
    "se-resnet-losses": {
        "softmax-ap-200f": SE._replace(loss="softmax-ap"),
        "aam-200f": SE,
        "aam-200f-long": SE._replace(epochs=99),
        "aam-400f": SE._replace(crop="400f"),
    },
    "segging": {
        "100f": SE._replace(crop="100f"),
        "200f": SE,
        "400f": SE._replace(crop="400f"),
        "segging-vanilla": SEGGING,
        "segging-fm": SEGGING._replace(join="maps"),
    },
    "isk": {
        "vanilla-200f": ISK,
        "vanilla-400f": ISK._replace(epochs=30, crop="400f"),
        "vanilla-random": ISK._replace(epochs=30, crop="200-400f"),
        "concat-400f": CONCAT._replace(epochs=30, crop="400f"),
        "concat-200f": CONCAT._replace(epochs=20),
        "concat-random": CONCAT._replace(crop="200-400f"),
        "concat-random-long": CONCAT._replace(epochs=30, crop="200-400f"),
        "concat-random-augmented": CONCAT._replace(crop="200-400f"),
        "segging-vanilla": CUT_ISK,
        "segging-fm": CUT_ISK._replace(join="maps"),
        "vanilla-200f-sre16": ISK._replace(sre16=True),
        "vanilla-random-sre16": ISK._replace(epochs=30, crop="200-400f", sre16=True),
        "concat-400f-sre16": CONCAT._replace(epochs=30, crop="400f", sre16=True),
        "concat-200f-sre16": CONCAT._replace(epochs=20, sre16=True),
        "concat-random-sre16": CONCAT._replace(crop="200-400f", sre16=True),
    },
}
VOX1, VOX2 = 148_642, 1_092_009  # utterances of the dev sets


@pytest.mark.parametrize(("name", "system"), [(name, system) for name, rows in NOTES.items() for system in rows])
def test_the_numbers_are_those_of_the_notes(name: str, system: str) -> None:
    study, row = load_study(name, preset="voxceleb").on(VOX2), NOTES[name][system]
    training, scoring = study.training(system, 0), study.scoring(system)
    items = 2 * row.batch if row.loss == "softmax-ap" else row.batch
    segments, frontend = training.segments, training.model.frontend
    assert (training.batch, training.items) == (row.batch, items)
    assert training.steps == math.ceil(row.epochs * VOX2 / items)
    assert (training.crop, training.model.head.name) == (row.crop, row.loss)
    assert (training.model.backbone, frontend.bands) == (row.backbone, 64)
    assert (segments and segments.length) == row.segments
    if segments is not None:
        assert (segments.pick, segments.join, segments.overlap) == ("all", row.join, 0)
    expected = (
        ("file", "sre16-v2", "sliding") if row.sre16 else ("crop", "none", "none" if row in SE_ROWS else "utterance")
    )
    assert (training.context, frontend.vad, frontend.cmn) == expected
    assert (scoring.context, scoring.norm.name) == ("file" if row.sre16 else "crop", "none")
    augmented = training.augment.probability > 0
    assert augmented == (name != "isk" or system == "concat-random-augmented")
    learning_rates = [learning_rate(step, 1000, 1.0, training.schedule) for step in range(1000)]
    assert learning_rates[-1] < 0.011 * max(learning_rates)  # the decay is a choice, but one that ends low


SE_ROWS = {row for name in ("se-resnet-losses", "segging") for row in NOTES[name].values()}  # normalise by themselves
TTA = {
    "se-resnet-losses": dict.fromkeys(NOTES["se-resnet-losses"], 400),
    "segging": {
        **dict.fromkeys(("200f", "400f", "400t-fm", "dual-ts"), 400),
        **dict.fromkeys(("segging-vanilla", "segging-fm", "segging-random"), 200),
    },
    "isk": {system: 400 for system in NOTES["isk"] if system not in ("vanilla-400f", "concat-random-augmented")},
}


@pytest.mark.parametrize("name", TTA)
def test_rows_with_tta_are_ten_crops_as_long_as_the_notes_(name: str) -> None:
    study = load_study(name, preset="voxceleb")
    for system, frames in TTA[name].items():
        own = study.settings.systems[f"{system}-tta"]
        scoring = study.scoring(f"{system}-tta")
        assert own.of == system
        embedding = scoring.embedding
        assert (embedding.name, embedding.crops, embedding.frames, embedding.of) == ("tta", 10, frames, None)
        assert scoring.context == study.scoring(system).context


@pytest.mark.parametrize("name", STUDIES)
def test_what_a_preset_expects_and_measures(name: str) -> None:
    study = load_study(name, preset="voxceleb")
    ecapa = study.settings.train.model.backbone.startswith("ecapa")
    expects = study.settings.expects
    assert expects is not None
    assert expects.utterances == (VOX1 if ecapa and name != "large" else VOX2)
    assert expects.corpus == ("VoxCeleb1 dev" if expects.utterances == VOX1 else "VoxCeleb2 dev")
    assert study.on(round(0.97 * expects.utterances)).corpus_note() is None  # less the validation speakers
    assert "meant for VoxCeleb" in (study.on(expects.utterances // 2).corpus_note() or "")
    assert {"full", "1"} <= set(study.settings.test.names()) or name == "tta"
    assert set(study.settings.test.protocols) == {"full-short", "short-short"}
    known = study.on(expects.utterances)
    for pair in study.settings.compare or ():
        marked = {"aam-200f-long", "softmax-ap-200f"} & set(pair)  # which differ on purpose, and are told in the table
        assert marked or len({known.total_steps(system) for system in pair}) == 1, pair


def test_ecapa_rows_are_those_of_the_notes() -> None:
    study = load_study("frozen-fc", preset="voxceleb").on(VOX1)
    crops = {name: study.training(name, 0).crop for name in study.order()}
    assert crops == {
        "teacher": "2s",
        "continued": "2s",
        "from-teacher": "1s",
        "frozen-fc": "1s",
        "random-from-teacher": "1-2s",
        "scratch-1s": "1s",
        "scratch-random": "1-2s",
        "scratch-2s": "2s",
    }
    assert {study.training(name, 0).model.backbone for name in study.order()} == {"ecapa-512"}
    assert [name for name in study.order() if study.training(name, 0).transfer.head == "frozen"] == ["frozen-fc"]
    assert study.settings.notes_table is not None
    assert set(study.settings.notes_table.rows) == {
        "teacher",
        "scratch-1s",
        "from-teacher",
        "frozen-fc",
        "scratch-random",
    }
    large = load_study("large", preset="voxceleb").on(VOX2)
    assert {name: (large.training(name, 0).crop, large.training(name, 0).model.backbone) for name in large.order()} == {
        "large-1s": ("1s", "ecapa-1024"),
        "large-2s": ("2s", "ecapa-1024"),
        "base-1s": ("1s", "ecapa-512"),
        "base-2s": ("2s", "ecapa-512"),
    }
    sa = load_study("ecapa-segment-aggregation", preset="voxceleb").on(VOX1)
    for name in sa.order():
        cut = sa.training(name, 0).segments
        assert (sa.training(name, 0).crop, cut and cut.length) == {
            "baseline-1s": ("1s", None),
            "baseline-1s-thrice": ("1s", None),
            "baseline-2s": ("2s", None),
        }.get(name, ("3s", "1s"))


@pytest.mark.parametrize("preset", [None, "small", "voxceleb"])
def test_a_control_hears_as_much_as_what_it_controls(preset: str | None) -> None:
    """Equal steps, and as many seconds in each: three segments of a crop against three crops."""
    study = load_study("ecapa-segment-aggregation", preset=preset).on(VOX1)
    sa, control = study.training("sa-no-average", 0), study.training("baseline-1s-thrice", 0)
    assert (control.steps, control.items) == (sa.steps, 3 * sa.items)
    study = load_study("segging", preset=preset).on(VOX2)
    taught, alone = study.training("dual-ts", 0), study.training("dual-no-ts", 0)
    assert alone == taught.model_copy(update={"teachers": {}})
    study = load_study("ts-frozen-fc", preset=preset).on(VOX1)
    for head in ("trained", "frozen", "centroid"):
        taught, alone = study.training(f"dual-ts-{head}", 0), study.training(f"dual-no-ts-{head}", 0)
        assert alone == taught.model_copy(update={"teachers": {}})


def test_segments_and_teachers_run_in_bf16(voxceleb: Path, tmp_path: Path) -> None:
    only = ["100f", "200f", "segging-fm", "dual-ts"]
    study = load_study("segging", preset="voxceleb", changes={**BRIEF, "only": only, "compare": []})
    source = DataSource((voxceleb,), tmp_path / "audio", validation_speakers=2)
    run_ = StudyRun(out=tmp_path, source=source, jobs=1, command="")
    corpus = source.open().train.corpus
    for step in plan(study.on(len(corpus)), run_, corpus.fingerprint()):
        assert step.settings["precision"] == "bf16"
        do_step(shortened(step, narrow=True, precision="bf16"), lambda *_: None)
        (loss,) = json.loads((step.folder / "training.json").read_text())["loss"]
        assert np.isfinite(loss[1])
