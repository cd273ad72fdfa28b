"""Training batches: each a pure function of (seed, step), so that any worker, rank or resume makes the same one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr
import torch
from torch import Tensor
from torch.utils.data import Dataset

from shortvox.corpora.corpus import Corpus
from shortvox.corpora.store import AudioStore
from shortvox.errors import ShortvoxError
from shortvox.frontend.augment import Augmenter
from shortvox.frontend.fbank import SAMPLE_RATE
from shortvox.training.crops import FullUtterance, parse_crop
from shortvox.training.samplers import sampler
from shortvox.training.settings import TrainSettings

BUCKET = 16  # batches whose items are sorted by length together, when whole utterances are taken


@dataclass(frozen=True)
class Batch:
    """One rank's share of a step: waveforms (batch, samples), head rows (batch,), own lengths or None if all alike."""

    waveforms: Tensor
    labels: Tensor
    lengths: Tensor | None
    seconds: float
    wrapped: int

    def split(self, parts: int) -> list[Batch]:
        """`parts` batches of the same items, for gradient accumulation."""
        if parts == 1:
            return [self]
        size = len(self.labels) // parts
        return [
            Batch(
                self.waveforms[at : at + size],
                self.labels[at : at + size],
                None if self.lengths is None else self.lengths[at : at + size],
                self.seconds / parts,
                0,
            )
            for at in range(0, len(self.labels), size)
        ]


def speaker_names(speakers: tuple[str, ...], speeds: tuple[float, ...]) -> tuple[str, ...]:
    """The head's rows: every speaker, then every speaker at each other speed as `name#0.9`."""
    others = [speed for speed in speeds if speed != 1.0]
    return speakers + tuple(f"{name}#{speed:g}" for speed in others for name in speakers)


class TrainingBatches(Dataset[Batch]):
    """`batches[step]` for this rank of `ranks`; items are the global batch's, dealt out in turn."""

    def __init__(
        self,
        corpus: Corpus,
        store: AudioStore,
        settings: TrainSettings,
        rows: tuple[str, ...],
        *,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.corpus = corpus
        self.store = store
        self.settings = settings
        self.rank = rank
        self.ranks = ranks
        self.crop = parse_crop(settings.crop)
        self.speeds = settings.augment.speeds
        row = {name: index for index, name in enumerate(rows)}
        self.row = [
            {speed: row[u.speaker if speed == 1.0 else f"{u.speaker}#{speed:g}"] for speed in self.speeds}
            for u in corpus.utterances
        ]
        self.sampler = sampler[settings.sampler](corpus, settings.seed)  # type: ignore[arg-type]
        self.augmenter = Augmenter(settings.augment, corpus, store, seed=settings.seed)

    def __len__(self) -> int:
        return self.settings.steps

    def __getitem__(self, step: int) -> Batch:
        positions = self._positions(step)
        length = self.crop.samples(np.random.default_rng((self.settings.seed, 2, step)))
        items = [self._item(step, index, positions[index], length)
                 for index in range(self.rank, len(positions), self.ranks)]
        own = np.array([len(waveform) for waveform, _, _ in items])
        waveforms = np.zeros((len(items), own.max()), dtype=np.float32)
        for place, (waveform, _, _) in enumerate(items):
            waveforms[place, : len(waveform)] = waveform
        return Batch(
            torch.from_numpy(waveforms),
            torch.tensor([label for _, label, _ in items]),
            None if (own == own[0]).all() else torch.from_numpy(own),
            float(own.sum()) / SAMPLE_RATE,
            sum(wrapped for _, _, wrapped in items),
        )

    def _positions(self, step: int) -> list[int]:
        """Utterance positions of the global batch; whole utterances are grouped with others of similar length."""
        size = self.settings.batch
        if not isinstance(self.crop, FullUtterance):
            return [self.sampler(item) for item in range(step * size, (step + 1) * size)]
        bucket, place = divmod(step, BUCKET)
        items = range(bucket * BUCKET * size, (bucket + 1) * BUCKET * size)
        pool = sorted((self.sampler(item) for item in items), key=lambda p: (int(self.store.lengths[p]), p))
        turn = np.random.default_rng((self.settings.seed, 3, bucket)).permutation(BUCKET)[place]
        return pool[turn * size : (turn + 1) * size]

    def _item(self, step: int, index: int, position: int, length: int | None) -> tuple[np.ndarray, int, bool]:
        """Waveform, head row, and whether the file was shorter than its crop and had to be wrapped."""
        rng = np.random.default_rng((self.settings.seed, 4, step, index))
        speed = self.speeds[rng.integers(len(self.speeds))]
        available = int(self.store.lengths[position])
        wanted = available if length is None else round(length * speed)
        start = int(rng.integers(max(0, available - wanted) + 1))
        waveform = self.store.read(position, start, min(wanted, available))
        wrapped = len(waveform) < wanted
        if wrapped:
            waveform = np.resize(waveform, wanted)
        if speed != 1.0:
            waveform = change_speed(waveform, speed, length)
        return self.augmenter(waveform, position, rng), self.row[position][speed], wrapped


class Relay(Dataset[Batch | ShortvoxError]):
    """Batches whose faults come back as values: from a worker process torch would bury them in a traceback."""

    def __init__(self, batches: TrainingBatches) -> None:
        self.batches = batches

    def __getitem__(self, step: int) -> Batch | ShortvoxError:
        try:
            return self.batches[step]
        except ShortvoxError as error:
            return ShortvoxError(str(error))


def change_speed(waveform: np.ndarray, speed: float, samples: int | None) -> np.ndarray:
    """Play (n,) samples `speed` times as fast, pitch and all; cut or padded to `samples` where given."""
    changed = soxr.resample(waveform, SAMPLE_RATE * speed, SAMPLE_RATE, quality="MQ")
    if samples is None:
        return changed
    return changed[:samples] if len(changed) >= samples else np.pad(changed, (0, samples - len(changed)))
