"""Long teaches short as one command: from a model of somebody else to graphs of one that is better at one second."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from amounts import AMOUNTS
from shortvox.cli.main import run
from shortvox.corpora.corpus import Corpus
from shortvox.corpora.speech import SpeechData
from shortvox.encoders.encoder import Encoder
from shortvox.encoders.opening import open_encoder
from shortvox.models.folder import load_model, read_settings, save_model
from shortvox.models.settings import ModelSettings
from shortvox.models.speaker_model import SpeakerModel
from shortvox.scoring.amount import AmountCalibration
from shortvox.studies import adapting
from shortvox.studies.adapting import Change, adapt_study, changes_of, preset_for, share_to_test, what_got_worse
from shortvox.studies.catalogue import load_study
from voices import make_voices

QUICK = (
    "S=6",
    "train.average=0",
    "train.batch=2",
    "train.augment.rooms=2",
    "test.draws=100",
    "test.lengths=[full,1]",
    "test.crop_seeds=1",
    "test_speakers=0.2",
)

CARD = "# strong\n\n- backbone ecapa-64\n- began as: noise\n"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder of ours, whose head knows other people."""
    folder = tmp_path_factory.mktemp("start") / "strong"
    torch.manual_seed(0)
    save_model(folder, SpeakerModel.fresh(ModelSettings(backbone="ecapa-64"), ("somebody", "else")), card=CARD)
    return folder


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Enough speakers for a test, for validation and to learn from."""
    return make_voices(tmp_path_factory.mktemp("ten"), speakers=10, each=3)


def command(start: Path, corpus: Corpus, out: Path, *more: str) -> list[str]:
    changes = [part for change in QUICK for part in ("--set", change)]
    return ["adapt", "--from", str(start), "--corpus", str(corpus.root), "--out", str(out), *changes, *more]


@pytest.fixture(scope="module")
def out(start: Path, voices: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapted")
    assert run(command(start, voices, folder, "--even-if-worse")) == 0
    return folder


def test_a_model_its_graphs_and_a_report_are_left(out: Path, start: Path) -> None:
    model = load_model(out / "model")
    assert model.settings.backbone == read_settings(start).backbone
    assert model.fingerprint() != load_model(start).fingerprint()
    assert model.calibration is not None
    assert open_encoder(out / "graphs").dim == model.backbone.dim
    assert (out / "graphs" / "model.fp16.onnx").exists()
    results = json.loads((out / "results.json").read_text())
    card = (out / "model" / "card.md").read_text()
    assert "- adapted from: strong (began as: noise)\n" in card
    assert card in (out / "graphs" / "card.md").read_text()
    assert {change.length for change in changes_of(results)} == {"full", "1"}
    assert {change.protocol for change in changes_of(results)} == {"full-short", "short-short"}
    for change in changes_of(results):
        eer = f"{100 * change.before:.1f} | {100 * change.after:.1f}"
        assert f"| {change.protocol} | {change.length} | {eer} | " in card
        figures = results["protocols"][change.protocol]["systems"]
        assert change.before == figures["before"]["lengths"][change.length]["eer"]
        assert change.after == figures["adapted"]["lengths"][change.length]["eer"]


def test_the_same_command_does_nothing_again(
    out: Path, start: Path, voices: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (out / "model" / "model.safetensors").read_bytes()
    assert run(command(start, voices, out, "--even-if-worse", "--json")) == 0
    captured = capsys.readouterr()
    assert "1 of 1 trainings were done before" in captured.err
    assert set(json.loads(captured.out)) == {"model", "graphs", "report", "changes"}
    assert (out / "model" / "model.safetensors").read_bytes() == before


def test_a_model_that_got_worse_is_not_exported(
    out: Path,
    start: Path,
    voices: Corpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    worse = (Change("full-short", "1", 0.1, 0.2, (0.01, 0.2)), Change("full-short", "full", 0.1, 0.05, (-0.1, 0.0)))
    monkeypatch.setattr(adapting, "changes_of", lambda results: worse)
    folder = tmp_path / "worse"
    assert run(command(start, voices, folder)) == 2
    told = capsys.readouterr().err
    assert "a higher EER than before: 12.5 instead of 10.0 % on the mean, of 2 test speakers, too few to be " in told
    assert not (folder / "model").exists()
    assert not (folder / "graphs").exists()
    assert (folder / "report.html").exists()


def test_a_length_decides_where_enough_are_tested_and_the_mean_where_few_are() -> None:
    rose = Change("full-short", "1", 0.10, 0.11, (0.005, 0.02))
    fell = Change("full-short", "full", 0.10, 0.05, (-0.1, 0.0))
    unsure = Change("short-short", "1", 0.10, 0.14, (-0.01, 0.06))
    assert what_got_worse((rose, fell, unsure), 20) == "11.0 instead of 10.0 % (full-short, 1)"
    assert what_got_worse((fell, unsure), 20) is None
    assert what_got_worse((rose, fell, unsure), 19) is None
    assert (
        what_got_worse((rose, unsure), 19)
        == "12.5 instead of 10.0 % on the mean, of 19 test speakers, too few to be sure"
    )


def test_a_fifth_is_tested_and_more_of_few() -> None:
    assert [round(speakers * share_to_test(speakers)) for speakers in (4, 12, 40, 60, 100, 500)] == [
        2,
        6,
        20,
        20,
        20,
        100,
    ]


def test_decisions_are_calibrated_on_who_was_held_out_and_only_once(
    out: Path, start: Path, voices: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On validation and test speakers, who are apart, and in the model folder and the graphs alike."""
    assert "amounts" not in json.loads((out / "graphs" / "calibration.json").read_text())  # too few
    asked: list[list[set[str]]] = []

    def calibrate(encoder: Encoder, parts: list[SpeechData]) -> dict[str, Any]:
        asked.append([set(part.corpus.speakers) for part in parts])
        return {"amounts": AMOUNTS.to_json()}

    monkeypatch.setattr(adapting, "FEWEST_SPEAKERS", 4)
    monkeypatch.setattr(adapting, "calibrate_amounts", calibrate)
    copied = tmp_path / "out"
    shutil.copytree(out, copied)
    for _ in range(2):
        assert run(command(start, voices, copied, "--even-if-worse")) == 0
        for folder in ("model", "graphs"):
            found = json.loads((copied / folder / "calibration.json").read_text())
            assert AmountCalibration.from_json(found["amounts"], folder) == AMOUNTS
            assert found["protocols"]
    ((watched, tested),) = asked
    assert not watched & tested
    learnt = set((copied / "model" / "speakers.txt").read_text().splitlines())
    assert not learnt & (watched | tested)


def test_too_few_steps_for_a_mean_of_weights_are_told_before_any_training(
    start: Path, voices: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command(start, voices, tmp_path), "--set", "S=20", "--set", "train.average=0.1"]) == 2
    told = capsys.readouterr().err
    assert "study adapt: systems.adapted: train.average: the weights of 1 step(s) lie in the last 0.1 of 20 " in told
    assert "raise average to 0.3, take more steps, or set average=0" in told
    assert not (tmp_path / "systems").exists()


def test_nobody_needs_to_know_who_speaks_and_a_graph_is_a_start(
    exported: Path,
    voices: Corpus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    start = exported / "model.int8-storage.onnx"
    assert run(command(start, voices, tmp_path / "out", "--unlabelled")) == 2
    assert "name labelled speech with --test-corpus" in capsys.readouterr().err

    def export(model: Path, graphs: Path, **options: object) -> None:
        shutil.copytree(exported, graphs, ignore=shutil.ignore_patterns("calibration.json"))

    monkeypatch.setattr(adapting, "export_model", export)
    others = make_voices(tmp_path / "others", speakers=3, each=2, first=20)
    test = ["--unlabelled", "--test-corpus", str(others.root), "--even-if-worse"]
    assert run(command(start, voices, tmp_path / "out", *test)) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["corpus"]["train"]["speakers"] == len(voices) == results["corpus"]["train"]["utterances"]
    assert results["corpus"]["test"]["speakers"] == 3
    calibration = json.loads((tmp_path / "out" / "model" / "calibration.json").read_text())
    assert calibration["fitted_on"] == "others: 3 speakers"  # nobody watched


def test_the_size_follows_the_speakers_to_train_on(start: Path, tmp_path: Path) -> None:
    assert [preset_for(count) for count in (10, 60, 61, 600, 601, 5000)] == [
        "few",
        "few",
        "some",
        "some",
        "many",
        "many",
    ]
    made = make_voices(tmp_path / "voices", speakers=70, each=1)
    steps = {}
    for share, elsewhere in ((0.1, False), (0.2, False), (0.2, True)):
        study = adapt_study(str(start), [made.root], {"test_speakers": share}, tested_elsewhere=elsewhere)
        steps[share, elsewhere] = study.steps("adapted")
    sizes = {name: load_study("adapt", preset=name).steps("adapted") for name in ("few", "some")}
    assert steps == {(0.1, False): sizes["some"], (0.2, False): sizes["few"], (0.2, True): sizes["some"]}
    for preset in ("few", "some", "many"):
        assert list(load_study("adapt", preset=preset).settings.systems) == ["before", "adapted"]
