"""Noise, music, babble and reverberation for training crops (as in Kaldi's VoxCeleb recipe)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, Field, field_validator, model_validator
from scipy import fft

from shortvox.config import Need, Settings
from shortvox.corpora.audio import ANY_LEVEL, SAMPLE_RATE, probe, read_audio
from shortvox.corpora.corpus import Corpus
from shortvox.corpora.finding import audio_files
from shortvox.corpora.store import AudioStore
from shortvox.errors import AudioError, ConfigError
from shortvox.frontend.rooms import simulated_rooms
from shortvox.registry import Registry

LONGEST_RESPONSE = SAMPLE_RATE // 2
LONGEST_NOISE = 60.0  # seconds of each noise file that are used
KEPT_BYTES = 256 * 2**20  # decoded audio of each bank that stays in memory: 70 minutes

Kind = Callable[["Augmenter", np.ndarray, int, np.random.Generator], np.ndarray]
kind: Registry[Kind] = Registry("augmentation")
requirement: Registry[Callable[[], None]] = Registry("requirement of an augmentation")  # raises ConfigError if unmet


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the lower bound comes first")
    return bounds


def _present(folder: Path) -> Path:
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    return folder


Level = Annotated[float, Field(ge=-100, le=100)]  # dB
Decibels = Annotated[tuple[Level, Level], AfterValidator(_ordered)]
Folder = Annotated[Path, AfterValidator(_present)]


class AugmentSettings(Settings):
    """What is done to a training crop; each crop is either left clean or gets one of the kinds that are on, or more."""

    probability: float = Field(0.5, ge=0, le=1, description="share of crops that are augmented")
    kinds: tuple[
        Literal["noise", "music", "babble", "reverb", "telephone", "codec", "band", "playback", "overload", "loss"], ...
    ] = ("noise", "babble", "reverb")
    most: int = Field(1, ge=1, le=8, description="kinds that a crop gets, one after the other, at most")
    noise: tuple[Folder, ...] = Field((), description="folders of noise; none: white noise")
    music: tuple[Folder, ...] = ()
    rirs: tuple[Folder, ...] = Field((), description="folders of room impulse responses; none: simulated rooms")
    rooms: int = Field(100, ge=1, le=10_000, description="simulated rooms, where no folder of responses is given")
    noise_snr: Decibels = (0.0, 15.0)
    babble_snr: Decibels = (13.0, 20.0)
    music_snr: Decibels = (5.0, 15.0)
    speeds: tuple[Annotated[float, Field(ge=0.5, le=2)], ...] = Field(
        (1.0,), max_length=16, description="1, and others that add each speaker as new ones"
    )
    time_frames: int = Field(10, ge=0, le=1000, description="SpecAugment: widest blank in time")
    frequency_bands: int = Field(8, ge=0, le=256, description="SpecAugment: widest blank in frequency")
    needs_of_keys: ClassVar[Mapping[str, Need]] = {
        "probability": Need("kinds", lambda own: bool(own.kinds) or own.probability == 0),
        "kinds": Need("probability above 0", lambda own: own.probability > 0 or not own.kinds),
        "most": Need("probability above 0 and several kinds", lambda own: own.probability > 0 and len(own.kinds) > 1),
        "noise": Need("probability above 0 and noise among the kinds", lambda own: own.draws("noise")),
        "noise_snr": Need("probability above 0 and noise among the kinds", lambda own: own.draws("noise")),
        "music": Need("probability above 0 and music among the kinds", lambda own: own.draws("music")),
        "music_snr": Need("probability above 0 and music among the kinds", lambda own: own.draws("music")),
        "babble_snr": Need("probability above 0 and babble among the kinds", lambda own: own.draws("babble")),
        "rirs": Need("probability above 0 and reverb or playback among the kinds", lambda own: own.rooms_are_heard),
        "rooms": Need(
            "probability above 0, reverb or playback among the kinds, and no folder in rirs",
            lambda own: own.rooms_are_heard and not own.rirs,
        ),
    }

    def draws(self, kind: str) -> bool:
        """Whether crops are augmented so."""
        return self.probability > 0 and kind in self.kinds

    @property
    def rooms_are_heard(self) -> bool:
        return self.draws("reverb") or self.draws("playback")

    @property
    def draws_anything(self) -> bool:
        """Whether anything is drawn for a crop, SpecAugment included."""
        return bool((self.probability and self.kinds) or self.time_frames or self.frequency_bands)

    @field_validator("speeds")
    @classmethod
    def _natural_and_distinct(cls, speeds: tuple[float, ...]) -> tuple[float, ...]:
        if 1.0 not in speeds or len({f"{speed:g}" for speed in speeds}) < len(speeds):
            raise ValueError("speeds must hold 1.0, and none twice, as in [1.0, 0.9, 1.1]")
        return speeds

    @model_validator(mode="after")
    def _music_is_there(self) -> AugmentSettings:
        if "music" in self.kinds and not self.music:
            raise ValueError("kinds: 'music' needs a folder in augment.music")
        return self


class Augmenter:
    """Leaves a crop clean or applies one of the kinds that are on; every choice comes from the generator given."""

    def __init__(self, settings: AugmentSettings, corpus: Corpus, store: AudioStore, *, seed: int) -> None:
        self.settings = settings
        self.corpus = corpus
        self.store = store
        self.seed = seed
        for name in settings.kinds:
            if name in requirement:
                requirement[name]()
        self._kinds = [kind[name] for name in settings.kinds]
        self.noises = Bank(settings.noise)
        self.musics = Bank(settings.music)
        self.responses = Bank(settings.rirs, channel=0)  # the mean over microphones is no room's response

    def __call__(self, waveform: np.ndarray, position: int, rng: np.random.Generator) -> np.ndarray:
        """(samples,) -> (samples,); `position` is the utterance, so that babble is made of other speakers."""
        if not self._kinds or rng.random() >= self.settings.probability:
            return waveform
        if self.settings.most == 1:
            return self._kinds[rng.integers(len(self._kinds))](self, waveform, position, rng)
        count = rng.integers(1, min(self.settings.most, len(self._kinds)), endpoint=True)
        for number in sorted(rng.permutation(len(self._kinds))[:count]):  # in the order of the settings
            waveform = self._kinds[number](self, waveform, position, rng)
        return waveform

    @cached_property
    def rooms(self) -> list[np.ndarray]:
        return simulated_rooms(self.settings.rooms, seed=self.seed)

    def response(self, rng: np.random.Generator) -> np.ndarray:
        """A random room impulse response (samples,), measured where the user has a folder, else simulated."""
        if self.responses.paths:
            chosen = self.responses.load(int(rng.integers(len(self.responses.paths))))
        else:
            chosen = self.rooms[rng.integers(len(self.rooms))]
        return direct_path_first(chosen)


class Bank:
    """The audio files below some folders, each decoded when used; the last used `KEPT_BYTES` stay in memory.

    Of any level, because mixing sets it; the mean of all channels, or one `channel`.
    """

    def __init__(self, folders: tuple[Path, ...], *, channel: int | None = None) -> None:
        self.channel = channel
        self.paths = sorted(path for folder in folders for path in audio_files(folder).paths)
        if folders and not self.paths:
            raise ConfigError(f"augment: no audio files below {', '.join(map(str, folders))}")
        self._recent: dict[int, np.ndarray] = {}  # least recently used first
        self._held = 0

    def load(self, number: int) -> np.ndarray:
        audio = self._recent.pop(number, None)
        if audio is None:
            path = self.paths[number]
            try:
                duration = LONGEST_NOISE if probe(path).seconds > LONGEST_NOISE else None
                audio = read_audio(path, duration=duration, channel=self.channel, loudest=ANY_LEVEL)
            except AudioError as error:
                raise ConfigError(f"augment: {error}") from None
            self._held += audio.nbytes
        self._recent[number] = audio
        while self._held > KEPT_BYTES and len(self._recent) > 1:
            self._held -= self._recent.pop(next(iter(self._recent))).nbytes
        return audio

    def crop(self, samples: int, rng: np.random.Generator) -> np.ndarray:
        """A random stretch of a random file, wrapped where the file is shorter."""
        audio = self.load(int(rng.integers(len(self.paths))))
        start = int(rng.integers(len(audio)))
        return np.take(audio, np.arange(start, start + samples), mode="wrap")


@kind("noise")
def add_noise(augmenter: Augmenter, waveform: np.ndarray, position: int, rng: np.random.Generator) -> np.ndarray:
    if augmenter.noises.paths:
        noise = augmenter.noises.crop(len(waveform), rng)
    else:
        noise = rng.standard_normal(len(waveform), dtype=np.float32)
    return mix(waveform, noise, rng.uniform(*augmenter.settings.noise_snr))


@kind("music")
def add_music(augmenter: Augmenter, waveform: np.ndarray, position: int, rng: np.random.Generator) -> np.ndarray:
    return mix(waveform, augmenter.musics.crop(len(waveform), rng), rng.uniform(*augmenter.settings.music_snr))


@kind("babble")
def add_babble(augmenter: Augmenter, waveform: np.ndarray, position: int, rng: np.random.Generator) -> np.ndarray:
    """Three to seven training utterances at once, less those of the same speaker, each at an SNR of its own."""
    utterances = augmenter.corpus.utterances
    voices = np.zeros(len(waveform))
    for _ in range(rng.integers(3, 8)):
        other = int(rng.integers(len(utterances)))
        if utterances[other].speaker == utterances[position].speaker:
            continue
        available = int(augmenter.store.lengths[other])
        start = int(rng.integers(max(0, available - len(waveform)) + 1))
        heard = np.resize(augmenter.store.read(other, start, min(len(waveform), available)), len(waveform))
        voices += at_snr(waveform, heard, rng.uniform(*augmenter.settings.babble_snr))
    return (waveform + voices).astype(np.float32)


@kind("reverb")
def reverberate(augmenter: Augmenter, waveform: np.ndarray, position: int, rng: np.random.Generator) -> np.ndarray:
    response = augmenter.response(rng)
    size = fft.next_fast_len(len(waveform) + len(response) - 1, real=True)
    wet = fft.irfft(fft.rfft(waveform, size) * fft.rfft(response, size), size)[: len(waveform)]
    level = np.sqrt(power(waveform) / max(power(wet), 1e-12))
    return (wet * level).astype(np.float32)


def mix(waveform: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Add `noise` at `snr` dB below the speech; silence on either side leaves the speech as it is."""
    return (waveform + at_snr(waveform, noise, snr)).astype(np.float32)


def at_snr(waveform: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """`noise` scaled to `snr` dB below the speech, float64; silence where either is silent."""
    noise_power = power(noise)
    if noise_power <= 0.0:
        return np.zeros(len(noise))
    return np.sqrt(power(waveform) / noise_power / 10 ** (snr / 10)) * noise


def power(waveform: np.ndarray) -> float:
    return float(np.dot(waveform, waveform)) / len(waveform)


def direct_path_first(response: np.ndarray) -> np.ndarray:
    """Start at the strongest arrival, so that reverberation does not delay the speech out of its crop."""
    peak = int(np.argmax(np.abs(response)))
    return response[peak : peak + LONGEST_RESPONSE].astype(np.float32)
