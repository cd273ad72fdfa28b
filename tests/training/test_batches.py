from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from shortvox.config import parse
from shortvox.corpora.speech import SpeechData
from shortvox.errors import AudioError, ShortvoxError
from shortvox.training.batches import Batch, Relay, TrainingBatches, change_speed, speaker_names
from shortvox.training.settings import TrainSettings


def make(data: SpeechData, rank: int = 0, ranks: int = 1, **values: object) -> TrainingBatches:
    values = {"batch": 6, "crop": "50f", "steps": 4, "augment": {"rooms": 2}, **values}
    settings = parse(TrainSettings, values, "test")
    rows = speaker_names(data.corpus.speakers, settings.augment.speeds)
    return TrainingBatches(data.corpus, data.store, settings, rows, rank=rank, ranks=ranks)


def same(first: Batch, second: Batch) -> bool:
    lengths = (first.lengths is None and second.lengths is None) or torch.equal(first.lengths, second.lengths)
    return lengths and torch.equal(first.waveforms, second.waveforms) and torch.equal(first.labels, second.labels)


@pytest.mark.parametrize("crop", ["50f", "30-60f", "full"])
@pytest.mark.parametrize("sampler", ["utterances", "speakers"])
def test_a_batch_is_a_pure_function_of_the_step(data: SpeechData, crop: str, sampler: str) -> None:
    batches, again = (make(data, crop=crop, sampler=sampler) for _ in range(2))
    later = again[3]
    for step in range(4):
        assert same(batches[step], again[step])
    assert same(later, batches[3])
    assert not same(batches[0], make(data, crop=crop, sampler=sampler, seed=1)[0])
    assert same(make(data, crop=crop, sampler=sampler, begin=3)[0], batches[3])


@pytest.mark.parametrize("crop", ["50f", "full"])
def test_ranks_share_the_global_batch_in_turn(data: SpeechData, crop: str) -> None:
    whole = make(data, crop=crop)[2]
    shares = [make(data, rank, 2, crop=crop)[2] for rank in range(2)]
    assert sum(share.seconds for share in shares) == pytest.approx(whole.seconds)
    for rank, share in enumerate(shares):
        assert torch.equal(share.labels, whole.labels[rank::2])
        samples = share.waveforms.shape[1]
        assert torch.equal(share.waveforms, whole.waveforms[rank::2, :samples])
        assert not whole.waveforms[rank::2, samples:].any()


def test_workers_make_the_same_batches(data: SpeechData) -> None:
    def loaded(workers: int) -> list[Batch]:
        return list(DataLoader(Relay(make(data)), batch_size=None, sampler=range(4), num_workers=workers))

    alone, many = loaded(0), loaded(2)
    assert len(alone) == 4
    assert all(same(first, second) for first, second in zip(alone, many, strict=True))


def test_batches_can_be_sent_to_a_spawned_worker(data: SpeechData) -> None:
    batches = make(data)
    expected = batches[1]
    assert same(pickle.loads(pickle.dumps(Relay(batches)))[1], expected)


def test_a_fault_in_a_worker_is_one_line(data: SpeechData) -> None:
    class Broken:
        lengths = data.store.lengths

        def read(self, position: int, start: int = 0, samples: int | None = None) -> np.ndarray:
            raise AudioError(f"{data.corpus.utterances[position].path}: truncated")

    batches = make(SpeechData(data.corpus, Broken()))
    for workers in (0, 1):
        fault = next(iter(DataLoader(Relay(batches), batch_size=None, sampler=range(4), num_workers=workers)))
        assert isinstance(fault, ShortvoxError)
        assert str(fault).endswith(": truncated")
        assert "\n" not in str(fault)


def test_lengths_of_crops(data: SpeechData) -> None:
    fixed = make(data, crop="0.5s")
    assert {fixed[step].waveforms.shape for step in range(4)} == {(6, 8000)}
    assert all(fixed[step].lengths is None for step in range(4))
    assert fixed[0].seconds == pytest.approx(3.0)
    drawn = {make(data, crop="20-60f", steps=40)[step].waveforms.shape[1] for step in range(40)}
    assert len(drawn) > 10
    assert all(3200 <= samples <= 9600 and samples % 160 == 0 for samples in drawn)


def test_whole_utterances_come_each_once_and_with_others_of_their_length(data: SpeechData) -> None:
    batches = make(data, crop="full", batch=6, steps=16, augment={"probability": 0.0})
    heard: list[int] = []
    padding = []
    for step in range(16):
        batch = batches[step]
        assert batch.wrapped == 0
        lengths = batch.lengths if batch.lengths is not None else torch.full((6,), batch.waveforms.shape[1])
        heard += lengths.tolist()
        padding.append(float(1 - lengths.float().mean() / lengths.max()))
    assert sorted(heard) == sorted(data.store.lengths.tolist() * 4)  # 96 items are four epochs of 24 utterances
    assert np.mean(padding) < 0.1


def test_crops_hold_the_labelled_speakers_speech(data: SpeechData) -> None:
    batches = make(data, augment={"probability": 0.0})
    batch = batches[0]
    for waveform, label in zip(batch.waveforms.numpy(), batch.labels.tolist(), strict=True):
        own = data.corpus.by_speaker()[data.corpus.speakers[label]]
        assert any(
            np.array_equal(np.lib.stride_tricks.sliding_window_view(data.store.read(p), 8000)[start], waveform)
            for p in own
            for start in np.flatnonzero(data.store.read(p)[: int(data.store.lengths[p]) - 7999] == waveform[0])
        )


def test_short_files_are_wrapped_and_counted(data: SpeechData) -> None:
    batch = make(data, crop="4s", augment={"probability": 0.0})[0]
    assert batch.wrapped == 6  # no made utterance is longer than three seconds
    position = make(data, crop="4s")._positions(0)[0]
    np.testing.assert_array_equal(batch.waveforms[0].numpy(), np.resize(data.store.read(position), 64000))


def test_speed_variants_are_speakers_of_their_own(data: SpeechData) -> None:
    names = speaker_names(("a", "b"), (1.0, 0.9, 1.1))
    assert names == ("a", "b", "a#0.9", "b#0.9", "a#1.1", "b#1.1")
    assert speaker_names(("a", "b"), (1.0,)) == ("a", "b")
    batches = make(data, steps=30, augment={"speeds": [1.0, 0.9, 1.1], "probability": 0.0})
    labels = torch.cat([batches[step].labels for step in range(30)])
    counts = torch.bincount(labels // 6, minlength=3)
    assert (counts > 30).all()
    assert batches[0].waveforms.shape == (6, 8000)
    speakers = data.corpus.speakers
    for step in range(3):
        spoken = [data.corpus.utterances[p].speaker for p in batches._positions(step)]
        assert [speakers[label % 6] for label in batches[step].labels.tolist()] == spoken


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_speed_moves_pitch_and_length(speed: float) -> None:
    tone = np.sin(2 * np.pi * 500 * np.arange(16000) / 16000).astype(np.float32)
    changed = change_speed(tone, speed, None)
    assert len(changed) == pytest.approx(16000 / speed, abs=2)
    peak = np.argmax(np.abs(np.fft.rfft(changed * np.hanning(len(changed)))))
    assert peak * 16000 / len(changed) == pytest.approx(500 * speed, rel=0.01)
    assert len(change_speed(tone, speed, 5000)) == 5000
    assert len(change_speed(tone[:100], speed, 5000)) == 5000


def test_a_batch_is_cut_into_parts_of_the_same_items(data: SpeechData) -> None:
    batch = make(data, crop="full")[0]
    parts = batch.split(3)
    assert torch.equal(torch.cat([part.labels for part in parts]), batch.labels)
    assert torch.equal(torch.cat([part.waveforms for part in parts]), batch.waveforms)
    assert batch.lengths is None or torch.equal(torch.cat([part.lengths for part in parts]), batch.lengths)
    assert batch.split(1) == [batch]


def test_a_part_of_the_data_reads_its_own_audio(data: SpeechData, tmp_path: Path) -> None:
    rest, held = data.hold_out(2, seed=3)
    assert len(held.corpus.speakers) == 2
    assert not set(rest.corpus.speakers) & set(held.corpus.speakers)
    assert len(rest.corpus) + len(held.corpus) == len(data.corpus)
    whole = data.corpus.index()
    for part in (rest, held):
        for position, utterance in enumerate(part.corpus.utterances):
            original = whole[utterance.id]
            assert part.store.lengths[position] == data.store.lengths[original]
            np.testing.assert_array_equal(part.store.read(position, 5, 100), data.store.read(original, 5, 100))
    assert held.corpus.speakers == data.hold_out(2, seed=3)[1].corpus.speakers
