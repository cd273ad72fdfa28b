from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shortvox.errors import ConfigError
from shortvox.frontend.fbank import log_energy, whole_windows
from shortvox.frontend.filterbank import frame_count
from shortvox.frontend.vad import EnergyVad, detector
from voices import voice

SETTINGS = {"sre16-v2": (5.5, 0.5, 0.12, 2), "sre16-v1": (5.5, 0.5, 0.6, 0)}
SILENCE = float(np.log(np.finfo(np.float32).eps))
WAVEFORM = voice(2, 0.8, np.random.default_rng(5))
names = pytest.mark.parametrize("name", SETTINGS)


def plain_loop(energies: list[float], name: str) -> list[bool]:
    """The definition, frame by frame."""
    threshold, scale, proportion, context = SETTINGS[name]
    cutoff = threshold + scale * sum(energies) / len(energies)
    decisions = []
    for t in range(len(energies)):
        loud = considered = 0
        for near in range(t - context, t + context + 1):
            if 0 <= near < len(energies):
                considered += 1
                if energies[near] > cutoff:
                    loud += 1
        decisions.append(loud >= proportion * considered)
    return decisions


def plain_energies(waveform: np.ndarray) -> list[float]:
    """Frames of 400 samples every 160, mirrored at the ends, minus their mean; log of the sum of squares."""
    samples = waveform.astype(np.float64) * 32768
    found = []
    for t in range(max(1, (len(samples) + 80) // 160)):
        frame = []
        for at in range(t * 160 - 120, t * 160 + 280):
            while not 0 <= at < len(samples):
                at = -1 - at if at < 0 else 2 * len(samples) - 1 - at
            frame.append(samples[at])
        centred = np.array(frame) - np.mean(frame)
        found.append(float(np.log(max(np.sum(centred**2), np.finfo(np.float32).eps))))
    return found


def energies_of(waveform: np.ndarray) -> list[float]:
    return log_energy(whole_windows(torch.from_numpy(waveform)[None], None)[0])[0].tolist()


def decisions(energies: list[float], name: str) -> list[bool]:
    found = detector[name]
    assert isinstance(found, EnergyVad)
    return found.decide(torch.tensor([energies], dtype=torch.float32))[0].tolist()


@pytest.mark.parametrize("samples", [160, 239, 400, 1000, 12345])
@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_log_energy_agrees_with_kaldi(samples: int, offset: float) -> None:
    kaldi = pytest.importorskip("kaldi_native_fbank")
    options = kaldi.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = False
    options.use_energy = True
    options.raw_energy = True
    options.energy_floor = 0.0
    computer = kaldi.OnlineFbank(options)
    speech = voice(1, samples / 16000, np.random.default_rng(samples))[:samples]
    waveform = np.float32(0.5) * speech + np.float32(offset)
    computer.accept_waveform(16000, (waveform * 32768).tolist())
    computer.input_finished()
    expected = [float(computer.get_frame(t)[0]) for t in range(computer.num_frames_ready)]
    np.testing.assert_allclose(energies_of(waveform), expected, atol=1e-3)


@pytest.mark.parametrize("samples", [1, 50, 160, 3000])
def test_log_energy_agrees_with_the_definition(samples: int) -> None:
    np.testing.assert_allclose(energies_of(WAVEFORM[:samples]), plain_energies(WAVEFORM[:samples]), atol=1e-3)


@names
@settings(max_examples=60, deadline=None)
@given(energies=st.lists(st.integers(-16, 30), min_size=1, max_size=40))
def test_decisions_agree_with_the_plain_loop(name: str, energies: list[int]) -> None:
    jittered = (np.array(energies) + np.random.default_rng(0).uniform(0, 0.9, len(energies))).astype(np.float32)
    assert decisions(jittered.tolist(), name) == plain_loop(jittered.tolist(), name)


@names
def test_constant_energy_is_speech_above_twice_the_threshold(name: str) -> None:
    for energy, speech in ((11.5, True), (11.0, False), (10.5, False), (SILENCE, False)):
        for frames in (1, 3, 4, 500):
            assert decisions([energy] * frames, name) == [speech] * frames == plain_loop([energy] * frames, name)


def test_one_loud_frame_makes_its_neighbours_speech_in_v2_only() -> None:
    energies = [5.0] * 4 + [20.0] + [5.0] * 4
    assert [t for t, voiced in enumerate(decisions(energies, "sre16-v2")) if voiced] == [2, 3, 4, 5, 6]
    assert [t for t, voiced in enumerate(decisions(energies, "sre16-v1")) if voiced] == [4]


@names
@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 6000), min_size=1, max_size=4), seed=st.integers(0, 100))
def test_a_padded_batch_equals_the_plain_loop_row_by_row(name: str, lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    # A random stretch, and whatever follows it: nothing past a row's end may matter.
    rows = [np.roll(WAVEFORM, rng.integers(len(WAVEFORM))) * _fade(rng) for _ in lengths]
    padded = torch.from_numpy(np.stack(rows))[:, : max(lengths) + 200]
    found = detector[name](*whole_windows(padded, torch.tensor(lengths)))
    assert found.shape == (len(lengths), frame_count(padded.shape[1]))
    for row, length in enumerate(lengths):
        frames = int(frame_count(length))
        expected = plain_loop(plain_energies(padded[row, :length].numpy()), name)
        assert found[row, :frames].tolist() == expected
        assert not found[row, frames:].any()


def _fade(rng: np.random.Generator) -> np.ndarray:
    """A gain (samples,) that steps between silence, whisper and speech."""
    steps = rng.choice(np.array([0.0, 1e-3, 1.0], dtype=np.float32), 1 + len(WAVEFORM) // 500)
    return np.repeat(steps, 500)[: len(WAVEFORM)]


@names
def test_level_matters_because_the_threshold_is_absolute(name: str) -> None:
    signal, _ = whole_windows(torch.from_numpy(WAVEFORM)[None], None)
    assert detector[name](signal, None).all()
    assert not detector[name](signal * 1e-5, None).any()


@names
def test_digital_silence_is_no_speech(name: str) -> None:
    signal, counts = whole_windows(torch.zeros(2, 3000), torch.tensor([3000, 1]))
    assert torch.isfinite(log_energy(signal)).all()
    assert not detector[name](signal, counts).any()


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown VAD 'sre16'; did you mean 'sre16-v"):
        detector["sre16"]
