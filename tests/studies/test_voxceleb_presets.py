"""Every `voxceleb` preset as a dry run: the whole graph, on a made VoxCeleb tree, for two steps.

With narrow networks in every run of the tests, at full size with `-m slow`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from shortvox.cli.main import run
from shortvox.config import override
from shortvox.models import backbone
from shortvox.studies.catalogue import load_study, study_names
from shortvox.studies.data import DataSource
from shortvox.studies.results import study_results
from shortvox.studies.runner import StudyRun, plan
from shortvox.studies.step import Step, do_step
from voices import RATE, voice

SPEAKERS, VIDEOS = 7, 2


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
@pytest.mark.parametrize("name", study_names())
def test_the_whole_graph_runs_for_two_steps(name: str, narrow: bool, voxceleb: Path, tmp_path: Path) -> None:
    study = load_study(name, preset="voxceleb", changes=BRIEF)
    source = DataSource((voxceleb,), tmp_path / "audio", validation_speakers=2)
    run_ = StudyRun(out=tmp_path, source=source, jobs=1, command="")
    data = source.open()
    study = study.on(len(data.train.corpus))
    steps = [shortened(step, narrow=narrow) for step in plan(study, run_, data.train.corpus.fingerprint())]
    for step in steps:
        do_step(step, lambda *_: None)
    test = source.test_set(data, study.settings.test)
    results = study_results(study, steps, data, test, cache=run_.embeddings)
    for protocol in results["protocols"].values():
        assert list(protocol["systems"]) == list(study.settings.systems)
        for system in protocol["systems"].values():
            assert all(0 <= system["lengths"][length]["eer"] <= 1 for length in ("full", "1"))


def test_segments_and_teachers_run_in_bf16(voxceleb: Path, tmp_path: Path) -> None:
    only = ["100f", "200f", "segging-fm", "dual-ts"]
    study = load_study("segging", preset="voxceleb", changes={**BRIEF, "only": only, "compare": []})
    source = DataSource((voxceleb,), tmp_path / "audio", validation_speakers=2)
    run_ = StudyRun(out=tmp_path, source=source, jobs=1, command="")
    for step in plan(study, run_, source.open().train.corpus.fingerprint()):
        assert step.settings["precision"] == "bf16"
        do_step(shortened(step, narrow=True, precision="bf16"), lambda *_: None)
        (loss,) = json.loads((step.folder / "training.json").read_text())["loss"]
        assert np.isfinite(loss[1])
