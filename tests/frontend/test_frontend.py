"""The whole front end: order of CMN and VAD, packing, frame bounds, and a training with a VAD."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from shortvox.config import parse
from shortvox.corpora.speech import SpeechData
from shortvox.frontend.fbank import Fbank, whole_windows
from shortvox.frontend.filterbank import frame_bounds, frame_count
from shortvox.frontend.frontend import FrontEnd, FrontEndSettings
from shortvox.frontend.masking import pack_left
from shortvox.frontend.vad import detector
from shortvox.training.settings import TrainSettings
from shortvox.training.trainer import train
from voices import Broken, voice

VADS = ("sre16-v2", "sre16-v1")
every_vad = pytest.mark.parametrize("vad", VADS)


def broken_speech(seconds: float, seed: int = 0) -> np.ndarray:
    """A voice that falls nearly silent in the second and last fourth of every second."""
    sound = voice(seed % 5, seconds, np.random.default_rng(seed))
    return sound * np.where(np.arange(len(sound)) // 4000 % 2 == 0, 1.0, 1e-3).astype(np.float32)


def batch_of(waveforms: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    padded = torch.full((len(waveforms), int(lengths.max())), 0.3)
    for row, waveform in enumerate(waveforms):
        padded[row, : len(waveform)] = torch.from_numpy(waveform)
    return padded, lengths


def front_end(vad: str = "none", cmn: str = "utterance") -> FrontEnd:
    return FrontEnd(FrontEndSettings.model_validate({"vad": vad, "cmn": cmn}))


@every_vad
@pytest.mark.parametrize("cmn", ["utterance", "sliding", "none"])
def test_the_mean_is_over_all_frames_and_then_unvoiced_ones_are_dropped(vad: str, cmn: str) -> None:
    waveform = torch.from_numpy(broken_speech(4.0))[None]
    features, counts = front_end(vad, cmn)(waveform)
    everything, none = front_end("none", cmn)(waveform)
    voiced = detector[vad](*whole_windows(waveform, None))
    assert none is None and counts is not None
    assert 150 < int(counts[0]) < 300
    assert torch.equal(features[0], everything[0][voiced[0]])
    assert torch.equal(front_end(vad, cmn).voiced(waveform), voiced)


@every_vad
def test_a_padded_batch_equals_one_by_one(vad: str) -> None:
    waveforms = [broken_speech(seconds, seed) for seed, seconds in enumerate((1.3, 0.4, 4.1, 0.01))]
    waveforms.append(np.zeros(8000, np.float32))
    features, counts = front_end(vad, "sliding")(*batch_of(waveforms))
    assert counts is not None
    assert features.shape[1] == int(counts.max())
    for row, waveform in enumerate(waveforms):
        alone, own = front_end(vad, "sliding")(torch.from_numpy(waveform)[None])
        assert own is not None and int(own[0]) == int(counts[row]) == alone.shape[1]
        torch.testing.assert_close(features[row, : int(own[0])], alone[0], atol=1e-3, rtol=0)
        assert not features[row, int(own[0]) :].any()


@every_vad
def test_an_utterance_without_speech_keeps_all_frames_and_is_told(vad: str) -> None:
    padded, lengths = batch_of([broken_speech(1.0), np.zeros(4000, np.float32), np.full(80, 1e-5, np.float32)])
    features, counts = front_end(vad)(padded, lengths)
    assert counts is not None and counts[1:].tolist() == [25, 1]
    assert torch.isfinite(features).all()
    assert front_end(vad).voiced(padded, lengths).any(dim=1).tolist() == [True, False, False]
    plain, _ = front_end("none")(padded, lengths)
    assert torch.equal(features[1, :25], plain[1, :25])


def test_without_a_vad_every_own_frame_counts_as_voiced() -> None:
    padded, lengths = batch_of([broken_speech(1.0), np.zeros(4000, np.float32)])
    assert front_end().voiced(padded, lengths).sum(dim=1).tolist() == [100, 25]
    assert front_end().voiced(padded).all()


def test_the_plain_front_end_is_the_filter_bank_minus_its_mean_bit_for_bit() -> None:
    waveform = torch.from_numpy(broken_speech(1.0))[None]
    features, counts = front_end()(waveform)
    bank, _ = Fbank(bands=80)(waveform)
    assert counts is None
    assert torch.equal(features, bank - bank.mean(dim=1, keepdim=True))


@pytest.mark.parametrize("cmn", ["utterance", "sliding", "none"])
def test_bounds_slice_the_features_of_the_whole(cmn: str) -> None:
    padded, lengths = batch_of([broken_speech(4.0), broken_speech(2.0, 1)])
    everything, _ = front_end("none", cmn)(padded, lengths)
    bounds = torch.tensor([[120, 250], [0, 200]])
    features, counts = front_end("none", cmn)(padded, lengths, inside=bounds)
    assert counts is not None and counts.tolist() == [130, 200]
    assert torch.equal(features[0, :130], everything[0, 120:250])
    assert torch.equal(features[1, :200], everything[1, :200])
    assert not features[0, 130:].any()


@every_vad
def test_bounds_keep_the_decisions_of_the_whole(vad: str) -> None:
    waveform = torch.from_numpy(np.concatenate([broken_speech(1.0), np.zeros(16000, np.float32)]))[None]
    everything, _ = front_end()(waveform)
    voiced = front_end(vad).voiced(waveform)
    bounds = torch.tensor([[10, 90]])
    features, _ = front_end(vad)(waveform, inside=bounds)
    assert torch.equal(features[0], everything[0, 10:90][voiced[0, 10:90]])
    alone = front_end(vad).voiced(waveform[:, 1600:14400])
    assert not torch.equal(voiced[0, 10:90], alone[0])  # the silence outside lowered the threshold
    silent = torch.tensor([[110, 150]])
    features, counts = front_end(vad)(waveform, inside=silent)
    assert counts is not None and counts.tolist() == [40]  # nothing voiced inside: all frames inside
    assert torch.equal(features[0], everything[0, 110:150])
    assert not front_end(vad).voiced(waveform, inside=silent).any()


@settings(max_examples=200, deadline=None)
@given(length=st.integers(1, 5000), data=st.data())
def test_bounds_of_a_piece(length: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, length - 1))
    samples = data.draw(st.integers(1, length - start))
    first, last = frame_bounds(start, samples, length)
    assert 0 <= first < last <= frame_count(length)
    assert last - first == frame_count(samples)
    if last < frame_count(length):
        assert abs(160 * first - start) <= 80
    elif samples >= 80:  # what is shorter has one frame all the same, perhaps past the last one of the whole
        assert abs(160 * first - start) <= 160
    assert frame_bounds(0, length, length) == (0, frame_count(length))


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=1, max_size=5))
def test_packing_keeps_the_order(rows: list[list[bool]]) -> None:
    features, kept = torch.randn(len(rows), 7, 3), torch.tensor(rows)
    packed, counts = pack_left(features, kept)
    assert packed.shape == (len(rows), int(counts.max()), 3)
    for row in range(len(rows)):
        assert torch.equal(packed[row, : int(counts[row])], features[row][kept[row]])
        assert not packed[row, int(counts[row]) :].any()


@pytest.mark.parametrize("crop", ["80f", "full"])
@pytest.mark.filterwarnings("error")
def test_a_training_takes_what_a_vad_leaves(data: SpeechData, tmp_path: Path, crop: str) -> None:
    broken = SpeechData(data.corpus, Broken(data.store))
    waveforms = torch.from_numpy(np.stack([broken.store.read(position, 0, 12800) for position in range(3)]))
    _, counts = front_end("sre16-v2")(waveforms)
    assert counts is not None and len(set(counts.tolist())) == 3
    values = {
        "steps": 3,
        "batch": 4,
        "accumulate": 2,
        "crop": crop,
        "threads": 1,
        "device": "cpu",
        "model": {"backbone": "ecapa-64", "frontend": {"vad": "sre16-v2", "cmn": "sliding"}},
        "augment": {"probability": 0.5, "kinds": ["noise"]},
    }
    model = train(parse(TrainSettings, values, "test"), broken, tmp_path / "model")
    assert all(torch.isfinite(tensor).all() for tensor in model.tensors().values())
    assert model.settings.frontend.vad == "sre16-v2"
