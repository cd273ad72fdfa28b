"""Segment aggregation and teachers: parts of one training step, checked against the plain step they extend."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
import trainings
from safetensors.torch import load_file
from torch.nn import functional
from trainings import PLAIN, RICH

from shortvox.config import parse
from shortvox.corpora.speech import SpeechData
from shortvox.errors import ConfigError, ModelError
from shortvox.models.folder import load_model
from shortvox.models.maps import Maps
from shortvox.models.speaker_model import SpeakerModel
from shortvox.training.batches import Batch, TrainingBatches, speaker_names
from shortvox.training.centroids import EmaRows, EpochRows, utterance_centroids
from shortvox.training.distributed import Placement
from shortvox.training.learner import Learner
from shortvox.training.settings import TrainSettings
from shortvox.training.teachers import Uncertainty
from voices import Broken

CPU = Placement(torch.device("cpu"))
SEGMENTS = {"length": "20f", "overlap": 0.1}
QUIET = {"probability": 0.0, "time_frames": 0, "frequency_bands": 0}  # nothing drawn, so that views are comparable


@pytest.fixture(scope="module")
def teacher(data: SpeechData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teacher")
    trainings.run({**PLAIN, "steps": 3, "seed": 5}, data, out)
    return out


def step(
    data: SpeechData, values: dict[str, Any], *, teachers: dict[str, SpeakerModel] | None = None
) -> tuple[Learner, Batch]:
    """A learner with weights of seed 0, and the first batch."""
    settings = parse(TrainSettings, {**PLAIN, "augment": QUIET, **values}, "test").simplified()
    names = speaker_names(data.corpus.speakers, settings.augment.speeds)
    torch.manual_seed(0)
    model = SpeakerModel.fresh(settings.model, names)
    learner = Learner(model, settings, CPU, teachers)
    return learner, TrainingBatches(data.corpus, data.store, settings, names)[0]


def loss_of(learner: Learner, batch: Batch) -> float:
    """In evaluation mode, so that looking changes nothing."""
    learner.eval()
    with torch.no_grad():
        return float(learner(batch, torch.Generator().manual_seed(0), 1.0))


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model.safetensors")


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(tensor.equal(second[name]) for name, tensor in first.items())


def test_a_batch_is_cut_into_segments(data: SpeechData) -> None:
    _, batch = step(data, {"crop": "40f", "segments": SEGMENTS})
    assert batch.segments.shape == (4, 3, 20 * 160)
    assert batch.starts.tolist() == [[0, 18, 20]] * 4
    for crop, pieces in zip(batch.waveforms, batch.segments, strict=True):
        for start, piece in zip((0, 18, 20), pieces, strict=True):
            assert torch.equal(piece, crop[start * 160 : (start + 20) * 160])
    assert batch.seconds == pytest.approx(4 * 3 * 0.2)


def test_one_segment_lies_anywhere_in_the_crop(data: SpeechData) -> None:
    values = {"crop": "40f", "batch": 200, "segments": {"length": "20f", "pick": "one", "loss": {"crop": 1}}}
    _, batch = step(data, values)
    assert batch.segments.shape == (200, 1, 20 * 160)
    assert set(batch.starts.flatten().tolist()) == set(range(21))
    assert batch.seconds == pytest.approx(200 * (0.4 + 0.2))
    for crop, piece, (start,) in zip(batch.waveforms, batch.segments, batch.starts.tolist(), strict=True):
        assert torch.equal(piece[0], crop[start * 160 : (start + 20) * 160])


def test_a_random_length_is_drawn_for_each_batch(data: SpeechData) -> None:
    settings = parse(TrainSettings, {**PLAIN, "steps": 40, "segments": {"length": "10-60f"}}, "test")
    names = speaker_names(data.corpus.speakers, settings.augment.speeds)
    batches = TrainingBatches(data.corpus, data.store, settings, names)
    lengths = [batches[number].segments.shape[2] // 160 for number in range(40)]
    assert min(lengths) < 20
    assert max(lengths) == 40  # a segment is never longer than its crop
    assert len(set(lengths)) > 10


def test_augmentation_is_drawn_for_the_crop_or_for_each_segment(data: SpeechData) -> None:
    loud = {**QUIET, "probability": 1.0, "kinds": ["noise"], "noise_snr": [0, 0]}
    for augment, shared in (("crop", True), ("segment", False)):
        _, batch = step(data, {"augment": loud, "segments": {"length": "30f", "overlap": 0.9, "augment": augment}})
        first, second = batch.segments[0, 0], batch.segments[0, 1]
        overlap = (batch.starts[0, 1] - batch.starts[0, 0]) * 160
        assert torch.equal(first[overlap:], second[: len(first) - overlap]) == shared


@pytest.mark.parametrize("augment", ["crop", "segment"])
def test_spec_augment_is_drawn_for_the_crop_or_for_each_segment(data: SpeechData, augment: str) -> None:
    """Of a crop whose segments are the same sound, the embeddings differ by what SpecAugment blanks."""
    values = {"crop": "40f", "augment": {"probability": 0.0}, "segments": {"length": "20f", "augment": augment}}
    learner, batch = step(data, values)
    alike = replace(batch, segments=batch.segments[:, :1].expand(-1, 2, -1))
    first, second = learner.embed(alike, torch.Generator().manual_seed(0))["segments"].unbind(1)
    assert torch.allclose(first, second, atol=1e-5) == (augment == "crop")


@pytest.mark.parametrize("join", ["embeddings", "maps"])
def test_one_segment_equals_the_plain_model(data: SpeechData, join: str) -> None:
    plain = loss_of(*step(data, {}))
    segments = {"length": "40f", "join": join, "loss": {"aggregate": 1, "segments": 0}}
    assert loss_of(*step(data, {"segments": segments})) == pytest.approx(plain, rel=1e-5)
    assert loss_of(*step(data, {"segments": {**segments, "cmn": "crop"}})) == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize(("frontend", "frames"), [({}, 20), ({"edges": "snip"}, 18), ({"features": "speechbrain"}, 21)])
def test_mean_normalisation_over_the_crop_hears_the_frames_of_each_segment(
    data: SpeechData, frontend: dict[str, Any], frames: int
) -> None:
    model = {"backbone": "ecapa-64", "frontend": frontend}
    learner, batch = step(data, {"segments": {**SEGMENTS, "cmn": "crop"}, "model": model})
    heard, lengths, count = learner._segment_features(batch, learner.settings.segments)
    features, _ = learner.frontend(batch.waveforms)
    expected = [features[:, start : start + frames] for start in batch.starts[0].tolist()]
    assert expected[-1].shape[1] == frames
    assert lengths is None
    assert count == len(expected) > 1
    torch.testing.assert_close(heard.unflatten(0, (-1, count)), torch.stack(expected, dim=1))


@pytest.mark.parametrize("join", ["embeddings", "maps"])
def test_the_loss_is_the_weighted_sum_of_its_terms(data: SpeechData, join: str) -> None:
    """a CE(e) + b mean CE(s_i) + c mean (1 - cos(s_i, e)) + d mean KL(p(e) || p(s_i)), from the embeddings."""
    weighed = {"aggregate": 0.7, "segments": 0.5, "cosine": 3.0, "kl": 2.0, "crop": 0.3}
    learner, batch = step(data, {"segments": {**SEGMENTS, "join": join, "loss": weighed}})
    learner.eval()
    with torch.no_grad():
        found = learner.embed(batch, torch.Generator().manual_seed(0))
        pieces = [learner.backbone(*learner.frontend(batch.segments[:, number])) for number in range(3)]
        crop = learner.backbone(*learner.frontend(batch.waveforms))
    torch.testing.assert_close(found["segments"], torch.stack(pieces, 1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["crop"], crop, rtol=1e-4, atol=1e-5)
    e = found["aggregate"]
    if join == "embeddings":
        torch.testing.assert_close(e, torch.stack(pieces).mean(0), rtol=1e-4, atol=1e-5)
    else:
        assert not torch.allclose(e, torch.stack(pieces).mean(0), atol=1e-2)
    head, labels = learner.head.requires_grad_(False), batch.labels
    posterior = head.logits(e).softmax(1)
    expected = {
        "aggregate": head(e, labels),
        "segments": torch.stack([head(piece, labels) for piece in pieces]).mean(),
        "cosine": torch.stack([1 - functional.cosine_similarity(piece, e).mean() for piece in pieces]).mean(),
        "kl": torch.stack(
            [(posterior * (posterior.log() - head.logits(piece).log_softmax(1))).sum(1).mean() for piece in pieces]
        ).mean(),
        "crop": head(crop, labels),
    }
    total = sum(weighed[name] * float(value) for name, value in expected.items())
    assert loss_of(learner, batch) == pytest.approx(total, rel=1e-4)
    summed, batch = step(data, {"segments": {**SEGMENTS, "join": join, "loss": weighed, "reduce": "sum"}})
    total = sum(
        weighed[name] * float(value) * (3 if name in ("segments", "cosine", "kl") else 1)
        for name, value in expected.items()
    )
    assert loss_of(summed, batch) == pytest.approx(total, rel=1e-4)


def test_the_aggregate_is_not_pulled(data: SpeechData) -> None:
    """The gradient of the aggregate is that of its own CE, with the pull and without."""
    learner, batch = step(data, {"segments": {**SEGMENTS, "join": "maps", "loss": {"segments": 1, "cosine": 1}}})
    embeddings = {
        name: value.detach().requires_grad_()
        for name, value in learner.embed(batch, torch.Generator().manual_seed(0)).items()
    }
    learner.embed = lambda *_: embeddings  # type: ignore[method-assign]
    aggregate_alone, _ = step(data, {"segments": {**SEGMENTS, "join": "maps"}})
    aggregate_alone.embed = lambda *_: embeddings  # type: ignore[method-assign]
    learner(batch, torch.Generator(), 1.0).backward()
    with_pull = embeddings["aggregate"].grad.clone()
    embeddings["aggregate"].grad = None
    aggregate_alone(batch, torch.Generator(), 1.0).backward()
    torch.testing.assert_close(embeddings["aggregate"].grad, with_pull)


def test_separate_heads_learn_apart_and_only_the_first_is_kept(data: SpeechData, tmp_path: Path) -> None:
    values = {**PLAIN, "segments": {**SEGMENTS, "heads": "separate"}}
    learner, batch = step(data, values)
    assert torch.equal(learner.extras["segment-head"].weight, learner.head.weight)
    learner(batch, torch.Generator().manual_seed(0), 1.0).backward()
    assert not torch.equal(learner.extras["segment-head"].weight.grad, learner.head.weight.grad)
    trainings.run(values, data, tmp_path / "separate")
    assert load_model(tmp_path / "separate").head.weight.shape[0] == len(data.corpus.speakers)


def test_a_teacher_is_heard_and_never_learns(data: SpeechData, teacher: Path, tmp_path: Path) -> None:
    model = load_model(teacher)
    said = {"long": {"embedding": 2.0, "posterior": 3.0, "temperature": 2.0}}
    learner, batch = step(
        data, {"segments": {"length": "20f", "pick": "one"}, "teachers": said}, teachers={"long": model}
    )
    learner.train()
    assert not any(module.training for module in learner.teachers["long"].modules())
    assert not any(parameter.requires_grad for parameter in learner.teachers.parameters())
    learner.eval()
    with torch.no_grad():
        mine = learner.embed(batch, torch.Generator().manual_seed(0))["segments"][:, 0]
        target = model.backbone(*model.frontend(batch.waveforms))
        p = (model.head.logits(target) / 2).softmax(1)
        kl = (p * (p.log() - (learner.head.logits(mine) / 2).log_softmax(1))).sum(1).mean()
        expected = (
            learner.head(mine, batch.labels) + 2 * (1 - functional.cosine_similarity(mine, target).mean()) + 3 * 4 * kl
        )
    assert loss_of(learner, batch) == pytest.approx(float(expected), rel=1e-4)
    before = weights(teacher)
    values = {**PLAIN, "segments": {"length": "20f", "pick": "one"}, "teachers": {"long": {"model": str(teacher)}}}
    trainings.run(values, data, tmp_path / "student")
    assert same(before, weights(teacher))
    trainings.run({**values, "teachers": {}}, data, tmp_path / "alone")
    assert not same(weights(tmp_path / "student"), weights(tmp_path / "alone"))


def test_a_teacher_of_other_width_and_order_is_matched(data: SpeechData, teacher: Path) -> None:
    """Another backbone and dimension get a learned projection; rows are matched by name."""
    names = (*reversed(data.corpus.speakers), "stranger")
    torch.manual_seed(3)
    wide = SpeakerModel.fresh(parse(TrainSettings, {"model": {"backbone": "ecapa-128"}}, "test").model, names)
    learner, batch = step(data, {"teachers": {"wide": {"teaches": ["crop"]}}}, teachers={"wide": wide.eval()})
    taught = learner.teachers["wide"]
    assert taught.project.weight.shape == (wide.backbone.dim, learner.backbone.dim)
    assert taught.project.weight.requires_grad
    assert [names[row] for row in taught.teacher_rows] == list(data.corpus.speakers)
    loss = learner(batch, torch.Generator().manual_seed(0), 1.0)
    loss.backward()
    assert taught.project.weight.grad.abs().sum() > 0
    strangers = SpeakerModel.fresh(wide.settings, ("x", "y"))
    with pytest.raises(ModelError, match=r"teachers\.wide: its head knows 0 of the training speakers"):
        step(data, {"teachers": {"wide": {"teaches": ["crop"]}}}, teachers={"wide": strangers})


@pytest.mark.parametrize("head", ["aam", "softmax", "softmax-ap"])
def test_prefixes_of_the_embedding_must_do_alone(data: SpeechData, teacher: Path, head: str) -> None:
    """The mean over all numbers, the first 12 and the first 50, of head and teachers; a map takes what it is given."""
    values: dict[str, Any] = {
        "model": {"backbone": "ecapa-64", "head": {"name": head}},
        "sampler": "balanced",
        "prefixes": [12, 50],
        "teachers": {
            "same": {"teaches": ["crop"], "posterior": 0, "embedding": 2, "contrast": 1, "contrast_scale": 9},
            "mapped": {"teaches": ["crop"], "posterior": 0, "embedding": 3, "projection": True, "uncertainty": True},
        },
    }
    model = load_model(teacher)
    learner, batch = step(data, values, teachers={"same": model, "mapped": model})
    learner.eval()
    unsure = learner.extras["uncertainty-mapped"]
    with torch.no_grad():
        torch.nn.init.normal_(unsure.weight, std=0.1)
        mine = learner.embed(batch, torch.Generator().manual_seed(0))["crop"]
        target = model.backbone(*model.frontend(batch.waveforms))
        total = 0.0
        for width in (12, 50, mine.shape[1]):
            narrow = copy.deepcopy(learner.head)
            if narrow.rows:
                narrow.weight = torch.nn.Parameter(narrow.weight[:, :width].clone())
            view, own = mine[:, :width], target[:, :width]
            mapped = view @ learner.teachers["mapped"].project.weight[:, :width].T
            cosines = functional.normalize(view) @ functional.normalize(own).T
            alike = (batch.labels[:, None] == batch.labels) & ~torch.eye(len(view), dtype=torch.bool)
            total += float(narrow(view, batch.labels))
            total += float(2 * (1 - cosines.diagonal()).mean())
            total += float(
                functional.cross_entropy((9 * cosines).masked_fill(alike, -torch.inf), torch.arange(len(view)))
            )
            expected = 0.05 + 1.95 * torch.sigmoid(view @ unsure.weight[0, :width] + unsure.bias)
            distances = 1 - functional.cosine_similarity(mapped, target)
            total += float(3 * (distances / expected + expected.log()).mean())
    assert loss_of(learner, batch) == pytest.approx(total / 3, rel=1e-4)


def test_doubtful_segments_are_pulled_less(data: SpeechData, teacher: Path) -> None:
    """Of each segment its own doubt: the likelihood of its distance by scipy; it starts as 0.4 for all of them."""
    values = {
        "crop": "40f",
        "segments": SEGMENTS,
        "teachers": {"t": {"hears": "segments", "posterior": 0, "embedding": 2, "uncertainty": True}},
    }
    model = load_model(teacher)
    learner, batch = step(data, values, teachers={"t": model})
    learner.eval()
    unsure = learner.extras["uncertainty-t"]
    for wide in (False, True):
        with torch.no_grad():
            if wide:
                torch.nn.init.normal_(unsure.weight, std=0.3)
            mine = learner.embed(batch, torch.Generator().manual_seed(0))["segments"]
            target = model.backbone(*model.frontend(batch.segments.flatten(0, 1))).unflatten(0, mine.shape[:2])
            plain = torch.stack([learner.head(piece, batch.labels) for piece in mine.unbind(1)]).mean()
            own = learner.head(mine.mean(dim=1), batch.labels)
            distances = (1 - functional.cosine_similarity(mine, target, dim=-1)).numpy()
            expected = unsure(mine).numpy()
        assert expected.shape == mine.shape[:2]
        assert (expected.std() > 0.02) if wide else np.allclose(expected, 0.4)
        likelihood = scipy.stats.expon.logpdf(distances, scale=expected)
        assert loss_of(learner, batch) == pytest.approx(float(plain + own) - 2 * likelihood.mean(), rel=1e-4)


def test_a_training_without_uncertainty_is_what_it_was() -> None:
    """Models from before there was one keep the identity of their training."""

    def identity(teacher: dict[str, Any]) -> dict[str, Any]:
        return parse(TrainSettings, {"teachers": {"t": {"teaches": ["crop"], **teacher}}}, "test").essential()[
            "teachers"
        ]

    assert "uncertainty" not in identity({})["t"]
    assert identity({"uncertainty": True}) == {"t": {**identity({})["t"], "uncertainty": True}}


def test_how_far_off_to_expect_a_crop_is_learnt_and_bounded() -> None:
    """It finds the distances that follow from an embedding; no embedding makes it nothing, or more than there is."""
    torch.manual_seed(0)
    unsure = Uncertainty(8)
    embeddings = torch.randn(4000, 8)
    means = (0.2 + 0.15 * embeddings[:, 0]).clamp(0.1, 0.6)
    distances = torch.distributions.Exponential(1 / means).sample()
    optimiser = torch.optim.Adam(unsure.parameters(), lr=0.02)
    for _ in range(300):
        optimiser.zero_grad()
        expected = unsure(embeddings)
        (distances / expected + expected.log()).mean().backward()
        optimiser.step()
    with torch.no_grad():
        assert torch.corrcoef(torch.stack([unsure(embeddings), means]))[0, 1] > 0.9
        extreme = unsure(1e6 * torch.eye(8).repeat(2, 1) * torch.tensor([1.0] * 8 + [-1.0] * 8)[:, None])
    assert extreme.min() == pytest.approx(0.05) and extreme.max() == pytest.approx(2.0)


def test_dual_teachers(data: SpeechData, teacher: Path) -> None:
    """The long teacher hears the crop and teaches both of the student's views, the specialist hears the segment."""
    long, short = load_model(teacher), load_model(teacher)
    torch.nn.init.normal_(short.head.weight)
    values = {
        "segments": {"length": "20f", "pick": "one", "loss": {"crop": 1.0}},
        "teachers": {
            "long": {"teaches": ["crop", "segments"]},
            "short": {"hears": "segments", "embedding": 0.0, "posterior": 0.5},
        },
    }
    learner, batch = step(data, values, teachers={"long": long, "short": short})
    learner.eval()
    with torch.no_grad():
        found = learner.embed(batch, torch.Generator().manual_seed(0))
        expected = 0.0
        target = long.backbone(*long.frontend(batch.waveforms))
        special = short.head.logits(short.backbone(*short.frontend(batch.segments[:, 0]))).softmax(1)
        p = long.head.logits(target).softmax(1)
        for mine in (found["crop"], found["segments"][:, 0]):
            said = learner.head.logits(mine).log_softmax(1)
            expected += float(
                learner.head(mine, batch.labels)
                + (p * (p.log() - said)).sum(1).mean()
                + 1
                - functional.cosine_similarity(mine, target).mean()
            )
        expected += 0.5 * float((special * (special.log() - said)).sum(1).mean())
    assert loss_of(learner, batch) == pytest.approx(expected, rel=1e-4)


def test_dual_teachers_without_weight_are_plain_training(data: SpeechData, teacher: Path, tmp_path: Path) -> None:
    """With all teachers' and the long branch's weights at 0 the long pass is skipped: the same steps, bit for bit."""
    silent = {"model": str(teacher), "embedding": 0.0, "posterior": 0.0}
    dual = {
        **RICH,
        "crop": "50f",
        "segments": {"length": "30f", "pick": "one", "loss": {"crop": 0.0}},
        "teachers": {"long": {**silent, "teaches": ["crop", "segments"]}, "short": {**silent, "hears": "segments"}},
    }
    trainings.run(dual, data, tmp_path / "dual")
    trainings.run({**RICH, "crop": "30f"}, data, tmp_path / "plain")
    assert same(weights(tmp_path / "dual"), weights(tmp_path / "plain"))
    trainings.run({**RICH, "crop": "31f"}, data, tmp_path / "other")
    assert not same(weights(tmp_path / "other"), weights(tmp_path / "plain"))


@pytest.mark.parametrize("own", [{}, {"loss": {"aggregate": 0.0}}, {"reduce": "sum"}, {"overlap": 0.5}])
def test_one_segment_that_is_all_that_is_heard_is_a_plain_crop(own: dict[str, Any]) -> None:
    values = {"crop": "50f", "segments": {"length": "30f", "pick": "one", **own}}
    simple = parse(TrainSettings, values, "test").simplified()
    assert (simple.crop, simple.segments) == ("30f", None)


@pytest.mark.parametrize(
    "own",
    [
        {"cmn": "crop"},
        {"augment": "segment"},
        {"loss": {"segments": 0.5}},
        {"loss": {"aggregate": 1.0}},
        {"loss": {"crop": 1.0}},
        {"pick": "all"},
    ],
)
def test_one_segment_with_anything_of_its_own_is_no_plain_crop(own: dict[str, Any]) -> None:
    values = {"crop": "50f", "segments": {"length": "30f", "pick": "one", **own}}
    assert parse(TrainSettings, values, "test").simplified().segments is not None


def test_a_segment_drawn_longer_than_the_crop_is_the_crop(data: SpeechData) -> None:
    _, batch = step(data, {"crop": "30f", "segments": {"length": "20-90f", "pick": "one"}})
    assert batch.segments.shape[2] <= 30 * 160


def test_every_scheme_resumes_bit_for_bit(data: SpeechData, teacher: Path, tmp_path: Path) -> None:
    """Second head, projection, uncertainty, random segments, averages: all of it is in the checkpoint."""
    values = {
        **RICH,
        "crop": "50f",
        "segments": {
            "length": "20-40f",
            "join": "maps",
            "heads": "separate",
            "augment": "segment",
            "loss": {"cosine": 0.5, "kl": 0.5, "crop": 0.5},
        },
        "teachers": {
            "long": {
                "model": str(teacher),
                "projection": True,
                "uncertainty": True,
                "teaches": ["crop", "segments", "aggregate"],
            }
        },
    }
    trainings.run(values, data, tmp_path / "whole")

    def stop(done: int, steps: int, status: str) -> None:
        if done == 8:
            raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        trainings.run(values, data, tmp_path / "cut", on_step=stop)
    trainings.run(values, data, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


@pytest.mark.parametrize("refresh", ["never", "epoch", "ema"])
def test_centroid_rows(data: SpeechData, teacher: Path, tmp_path: Path, refresh: str) -> None:
    """Rows start as unit means of whole utterances, and follow the student as told, through a resume as well."""
    values = {
        **PLAIN,
        "steps": 8,
        "batch": 8,
        "checkpoint_every": 3,
        "transfer": {"head": "frozen", "rows": "centroids", "refresh": refresh, "momentum": 0.9},
    }
    trainings.run({**values, "optimiser": {"lr": 1e-12}}, data, tmp_path / "still", init=teacher)
    still, started = load_model(tmp_path / "still"), load_model(teacher)
    name = data.corpus.speakers[2]
    row = still.head.weight[still.speakers.index(name)]
    utterances = [p for p, u in enumerate(data.corpus.utterances) if u.speaker == name]
    with torch.no_grad():
        vectors = [started.embed(torch.from_numpy(data.store.read(p))[None])[0] for p in utterances]
    mean = functional.normalize(torch.stack(vectors).mean(0), dim=0)
    if refresh == "never":
        torch.testing.assert_close(functional.normalize(row, dim=0), mean, rtol=1e-4, atol=1e-4)
    if refresh == "ema":
        assert functional.cosine_similarity(row, mean, dim=0) > 0.5
    if refresh == "epoch":  # of three steps: the rows are the student's after six, whose norms have other statistics
        six = {**values, "steps": 6, "optimiser": {"lr": 1e-12}}
        student = trainings.run(six, data, tmp_path / "six", init=teacher)
        expected = functional.normalize(utterance_centroids(data)(student, student.speakers))
        torch.testing.assert_close(functional.normalize(still.head.weight), expected, rtol=1e-3, atol=1e-4)
        assert not torch.allclose(functional.normalize(row, dim=0), mean, atol=1e-2)
    trainings.run(values, data, tmp_path / "whole", init=teacher)

    def stop(done: int, steps: int, status: str) -> None:
        if done == 7:
            raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        trainings.run(values, data, tmp_path / "cut", init=teacher, on_step=stop)
    trainings.run(values, data, tmp_path / "cut", init=teacher, resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    moved = load_model(tmp_path / "whole").head.weight
    assert torch.equal(moved, still.head.weight) == (refresh == "never")


def test_epoch_rows_are_the_students_own_centroids(data: SpeechData, teacher: Path) -> None:
    """24 utterances, batches of 8: the rows are computed afresh before step 3 and no other of the first five."""
    settings = parse(TrainSettings, {**PLAIN, "batch": 8, "transfer": {"head": "frozen", "refresh": "epoch"}}, "test")
    model = load_model(teacher)
    before = model.head.weight.detach().clone()
    rows = EpochRows(model, data, settings)
    for number in (0, 1, 2, 4):
        rows.before_step(number)
        assert torch.equal(model.head.weight, before)
    rows.before_step(3)
    expected = functional.normalize(utterance_centroids(data)(model, model.speakers)) * before.norm(dim=1).mean()
    torch.testing.assert_close(model.head.weight.detach(), expected)


def test_ema_rows_move_by_the_momentum(data: SpeechData, teacher: Path) -> None:
    how = {"head": "frozen", "refresh": "ema", "momentum": 0.75}
    settings = parse(TrainSettings, {**PLAIN, "transfer": how}, "test")
    model = load_model(teacher)
    before = model.head.weight.detach().clone()
    heard, labels = torch.randn(3, model.backbone.dim), torch.tensor([4, 1, 4])
    EmaRows(model, data, settings).after_step(heard, labels)
    unit = functional.normalize
    for row in range(len(before)):
        if row in (1, 4):
            said = unit(unit(heard[labels == row]).sum(0), dim=0)
            moved = unit(0.75 * unit(before[row], dim=0) + 0.25 * said, dim=0) * before[row].norm()
            torch.testing.assert_close(model.head.weight[row].detach(), moved)
        else:
            assert torch.equal(model.head.weight[row], before[row])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"segments": {"length": "full"}}, "segments.length: a segment is shorter than an utterance"),
        ({"crop": "full", "segments": {"length": "1s"}}, "segments: need crops of one length"),
        ({"segments": {"augment": "segment", "cmn": "crop"}}, "cmn: crop needs augment: crop"),
        ({"segments": {"loss": {"aggregate": 0, "segments": 0, "cosine": 1}}}, "the head would learn nothing"),
        ({"segments": {"heads": "separate", "loss": {"segments": 0}}}, "heads: separate needs loss.segments"),
        ({"segments": {"loss": {"agregate": 1}}}, "did you mean 'aggregate'"),
        ({"segments": {"cmn": "crop"}, "model": {"frontend": {"vad": "sre16-v2"}}}, "needs model.frontend.vad=none"),
        ({"segments": {"cmn": "crop"}, "model": {"frontend": {"cmn": "none"}}}, "cmn: crop needs model.frontend.cmn"),
        ({"segments": {"heads": "separate"}, "transfer": {"head": "frozen"}}, "needs transfer.head=trained"),
        ({"crop": "full", "sampler": "balanced"}, "sampler: balanced needs crops of one length"),
        (
            {"model": {"head": {"name": "ap"}}, "sampler": "balanced", "transfer": {"head": "frozen"}},
            "transfer.head: the loss ap has no row",
        ),
        ({"teachers": {"long": {}}}, "teachers.long: there are no segments"),
        ({"teachers": {"a b": {}}}, "teachers"),
        (
            {"segments": {"length": "1s"}, "teachers": {"short": {"hears": "segments", "teaches": ["crop"]}}},
            "a teacher that hears segments can teach segments only",
        ),
        ({"crop": "1s", "segments": {"length": "2s"}}, "segments.length: 2s is longer than the crop (1s)"),
        ({"crop": "100f", "segments": {"length": "200-300f"}}, "200-300f is longer than the crop"),
        (
            {
                "segments": {"cmn": "crop"},
                "model": {"backbone": "se-resnet34-8", "frontend": {"bands": 32, "cmn": "utterance"}},
            },
            "cmn: crop does nothing for se-resnet34-8",
        ),
        (
            {"teachers": {"a": {"teaches": ["crop"]}, "b": {"teaches": ["crop"], "embedding": 0.1}}},
            "teachers.b: a pulls the crop embedding into its own space already",
        ),
        ({"model": {"head": {"name": "ap"}}, "sampler": "balanced", "accumulate": 2}, "set accumulate=1"),
        ({"transfer": {"refresh": "ema"}}, "refresh: ema needs head: frozen"),
        ({"prefixes": [64, 192]}, "prefixes: 192 is no part of the 192 numbers of a ecapa-128 embedding"),
        ({"prefixes": [64, 64]}, "prefixes: one of them is given twice"),
        ({"model": {"head": {"name": "ap"}}}, "set sampler=balanced"),
        (
            {"model": {"head": {"name": "ap"}}, "sampler": "balanced", "transfer": {"rows": "centroids"}},
            "transfer.rows: the loss ap has no row",
        ),
    ],
)
def test_settings_that_do_not_go_together(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(TrainSettings, values, "train.yaml")
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_teacher_needs_a_folder(data: SpeechData, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"teachers\.long\.model: no model folder"):
        trainings.run({**PLAIN, "teachers": {"long": {"teaches": ["crop"]}}}, data, tmp_path / "out")


@pytest.mark.parametrize(("backbone", "bands"), [("ecapa-64", 80), ("isk34-8-concat", 32)])
def test_segments_without_their_silence(data: SpeechData, backbone: str, bands: int) -> None:
    """With a VAD the segments of a batch differ in length: each is embedded, and joined, as it would be alone."""
    frontend = {"bands": bands, "vad": "sre16-v2"}
    values = {
        "crop": "80f",
        "model": {"backbone": backbone, "frontend": frontend},
        "segments": {"length": "40f", "overlap": 0.5, "join": "maps", "loss": {"crop": 1}},
    }
    learner, batch = step(SpeechData(data.corpus, Broken(data.store)), values)
    learner.eval()
    counts = []
    with torch.no_grad():
        found = learner.embed(batch, torch.Generator().manual_seed(0))
        for crop, pieces in enumerate(batch.segments):
            voiced = [learner.frontend(piece[None])[0] for piece in pieces]
            counts += [features.shape[1] for features in voiced]
            alone = torch.cat([learner.backbone(features) for features in voiced])
            torch.testing.assert_close(found["segments"][crop], alone, rtol=1e-3, atol=1e-4)
            scales = zip(*(learner.backbone.trunk(features) for features in voiced), strict=True)
            joined = tuple(Maps(torch.cat([maps.frames for maps in scale], dim=1)) for scale in scales)
            aggregate = learner.backbone.pool(joined)[0]
            torch.testing.assert_close(found["aggregate"][crop], aggregate, rtol=1e-3, atol=1e-4)
    assert len(set(counts)) >= 3
    assert max(counts) < 40


def test_a_training_on_segments_without_their_silence(data: SpeechData, tmp_path: Path) -> None:
    values = {
        **PLAIN,
        "crop": "80f",
        "model": {"backbone": "ecapa-64", "frontend": {"vad": "sre16-v1"}},
        "segments": {**SEGMENTS, "join": "maps", "loss": {"crop": 1}},
    }
    trainings.run(values, SpeechData(data.corpus, Broken(data.store)), tmp_path)
    assert all(torch.isfinite(tensor).all() for tensor in weights(tmp_path).values())


@pytest.mark.parametrize("head", ["ap", "softmax-ap"])
def test_losses_over_pairs_train(data: SpeechData, head: str, tmp_path: Path) -> None:
    values = {
        **PLAIN,
        "model": {"backbone": "ecapa-64", "head": {"name": head}},
        "sampler": "balanced",
        "batch": 4,
        "augment": {"probability": 0.0, "speeds": [1.0, 0.9]},
    }
    model = trainings.run(values, data, tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert len(again.speakers) == 2 * len(data.corpus.speakers)
    assert same(again.tensors(), model.tensors())
    assert 0 < abs(again.head.prototypical.scale.item() - 10) < 0.1  # it learns
