from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from scipy import signal

from shortvox.corpora.crop import Crop
from shortvox.corpora.speech import SpeechData
from shortvox.errors import ShortvoxError
from shortvox.evaluation import embeddings
from shortvox.evaluation.embeddings import band_limited, embed
from shortvox.models.speaker_model import SpeakerModel

CROPS = [Crop(0, 1000, 8000), Crop(1, 0, 8000), Crop(0, 1000, 8000), Crop(2, 5, 4000)]


class Counter:
    """Stands in for `embed_crops` and counts the crops that it is asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.crops = 0
        self._real = embeddings.embed_crops
        monkeypatch.setattr(embeddings, "embed_crops", self)

    def __call__(self, model: SpeakerModel, store: object, crops: list[Crop], **options: object) -> np.ndarray:
        self.crops += len(crops)
        return self._real(model, store, crops, **options)  # type: ignore[arg-type]


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    return Counter(monkeypatch)


def test_equal_crops_are_embedded_once(model: SpeakerModel, data: SpeechData, counter: Counter) -> None:
    vectors = embed(model, data.corpus, data.store, CROPS).of(CROPS)
    assert counter.crops == 3
    np.testing.assert_array_equal(vectors[0], vectors[2])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_cache_answers_the_second_time(
    model: SpeakerModel, data: SpeechData, counter: Counter, tmp_path: Path
) -> None:
    first = embed(model, data.corpus, data.store, CROPS, cache=tmp_path).of(CROPS)
    second = embed(model, data.corpus, data.store, CROPS[::-1], cache=tmp_path).of(CROPS)
    assert counter.crops == 3
    np.testing.assert_array_equal(first, second)


DAMAGES = {
    "empty": lambda whole: b"",
    "text": lambda whole: b"not safetensors",
    "cut": lambda whole: whole[: len(whole) // 2],
    "one bit": lambda whole: whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:],
    "another shape": lambda whole: save({"embeddings": np.zeros((2, 2), np.float32)}),
    "not a number": lambda whole: save({"embeddings": np.full((3, 192), np.nan, np.float32)}),
    "another name": lambda whole: save({"vectors": np.zeros((3, 192), np.float32)}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_cache_file_is_computed_again(
    model: SpeakerModel, data: SpeechData, counter: Counter, tmp_path: Path, damage: str
) -> None:
    expected = embed(model, data.corpus, data.store, CROPS, cache=tmp_path).of(CROPS)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[damage](whole))
    np.testing.assert_array_equal(embed(model, data.corpus, data.store, CROPS, cache=tmp_path).of(CROPS), expected)
    assert counter.crops == 6
    assert path.read_bytes() == whole


def test_a_folder_in_the_place_of_a_cache_file_is_named(model: SpeakerModel, data: SpeechData, tmp_path: Path) -> None:
    embed(model, data.corpus, data.store, CROPS, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    path.unlink()
    path.mkdir()
    with pytest.raises(ShortvoxError, match="remove it"):
        embed(model, data.corpus, data.store, CROPS, cache=tmp_path)


def test_another_model_change_or_crop_is_another_entry(
    model: SpeakerModel, data: SpeechData, counter: Counter, tmp_path: Path
) -> None:
    embed(model, data.corpus, data.store, CROPS, cache=tmp_path)
    embed(model, data.corpus, data.store, CROPS, cache=tmp_path, changed="4khz")
    embed(model, data.corpus, data.store, [*CROPS[:3], Crop(2, 6, 4000)], cache=tmp_path)
    torch.manual_seed(1)
    embed(SpeakerModel.fresh(model.settings, ("a", "b")).eval(), data.corpus, data.store, CROPS, cache=tmp_path)
    edited = replace(data.corpus, checksums={data.corpus.utterances[0].path: "of other audio"})
    embed(model, edited, data.store, CROPS, cache=tmp_path)
    assert counter.crops == 15
    assert len(list(tmp_path.iterdir())) == 5


@dataclass(frozen=True)
class Disturbed:
    """A store whose samples outside one stretch are noise."""

    store: object
    start: int
    samples: int

    @property
    def lengths(self) -> np.ndarray:
        return self.store.lengths  # type: ignore[attr-defined]

    def read(self, position: int, start: int = 0, samples: int | None = None) -> np.ndarray:
        whole = np.random.default_rng(0).uniform(-1, 1, int(self.lengths[position])).astype(np.float32)
        own = slice(self.start, self.start + self.samples)
        whole[own] = self.store.read(position)[own]  # type: ignore[attr-defined]
        return whole[start:][:samples]


@pytest.mark.parametrize("changed", ["none", "4khz"])
def test_nothing_leaks_from_outside_the_crop(model: SpeakerModel, data: SpeechData, changed: str) -> None:
    inside, across = [Crop(3, 4000, 8000)], [Crop(3, 3999, 8000)]
    disturbed = Disturbed(data.store, 4000, 8000)
    expected = embed(model, data.corpus, data.store, inside, changed=changed).of(inside)
    np.testing.assert_array_equal(embed(model, data.corpus, disturbed, inside, changed=changed).of(inside), expected)
    own = embed(model, data.corpus, data.store, across, changed=changed).of(across)
    assert not np.array_equal(embed(model, data.corpus, disturbed, across, changed=changed).of(across), own)


def test_band_limiting_keeps_the_length_and_removes_what_is_above_4_khz() -> None:
    noise = np.random.default_rng(0).standard_normal(16_001).astype(np.float32)
    limited = band_limited(noise)
    assert limited.shape == noise.shape
    frequency, power = signal.welch(limited, 16_000)
    before = signal.welch(noise, 16_000)[1]
    assert power[frequency > 4300].max() < 1e-4 * before.mean()
    assert power[frequency < 3500].min() > 0.5 * before[frequency < 3500].min()
