"""Embeddings less what all speakers of a place share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
import trainings
from hypothesis import given
from hypothesis import strategies as st
from trainings import PLAIN

from shortvox.config import parse
from shortvox.corpora.crop import whole
from shortvox.corpora.speech import SpeechData
from shortvox.errors import ConfigError, CorpusError, ModelError
from shortvox.models.embedding import embed_crops
from shortvox.models.folder import load_model
from shortvox.models.speaker_model import SpeakerModel
from shortvox.training import centring
from shortvox.training.centring import BETWEEN, FLOOR, centre_embeddings, shrunk_mean, whitening, within_speakers
from shortvox.training.domains import domain_means
from shortvox.training.settings import TrainSettings

PAIRS: dict[str, Any] = {
    **PLAIN,
    "batch": 2,
    "sampler": "balanced",
    "model": {"backbone": "ecapa-64", "head": {"name": "ap"}},
}


@pytest.fixture(scope="module")
def start(data: SpeechData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("start")
    trainings.run({**PAIRS, "seed": 5}, data, out)
    return out


def raw(model: SpeakerModel, data: SpeechData) -> np.ndarray:
    return embed_crops(model, data.store, [whole(data.store, p) for p in range(len(data.corpus))], unit=False)


def test_a_corpus_is_centred_by_as_much_of_its_mean_as_is_known(start: Path, data: SpeechData) -> None:
    before, after = load_model(start), load_model(start)
    centre_embeddings(after, data)
    moved = raw(before, data) - raw(after, data)
    assert np.ptp(moved, axis=0).max() < 1e-3 * np.abs(moved).max()  # by the same for all
    speakers = np.array([u.speaker for u in data.corpus.utterances])
    means = np.stack([raw(before, data)[speakers == name].mean(0) for name in data.corpus.speakers])
    share = moved[0] @ means.mean(0) / (means.mean(0) @ means.mean(0))
    assert 0 < share < 1
    np.testing.assert_allclose(moved[0], share * means.mean(0), atol=1e-3 * np.abs(means).max())


@given(st.integers(3, 400), st.floats(0, 10), st.integers(0, 2**16))
def test_the_mean_of_few_is_shrunk(speakers: int, size: float, seed: int) -> None:
    voices = torch.randn(speakers, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + size
    mean, shrunk = voices.mean(0), shrunk_mean(voices)
    share = float(shrunk @ mean / (mean @ mean))
    assert 0 <= share <= 1
    torch.testing.assert_close(shrunk, share * mean)
    if speakers > 100 and size > 1:
        assert share > 0.95
    torch.testing.assert_close(shrunk_mean(voices * 7), shrunk * 7)


def test_a_shrunk_mean_is_nearer_to_the_truth() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.full((32,), 0.2)
    errors = []
    for _ in range(200):
        voices = truth + torch.randn(6, 32, generator=generator)
        errors.append([float((found - truth).square().sum()) for found in (voices.mean(0), shrunk_mean(voices))])
    plain, shrunk = np.mean(errors, axis=0)
    assert shrunk < 0.8 * plain


def test_what_varies_within_speakers_is_the_pooled_covariance() -> None:
    generator = torch.Generator().manual_seed(0)
    speaker = torch.tensor([0, 0, 0, 1, 2, 2, 2, 2])
    heard = torch.randn(len(speaker), 5, generator=generator, dtype=torch.float64)
    pooled = sum(2 * np.cov(heard[:3].numpy().T) if s == 0 else 3 * np.cov(heard[4:].numpy().T) for s in (0, 2))
    np.testing.assert_allclose(within_speakers(heard, speaker), pooled / 5)


def test_whitening_is_the_inverse_root() -> None:
    generator = torch.Generator().manual_seed(0)
    within, between = (torch.cov(torch.randn(6, 50, generator=generator, dtype=torch.float64)) for _ in range(2))
    floor = FLOOR * np.trace(within) / 6 * np.eye(6)
    root = scipy.linalg.fractional_matrix_power(within.numpy() + BETWEEN * between.numpy() + floor, -0.5)
    found = whitening(within, between).numpy()
    np.testing.assert_allclose(found / found[0, 0], root / root[0, 0])
    assert np.linalg.norm(found) == pytest.approx(np.sqrt(6))


def test_a_training_ends_centred(start: Path, data: SpeechData, tmp_path: Path) -> None:
    plain = {**PAIRS, "transfer": {"statistics": "model"}}
    trainings.run(plain, data, tmp_path / "plain", init=start)
    model = load_model(tmp_path / "plain")
    centre_embeddings(model, data)
    told: list[str] = []
    centred = {**plain, "transfer": {"statistics": "model", "centre": "corpus"}}
    trainings.run(centred, data, tmp_path / "c", init=start, on_step=lambda done, steps, status: told.append(status))
    assert told[-1] == "centring: hears the corpus once more"
    np.testing.assert_allclose(raw(load_model(tmp_path / "c"), data), raw(model, data), rtol=1e-5, atol=1e-5)


def test_domains_have_the_middle_of_their_means_taken_off_and_differ_less(
    start: Path, data: SpeechData, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker = torch.tensor([data.corpus.speakers.index(u.speaker) for u in data.corpus.utterances])

    def apart() -> float:
        """How far the domains' means lie from each other, for the size of an embedding."""
        model = load_model(start)
        centre_embeddings(model, data, ["even" if number % 2 == 0 else "odd" for number in speaker.tolist()])
        heard = torch.from_numpy(raw(model, data)).double()
        means, size = domain_means(heard, speaker, speaker % 2), heard.norm(dim=1).mean()
        assert means.mean(0).norm() < 1e-3 * size
        return float((means[0] - means[1]).norm() / size)

    usual = apart()
    monkeypatch.setattr(centring, "BETWEEN", 0.0)
    assert usual < 0.9 * apart()


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"transfer": {"centre": "corpus"}}, "transfer.centre: the rows of the loss aam"),
        ({**PAIRS, "prefixes": [16], "domain": "x", "transfer": {"centre": "domain"}}, "prefixes: transfer.centre"),
        ({**PAIRS, "transfer": {"centre": "domain"}}, "domain: transfer.centre: domain needs the manifest's column"),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse(TrainSettings, {**PLAIN, **values}, "test")


@pytest.mark.parametrize(
    ("each", "domains", "told"),
    [(1, ["a", "b"] * 6, "no speaker has two utterances"), (2, ["a"] * 24, "all of it is one domain")],
)
def test_what_cannot_be_centred_is_told(
    start: Path, data: SpeechData, each: int, domains: list[str], told: str
) -> None:
    chosen = {data.corpus.utterances[position].id for own in data.corpus.spread(each) for position in own}
    part = data.select(lambda utterance: utterance.id in chosen)
    with pytest.raises(CorpusError, match=told):
        centre_embeddings(load_model(start), part, domains[: len(part.corpus)])
    alone = data.select(lambda utterance: utterance.speaker == data.corpus.speakers[0])
    with pytest.raises(CorpusError, match="has 1 speaker"):
        centre_embeddings(load_model(start), alone)


def test_a_column_that_tells_nothing_is_refused_before_the_first_step(
    start: Path, data: SpeechData, tmp_path: Path
) -> None:
    values = {**PAIRS, "domain": "nothing", "transfer": {"centre": "domain"}}
    steps: list[int] = []
    with pytest.raises(ConfigError, match="has nothing in its column 'nothing'"):
        trainings.run(values, data, tmp_path / "out", init=start, on_step=lambda step, *_: steps.append(step))
    assert not steps


def in_domains(data: SpeechData, *names: str) -> SpeechData:
    """The same speech, its utterances in these domains by turns."""
    named = [replace(u, extra=(("place", names[at % len(names)]),)) for at, u in enumerate(data.corpus.utterances)]
    return replace(data, corpus=replace(data.corpus, utterances=tuple(named)))


def test_a_training_does_not_go_on_with_other_domains(start: Path, data: SpeechData, tmp_path: Path) -> None:
    values = {**PAIRS, "domain": "place", "transfer": {"centre": "domain"}, "checkpoint_every": 2}

    def stop(step: int, steps: int, status: str) -> None:
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainings.run(values, in_domains(data, "car", "hall"), tmp_path / "out", init=start, on_step=stop)
    with pytest.raises(ModelError, match="or another corpus"):
        trainings.run(values, in_domains(data, "car", "car", "hall"), tmp_path / "out", init=start, resume=True)
    trainings.run(values, in_domains(data, "car", "hall"), tmp_path / "out", init=start, resume=True)
    assert np.isfinite(raw(load_model(tmp_path / "out"), data)).all()
