"""Teachers that have heard every whole clean utterance before the first step: where a student's crops should land."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trainings
from safetensors.torch import load_file
from scipy.special import log_softmax
from trainings import PLAIN

from shortvox.config import parse
from shortvox.corpora.crop import whole
from shortvox.corpora.speech import SpeechData
from shortvox.errors import ConfigError
from shortvox.models.embedding import embed_crops
from shortvox.models.folder import load_model
from shortvox.models.speaker_model import SpeakerModel
from shortvox.training import targets
from shortvox.training.batches import TrainingBatches, change_speed, speaker_names
from shortvox.training.branches import TeacherSettings
from shortvox.training.distributed import Placement
from shortvox.training.learner import Learner
from shortvox.training.settings import TrainSettings
from shortvox.training.targets import utterance_targets

QUIET = {"probability": 0.0, "time_frames": 0, "frequency_bands": 0}
LONG = {"hears": "utterance", "teaches": ["crop"], "posterior": 0}


@pytest.fixture(scope="module")
def teacher(data: SpeechData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teacher")
    trainings.run({**PLAIN, "steps": 3, "seed": 5}, data, out)
    return out


@pytest.fixture(scope="module")
def model(teacher: Path) -> SpeakerModel:
    return load_model(teacher)


def said(**values: Any) -> TeacherSettings:
    return parse(TeacherSettings, {**LONG, **values}, "test")


def alone(model: SpeakerModel, data: SpeechData, position: int, speed: float = 1.0) -> np.ndarray:
    """The embedding of one whole utterance, with nothing beside it."""
    transform = None if speed == 1.0 else lambda waveform: change_speed(waveform, speed, None)
    return embed_crops(model, data.store, [whole(data.store, position)], transform=transform)[0]


def test_the_target_is_the_embedding_of_the_whole_utterance_at_its_speed(
    data: SpeechData, model: SpeakerModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "AT_ONCE", 3)  # so that several parts are put together
    table = utterance_targets(model, said(), data, (1.0, 0.9)).numpy()
    assert table.shape == (2 * len(data.corpus), model.backbone.dim)
    for position in (0, 4, len(data.corpus) - 1):
        assert table[2 * position] == pytest.approx(alone(model, data, position), abs=1e-4)
        assert table[2 * position + 1] == pytest.approx(alone(model, data, position, 0.9), abs=1e-4)


def test_every_crop_knows_its_recording(data: SpeechData) -> None:
    """A crop as long as its file, at either speed, is the recording that its number names."""
    augment = {**QUIET, "speeds": [1.0, 0.9]}
    settings = parse(TrainSettings, {**PLAIN, "crop": "full", "batch": 8, "augment": augment}, "test")
    names = speaker_names(data.corpus.speakers, settings.augment.speeds)
    seen = set()
    for step in range(4):
        batch = TrainingBatches(data.corpus, data.store, settings, names)[step]
        for row, number in enumerate(batch.recordings.tolist()):
            position, slower = divmod(number, 2)
            speaker = data.corpus.utterances[position].speaker
            assert names[batch.labels[row]] == (f"{speaker}#0.9" if slower else speaker)
            expected = data.store.read(position)
            if slower:
                expected = change_speed(expected, 0.9, None)
            assert torch.equal(batch.waveforms[row, : len(expected)], torch.from_numpy(expected))
            seen.add(slower)
    assert seen == {0, 1}


def test_the_target_may_be_the_speakers_mean_and_less_the_mean_of_all(data: SpeechData, model: SpeakerModel) -> None:
    own = utterance_targets(model, said(), data, (1.0,)).numpy()
    speakers = np.array([utterance.speaker for utterance in data.corpus.utterances])
    mean = np.stack([own[speakers == name].mean(axis=0) for name in speakers])
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    assert utterance_targets(model, said(target="speaker"), data, (1.0,)).numpy() == pytest.approx(mean, abs=1e-6)
    between = own + mean
    between /= np.linalg.norm(between, axis=1, keepdims=True)
    assert utterance_targets(model, said(target="both"), data, (1.0,)).numpy() == pytest.approx(between, abs=1e-6)
    centred = own - own.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    assert utterance_targets(model, said(centred=True), data, (1.0,)).numpy() == pytest.approx(centred, abs=1e-5)


def test_the_target_may_be_less_the_mean_of_its_domain(data: SpeechData, model: SpeakerModel) -> None:
    """Of the domain's speakers, however much each said, and of ten who are as all speakers are on average."""
    speakers = [utterance.speaker for utterance in data.corpus.utterances]
    domains = ["near" if name < sorted(set(speakers))[2] else "far" for name in speakers]
    own = utterance_targets(model, said(), data, (1.0, 0.9)).numpy()
    voices = {name: {} for name in ("near", "far")}
    for at in range(2):
        for name in set(speakers):
            rows = [2 * place + at for place, speaker in enumerate(speakers) if speaker == name]
            voices[domains[speakers.index(name)]][name, at] = own[rows].mean(axis=0)
    everybody = np.mean([mean for of in voices.values() for mean in of.values()], axis=0)
    means = {name: (sum(of.values()) + 10 * everybody) / (len(of) + 10) for name, of in voices.items()}
    expected = own - np.repeat([means[name] for name in domains], 2, axis=0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    table = utterance_targets(model, said(centred="domain"), data, (1.0, 0.9), domains=domains)
    assert table.numpy() == pytest.approx(expected, abs=1e-5)


def test_domains_are_a_column_of_the_manifest() -> None:
    with pytest.raises(ConfigError, match="domain: centred: domain needs the manifest's column that names them"):
        parse(TrainSettings, {**PLAIN, "teachers": {"t": {**LONG, "centred": "domain"}}}, "test")


def test_what_was_heard_is_kept_and_heard_once(
    data: SpeechData, model: SpeakerModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "AT_ONCE", 5)
    followed: list[tuple[int, int]] = []
    first = utterance_targets(
        model, said(), data, (1.0, 0.9), cache=tmp_path, on_heard=lambda *counts: followed.append(counts)
    )
    assert [done for done, _ in followed] == sorted({done for done, _ in followed})
    assert followed[-1] == (2 * len(data.corpus),) * 2
    missing = sorted(tmp_path.iterdir())[0]
    missing.write_bytes(missing.read_bytes()[:-7])  # damaged: heard again, and nothing else
    heard: list[int] = []

    def counted(*args: Any, **options: Any) -> np.ndarray:
        heard.append(len(args[2]))
        return embed_crops(*args, **options)

    monkeypatch.setattr(targets, "embed_crops", counted)
    assert torch.equal(utterance_targets(model, said(), data, (1.0, 0.9), cache=tmp_path), first)
    assert len(heard) == 1


@pytest.mark.parametrize("contrast", [0.0, 2.0])
def test_a_crop_is_pulled_to_its_own_target_and_away_from_others(
    data: SpeechData, model: SpeakerModel, contrast: float
) -> None:
    """The loss by numpy and scipy; the crops of one speaker are no others to each other."""
    taught = {"long": {**LONG, "embedding": 3, "contrast": contrast, **({"contrast_scale": 7} if contrast else {})}}
    values = {**PLAIN, "batch": 12, "augment": QUIET, "teachers": taught}
    settings = parse(TrainSettings, values, "test")
    names = speaker_names(data.corpus.speakers, (1.0,))
    torch.manual_seed(0)
    student = SpeakerModel.fresh(settings.model, names)
    table = utterance_targets(model, settings.teachers["long"], data, (1.0,))
    learner = Learner(student, settings, Placement(torch.device("cpu")), {"long": model}, {"long": table}).eval()
    batch = TrainingBatches(data.corpus, data.store, settings, names)[0]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        loss = float(learner(batch, generator, 1.0))
        mine = learner.embed(batch, generator)["crop"]
        plain = float(student.head(mine, batch.labels))
    mine = (mine / mine.norm(dim=1, keepdim=True)).numpy().astype(np.float64)
    targets_ = table.numpy()[batch.recordings]
    cosines = mine @ targets_.T
    own = np.arange(len(mine))
    labels = batch.labels.numpy()
    logits = np.where((labels[:, None] == labels) & (own[:, None] != own), -np.inf, 7 * cosines)
    assert (logits == -np.inf).any()
    expected = 3 * (1 - cosines[own, own]).mean() - contrast * log_softmax(logits, axis=1)[own, own].mean()
    assert loss - plain == pytest.approx(expected, abs=1e-3)


def test_segments_of_an_utterance_are_pulled_to_its_target_and_to_each_other(
    data: SpeechData, model: SpeakerModel
) -> None:
    """One teacher of the whole utterance, another through a projection; the pieces are pulled to their mean too."""
    taught = {"long": {**LONG, "teaches": ["segments"], "embedding": 3, "contrast": 2}}
    taught["other"] = {**LONG, "teaches": ["segments", "aggregate"], "target": "speaker", "projection": True}
    pieces = {"length": "20f", "overlap": 0.1, "loss": {"segments": 1, "aggregate": 0, "cosine": 5}}
    values = {**PLAIN, "augment": QUIET, "segments": pieces, "teachers": taught}
    settings = parse(TrainSettings, values, "test")
    names = speaker_names(data.corpus.speakers, (1.0,))
    torch.manual_seed(0)
    student = SpeakerModel.fresh(settings.model, names)
    tables = {name: utterance_targets(model, settings.teachers[name], data, (1.0,)) for name in taught}
    both = dict.fromkeys(taught, model)
    learner = Learner(student, settings, Placement(torch.device("cpu")), both, tables).eval()
    batch = TrainingBatches(data.corpus, data.store, settings, names)[0]
    assert batch.segments.shape[1] == 3
    with torch.no_grad():
        loss = float(learner(batch, torch.Generator().manual_seed(0), 1.0))
        found = learner.embed(batch, torch.Generator().manual_seed(0))
        plain = torch.stack([student.head(piece, batch.labels) for piece in found["segments"].unbind(1)]).mean()
        project = learner.teachers["other"].project.weight.numpy()
    unit = {name: value.numpy().astype(np.float64) for name, value in found.items()}
    projected = {name: value @ project.T for name, value in unit.items()}
    for vectors in (unit, projected):
        vectors |= {name: value / np.linalg.norm(value, axis=-1, keepdims=True) for name, value in vectors.items()}
    own, mean = (tables[name].numpy()[batch.recordings] for name in taught)
    labels = batch.labels.numpy()
    unasked = (labels[:, None] == labels) & ~np.eye(len(labels), dtype=bool)
    logits = np.where(unasked, -np.inf, 20 * np.einsum("csd,td->sct", unit["segments"], own))
    chosen = np.diagonal(log_softmax(logits, axis=2), axis1=1, axis2=2)
    expected = (
        3 * (1 - (unit["segments"] * own[:, None]).sum(-1)).mean()
        - 2 * chosen.mean()
        + (1 - (projected["segments"] * mean[:, None]).sum(-1)).mean()
        + (1 - (projected["aggregate"] * mean).sum(-1)).mean()
        + 5 * (1 - (unit["segments"] * unit["aggregate"][:, None]).sum(-1)).mean()
    )
    assert loss - float(plain) == pytest.approx(expected, abs=2e-3)


def test_a_student_lands_nearer_to_its_targets_and_resumes(
    data: SpeechData, model: SpeakerModel, teacher: Path, tmp_path: Path
) -> None:
    taught = {"long": {**LONG, "model": str(teacher), "embedding": 10, "contrast": 1}}
    values = {**PLAIN, "steps": 40, "batch": 12, "optimiser": {"lr": 5e-3}, "teachers": taught, "checkpoint_every": 10}
    whole_utterances = utterance_targets(model, said(), data, (1.0,)).numpy()

    def agreement(student: SpeakerModel) -> float:
        crops = [whole(data.store, position)._replace(samples=6400) for position in range(len(data.corpus))]
        return float((embed_crops(student, data.store, crops) * whole_utterances).sum(axis=1).mean())

    def stop(done: int, steps: int, status: str) -> None:
        if done == 20:
            raise KeyboardInterrupt

    alone = trainings.run({**values, "teachers": {}}, data, tmp_path / "alone")
    at_once = trainings.run(values, data, tmp_path / "at-once")
    assert agreement(at_once) > agreement(alone) + 0.2
    with pytest.raises(KeyboardInterrupt):
        trainings.run(values, data, tmp_path / "resumed", on_step=stop)
    trainings.run(values, data, tmp_path / "resumed", resume=True)
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("at-once", "resumed"))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


@pytest.mark.parametrize("statistics", ["model", "batch"])
def test_batch_norms_may_keep_the_models_statistics(
    data: SpeechData, teacher: Path, tmp_path: Path, statistics: str
) -> None:
    values = {**PLAIN, "transfer": {"statistics": statistics}}
    trainings.run(values, data, tmp_path / "out", init=teacher)
    before, after = (load_file(folder / "model.safetensors") for folder in (teacher, tmp_path / "out"))
    moved = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert any(name.endswith("running_mean") for name in moved) == (statistics == "batch")
    assert "backbone.norm.weight" in moved or any(".norm.weight" in name for name in moved)


def test_weights_may_be_blended_with_those_of_the_start(data: SpeechData, teacher: Path, tmp_path: Path) -> None:
    ends = {}
    for share in (0.0, 0.25, 1.0):
        trainings.run({**PLAIN, "transfer": {"blend": share}}, data, tmp_path / f"{share}", init=teacher)
        ends[share] = load_file(tmp_path / f"{share}" / "model.safetensors")
    start = load_file(teacher / "model.safetensors")
    for name, tensor in start.items():
        if name.startswith("backbone."):
            assert torch.equal(ends[0.0][name], tensor)
            torch.testing.assert_close(ends[0.25][name], 0.75 * tensor + 0.25 * ends[1.0][name])
    assert not torch.equal(ends[1.0]["backbone.norm.weight"], start["backbone.norm.weight"])


def test_what_was_heard_before_a_stop_is_kept(
    data: SpeechData, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "AT_ONCE", 5)
    values = {**PLAIN, "teachers": {"long": {**LONG, "model": str(teacher)}}}

    def stop(done: int, steps: int, status: str) -> None:
        if " 5 of " in status:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        trainings.run(values, data, tmp_path / "out", on_step=stop)
    assert len(list((tmp_path / "out" / "targets").iterdir())) == 1
    trainings.run(values, data, tmp_path / "out", resume=True)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"teachers": {"long": {**LONG, "posterior": 1}}}, "set posterior: 0"),
        ({"teachers": {"long": {**LONG, "teaches": ["segments"]}}}, "there are no segments"),
        ({"accumulate": 2, "teachers": {"long": {**LONG, "contrast": 1}}}, "accumulate: teachers.long.contrast"),
        (
            {"teachers": {"a": {**LONG, "embedding": 0, "contrast": 1}, "b": LONG}},
            "teachers.b: a pulls the crop embedding into its own space already",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse(TrainSettings, {**PLAIN, **values}, "test")
