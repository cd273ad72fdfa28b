from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from shortvox.config import parse
from shortvox.corpora.audio import read_audio
from shortvox.corpora.speech import SpeechData
from shortvox.errors import ConfigError
from shortvox.frontend import augment
from shortvox.frontend.augment import Augmenter, AugmentSettings, Bank, direct_path_first, mix, power
from shortvox.frontend.rooms import simulated_rooms
from shortvox.training.settings import TrainSettings
from voices import voice

CROP = 16000


def augmenter(data: SpeechData, **settings: object) -> Augmenter:
    return Augmenter(AugmentSettings(probability=1.0, rooms=2, **settings), data.corpus, data.store, seed=0)


def snr(speech: np.ndarray, noisy: np.ndarray) -> float:
    return 10 * np.log10(power(speech) / power(noisy - speech))


@pytest.fixture(scope="module")
def noise_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noise")
    soundfile.write(folder / "hum.wav", 0.1 * np.sin(np.arange(5000) / 9), 16000)  # shorter than a crop
    return folder


@pytest.mark.parametrize("speeds", [(0.9, 1.1), (1.0, 0.9, 0.9), ()])
def test_natural_speech_is_always_heard(speeds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="speeds must hold 1"):
        AugmentSettings(speeds=speeds)


@pytest.mark.parametrize("kind", ["noise", "music"])
@pytest.mark.parametrize("wanted", [3.0, 15.0])
def test_snr_is_what_was_asked_for(data: SpeechData, noise_folder: Path, kind: str, wanted: float) -> None:
    options = {f"{kind}_snr": (wanted, wanted)} | ({"music": (noise_folder,)} if kind == "music" else {})
    speech = data.store.read(0, 0, CROP)
    for seed in range(5):
        noisy = augmenter(data, kinds=(kind,), **options)(speech, 0, np.random.default_rng(seed))
        assert noisy.dtype == np.float32
        assert noisy.shape == speech.shape
        assert snr(speech, noisy) == pytest.approx(wanted, abs=0.05)


def test_noise_comes_from_the_folder_and_wraps(data: SpeechData, noise_folder: Path) -> None:
    speech = data.store.read(0, 0, CROP)
    noisy = augmenter(data, kinds=("noise",), noise=(noise_folder,))(speech, 0, np.random.default_rng(1))
    added = noisy - speech
    np.testing.assert_allclose(added[: CROP - 5000], added[5000:], atol=1e-5)


def test_each_voice_of_babble_has_an_snr_of_its_own(data: SpeechData) -> None:
    """Voices that are tones of whole periods have nothing in common, so each one's level can be read off the sum."""

    class Tones:
        lengths = np.full(len(data.corpus), CROP)
        heard = 0

        def read(self, position: int, start: int = 0, samples: int | None = None) -> np.ndarray:
            self.heard += 1
            return (0.01 * self.heard * tone(self.heard)).astype(np.float32)

    def tone(number: int) -> np.ndarray:
        return np.sin(2 * np.pi * number * np.arange(CROP) / CROP)

    speech = data.store.read(0, 0, CROP)
    voices, measured = set(), []
    for seed in range(40):
        store = Tones()
        babbling = Augmenter(AugmentSettings(probability=1.0, kinds=("babble",)), data.corpus, store, seed=0)
        noisy = babbling(speech, 0, np.random.default_rng(seed))
        assert noisy.dtype == np.float32
        added = noisy - speech
        for number in range(1, store.heard + 1):
            amplitude = 2 * np.dot(added, tone(number)) / CROP
            measured.append(10 * np.log10(power(speech) / (amplitude**2 / 2)))
            added = added - amplitude * tone(number)
        assert power(added) < 1e-6 * power(speech)
        voices.add(store.heard)
    assert min(voices) >= 1  # three to seven, less the speaker's own
    assert max(voices) == 7
    assert 13 <= min(measured) < 13.5
    assert 19.5 < max(measured) <= 20
    assert np.std(measured) == pytest.approx(7 / np.sqrt(12), rel=0.15)  # evenly between


def test_babble_is_never_of_the_same_speaker(data: SpeechData) -> None:
    class Listening:
        lengths = data.store.lengths

        def __init__(self) -> None:
            self.heard: list[int] = []

        def read(self, position: int, start: int = 0, samples: int | None = None) -> np.ndarray:
            self.heard.append(position)
            return data.store.read(position, start, samples)

    speech = data.store.read(0, 0, CROP)
    store = Listening()
    babbling = Augmenter(AugmentSettings(probability=1.0, kinds=("babble",)), data.corpus, store, seed=0)
    for seed in range(30):
        babbling(speech, 0, np.random.default_rng(seed))
    speakers = {data.corpus.utterances[position].speaker for position in store.heard}
    assert speakers == set(data.corpus.speakers) - {data.corpus.utterances[0].speaker}


def test_reverberation_keeps_length_and_level(data: SpeechData) -> None:
    speech = data.store.read(0, 0, CROP)
    wet = augmenter(data, kinds=("reverb",))(speech, 0, np.random.default_rng(0))
    assert wet.shape == speech.shape
    assert wet.dtype == np.float32
    assert power(wet) == pytest.approx(power(speech), rel=1e-3)
    assert not np.allclose(wet, speech, atol=1e-3)


@pytest.mark.parametrize("level", [1.0, 5.0, 32768.0])
@pytest.mark.parametrize("microphones", [1, 8])
def test_reverberation_is_the_linear_convolution(
    data: SpeechData, tmp_path: Path, level: float, microphones: int
) -> None:
    """With the first microphone's response: the level of the file and the other microphones do not change the room."""
    responses = np.random.default_rng(0).standard_normal((800, microphones)).astype(np.float32)
    response = np.zeros(800, np.float32)
    response[[100, 300, 700]] = 0.8, -0.4, 0.2  # the direct path arrives late: it is moved to time zero
    responses[:, 0] = response
    soundfile.write(tmp_path / "rir.wav", level * responses, 16000, subtype="FLOAT")
    speech = data.store.read(3, 0, 7001)
    wet = augmenter(data, kinds=("reverb",), rirs=(tmp_path,))(speech, 3, np.random.default_rng(0))
    expected = np.convolve(speech, response[100:])[: len(speech)]
    expected *= np.sqrt(power(speech) / power(expected))
    np.testing.assert_allclose(wet, expected, atol=1e-4)


def test_simulated_rooms_repeat_and_start_with_the_direct_path() -> None:
    first, again = simulated_rooms(2, seed=4), simulated_rooms(2, seed=4)
    for room, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(room, same)
        assert int(np.argmax(np.abs(direct_path_first(room)))) == 0
    assert not np.array_equal(first[0], simulated_rooms(1, seed=5)[0])


def test_every_choice_comes_from_the_generator(data: SpeechData) -> None:
    speech = data.store.read(0, 0, CROP)
    every = augmenter(data, kinds=("noise", "babble", "reverb"))
    outcomes = [every(speech, 0, np.random.default_rng(seed)) for seed in range(6)]
    for seed, outcome in enumerate(outcomes):
        np.testing.assert_array_equal(outcome, every(speech, 0, np.random.default_rng(seed)))
    assert not np.array_equal(outcomes[0], outcomes[1])


def test_probability_is_the_share_of_changed_crops(data: SpeechData) -> None:
    speech = data.store.read(0, 0, 2000)
    some = Augmenter(AugmentSettings(probability=0.3, kinds=("noise",)), data.corpus, data.store, seed=0)
    changed = sum(some(speech, 0, np.random.default_rng(seed)) is not speech for seed in range(500))
    assert 110 < changed < 190


def test_silence_stays_silence_and_finite() -> None:
    silence, noise = np.zeros(100, np.float32), voice(0, 0.01, np.random.default_rng(0))[:100]
    assert not mix(silence, noise, 5.0).any()
    np.testing.assert_array_equal(mix(noise, silence, 5.0), noise)


def test_mistakes_are_told_before_training(data: SpeechData, tmp_path: Path) -> None:
    for name in ("noise", "music", "rirs"):
        with pytest.raises(ConfigError, match=rf"^train\.yaml: augment\.{name}\.0: /no/such: no such folder"):
            parse(TrainSettings, {"augment": {name: ["/no/such"]}}, "train.yaml")
    with pytest.raises(ConfigError, match="no audio files below"):
        augmenter(data, noise=(tmp_path,))
    with pytest.raises(ConfigError, match=r"'music' needs a folder in augment\.music"):
        parse(TrainSettings, {"augment": {"kinds": ["music"]}}, "train.yaml")


def test_a_damaged_file_of_a_bank_is_named(tmp_path: Path, data: SpeechData) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    for name, one in (("noise", "noise"), ("rirs", "reverb")):
        made = augmenter(data, kinds=(one,), **{name: (tmp_path,)})
        with pytest.raises(ConfigError, match=r"^augment: .*broken\.wav"):
            made(data.store.read(0, 0, CROP), 0, np.random.default_rng(0))


def test_a_bank_keeps_the_files_used_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.aiff", np.full(100, 0.1 * (number + 1)), 16000)
    decoded: list[str] = []

    def read(path: Path, **options: float | None) -> np.ndarray:
        decoded.append(path.stem)
        return read_audio(path, **options)

    monkeypatch.setattr(augment, "read_audio", read)
    monkeypatch.setattr(augment, "KEPT_BYTES", 2 * 100 * 4)
    bank = Bank((tmp_path,))
    for number in (0, 1, 0, 2, 0, 1, 3):  # 2 drives out 1, which was used before 0
        assert bank.load(number)[0] == pytest.approx(0.1 * (number + 1), abs=1e-4)
    assert decoded == ["0", "1", "2", "1", "3"]
