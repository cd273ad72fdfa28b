"""The filter banks of published checkpoints against oracles: kaldi-native-fbank, and torch's Fourier transform."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from shortvox.frontend.filterbank import frame_bounds, frame_count
from shortvox.frontend.frontend import FrontEnd, FrontEndSettings
from shortvox.frontend.masking import reflected
from voices import voice

SETTINGS = {
    "3d-speaker": FrontEndSettings(edges="snip", scale=1, cmn="none"),
    "wespeaker": FrontEndSettings(edges="snip", window="hamming", cmn="none"),
    "hamming": FrontEndSettings(window="hamming", bands=64, cmn="none"),
    "speechbrain": FrontEndSettings(features="speechbrain", cmn="none"),
    "voxceleb_trainer": FrontEndSettings(features="voxceleb_trainer", bands=64, cmn="none"),
}
SAMPLES = [400, 559, 4800, 16000, 23457]


def quiet_and_loud(samples: int) -> np.ndarray:
    """A voice with a pause of digital silence and one of faint noise, so that floors matter."""
    rng = np.random.default_rng(samples)
    waveform = voice(samples % 5, samples / 16000, rng)[:samples]
    waveform[samples // 4 : samples // 2] = 0
    waveform[samples // 2 : samples * 3 // 4] = 1e-5 * rng.standard_normal(samples * 3 // 4 - samples // 2)
    return waveform.astype(np.float32)


def kaldi_oracle(waveform: np.ndarray, settings: FrontEndSettings) -> np.ndarray:
    kaldi = pytest.importorskip("kaldi_native_fbank")
    options = kaldi.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = settings.edges == "snip"
    options.frame_opts.window_type = settings.window
    options.mel_opts.num_bins = settings.bands
    options.energy_floor = 0.0
    computer = kaldi.OnlineFbank(options)
    computer.accept_waveform(16000, (waveform * settings.scale).tolist())
    computer.input_finished()
    return np.stack([computer.get_frame(i) for i in range(computer.num_frames_ready)])


def spectrum(waveform: Tensor, fft: int, padding: str) -> Tensor:
    """(bins, frames), in double precision."""
    window = torch.hamming_window(400, dtype=torch.double)
    return torch.stft(waveform, fft, 160, 400, window, True, padding, False, True, return_complex=True).abs() ** 2


def htk(hertz: Tensor) -> Tensor:
    return 2595 * torch.log10(1 + hertz / 700)


def htk_points(bands: int) -> Tensor:
    mel = torch.linspace(0, float(htk(torch.tensor(8000.0, dtype=torch.double))), bands + 2, dtype=torch.double)
    return 700 * (10 ** (mel / 2595) - 1)


def speechbrain_oracle(waveform: np.ndarray, settings: FrontEndSettings) -> np.ndarray:
    points = htk_points(settings.bands)
    power = spectrum(torch.from_numpy(waveform).double(), 400, "constant")
    bins = torch.linspace(0, 8000, 201, dtype=torch.double)
    features = []
    for band in range(settings.bands):
        slope = (bins - points[band + 1]) / (points[band + 1] - points[band])
        features.append(torch.minimum(1 + slope, 1 - slope).clamp_min(0) @ power)
    decibels = 10 * torch.stack(features, dim=1).clamp_min(1e-10).log10()
    return decibels.clamp_min(decibels.max() - 80).numpy()


def voxceleb_trainer_oracle(waveform: np.ndarray, settings: FrontEndSettings) -> np.ndarray:
    before = np.concatenate([waveform[1:2], waveform[:-1]]).astype(np.float64)
    power = spectrum(torch.from_numpy(waveform - 0.97 * before), 512, "reflect")
    points, bins = htk_points(settings.bands), torch.linspace(0, 8000, 257, dtype=torch.double)
    features = []
    for band in range(settings.bands):
        left, centre, right = points[band : band + 3]
        weight = torch.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clamp_min(0)
        features.append(weight @ power)
    return (torch.stack(features, dim=1) + 1e-6).log().numpy()


ORACLES = {"speechbrain": speechbrain_oracle, "voxceleb_trainer": voxceleb_trainer_oracle}


@pytest.mark.parametrize("samples", SAMPLES)
@pytest.mark.parametrize("name", list(SETTINGS))
def test_a_bank_agrees_with_its_oracle(name: str, samples: int) -> None:
    settings, waveform = SETTINGS[name], quiet_and_loud(samples)
    features, _ = FrontEnd(settings)(torch.from_numpy(waveform)[None])
    expected = ORACLES.get(name, kaldi_oracle)(waveform, settings)
    assert features.shape[1] == len(expected) == frame_count(samples, settings.framing)
    # In single precision a band far below the loudest of its frame holds what rounding leaves of that one.
    audible = expected > expected.max(axis=1, keepdims=True) - (60 if name == "speechbrain" else np.log(10) * 6)
    assert audible.mean() > 0.5
    assert np.abs(features[0].numpy() - expected)[audible].max() < 2e-3


@pytest.mark.parametrize("name", list(SETTINGS))
def test_a_padded_batch_equals_one_by_one(name: str) -> None:
    front_end = FrontEnd(SETTINGS[name].model_copy(update={"cmn": "utterance"}))
    lengths = [23457, 1, 160, 300, 401, 4800]
    rows = [torch.from_numpy(quiet_and_loud(length)) for length in lengths]
    padded = torch.full((len(rows), max(lengths)), 0.3)
    for row, waveform in enumerate(rows):
        padded[row, : len(waveform)] = waveform
    together, counts = front_end(padded, torch.tensor(lengths))
    assert counts is not None
    for row, waveform in enumerate(rows):
        alone, _ = front_end(waveform[None])
        assert torch.isfinite(alone).all()
        assert int(counts[row]) == alone.shape[1]
        torch.testing.assert_close(together[row, : int(counts[row])], alone[0], atol=2e-3, rtol=0)


@pytest.mark.parametrize("edges", ["snip", "centre"])
def test_a_piece_has_as_many_frames_as_alone_and_lies_within_the_whole(edges: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        length = int(rng.integers(1, 9000))
        samples = int(rng.integers(1, length + 1))
        start = int(rng.integers(length - samples + 1))
        first, last = frame_bounds(start, samples, length, edges)  # type: ignore[arg-type]
        assert last - first == frame_count(samples, edges)  # type: ignore[call-overload]
        assert 0 <= first < last <= frame_count(length, edges)  # type: ignore[call-overload]
        assert abs(first * 160 - start) <= 80 or last == frame_count(length, edges)  # type: ignore[call-overload]


def test_a_vad_hears_the_same_signal_at_any_scale() -> None:
    waveform = torch.from_numpy(quiet_and_loud(16000))[None]
    loud, quiet = (
        FrontEnd(FrontEndSettings(edges="snip", scale=scale, vad="sre16-v2")).voiced(waveform) for scale in (1, 32768)
    )
    assert torch.equal(loud, quiet)
    assert 0 < loud.sum() < 98


def test_a_setting_at_its_default_is_not_part_of_what_a_front_end_is_known_by() -> None:
    """Models are known by it, and so are caches of their embeddings; older ones have no more than these three."""
    assert FrontEndSettings().identity() == {"bands": 80, "cmn": "utterance", "vad": "none"}
    known = list(FrontEndSettings(cmn="none", window="hamming").identity().items())
    assert known == [("bands", 80), ("cmn", "none"), ("vad", "none"), ("window", "hamming")]


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_reflection_is_that_of_numpy_at_each_rows_own_ends(count: int) -> None:
    frames = torch.randn(2, 9, 3)
    continued = reflected(frames, torch.tensor([9, count]), before=4, after=6)
    for row, own in enumerate((9, count)):
        expected = np.pad(frames[row, :own].numpy(), ((4, 6 + 9 - own), (0, 0)), mode="reflect")
        np.testing.assert_array_equal(continued[row], expected)
    np.testing.assert_array_equal(reflected(frames, None, before=4, after=6)[0], continued[0])
