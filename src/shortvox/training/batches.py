"""Training batches: each a pure function of (seed, step), so that any worker, rank or resume makes the same one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import soxr
import torch
from torch import Tensor
from torch.utils.data import Dataset

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.corpus import Corpus
from shortvox.corpora.store import AudioStore
from shortvox.errors import ShortvoxError
from shortvox.frontend import channels as channels  # more kinds of augmentation
from shortvox.frontend import codecs as codecs
from shortvox.frontend.augment import Augmenter
from shortvox.frontend.filterbank import HOP, frame_bounds
from shortvox.training.crops import FullUtterance, parse_crop
from shortvox.training.samplers import sampler
from shortvox.training.segging import Cut, Segmenter
from shortvox.training.settings import TrainSettings

BUCKET = 16  # batches whose items are sorted by length together, when whole utterances are taken


@dataclass(frozen=True)
class Batch:
    """One rank's share of a step: waveforms (batch, samples), head rows (batch,), own lengths or None if all alike.

    With segments, also their waveforms (batch, segments, samples) and the frames (batch, segments) where they start.
    Where the front end hears whole files, the waveforms are these, and the frames [first, last) in them of each crop
    (batch, 2) and of each segment (batch, segments, 2) stand in their place. `recordings` (batch,) says which utterance
    at which speed each crop is of, as `recording` counts them.
    """

    waveforms: Tensor
    labels: Tensor
    lengths: Tensor | None
    seconds: float
    wrapped: int
    segments: Tensor | None = None
    starts: Tensor | None = None
    inside: Tensor | None = None
    segments_inside: Tensor | None = None
    recordings: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        moved: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    def split(self, parts: int) -> list[Batch]:
        """`parts` batches of the same items, for gradient accumulation."""
        if parts == 1:
            return [self]
        size = len(self.labels) // parts

        def part(values: Tensor | None, at: int) -> Any:
            return None if values is None else values[at : at + size]

        return [
            Batch(
                part(self.waveforms, at),
                part(self.labels, at),
                part(self.lengths, at),
                self.seconds / parts,
                0,
                part(self.segments, at),
                part(self.starts, at),
                part(self.inside, at),
                part(self.segments_inside, at),
                part(self.recordings, at),
            )
            for at in range(0, len(self.labels), size)
        ]


@dataclass(frozen=True)
class Item:
    """One crop of a batch: waveform (samples,), head row, whether its file was shorter and had to be wrapped.

    The fields after these are as in a batch.
    """

    waveform: np.ndarray
    label: int
    wrapped: bool
    recording: int
    segments: np.ndarray | None = None
    starts: np.ndarray | None = None
    inside: np.ndarray | None = None
    segments_inside: np.ndarray | None = None


def speaker_names(speakers: tuple[str, ...], speeds: tuple[float, ...]) -> tuple[str, ...]:
    """The head's rows: every speaker, then every speaker at each other speed as `name#0.9`."""
    others = [speed for speed in speeds if speed != 1.0]
    return speakers + tuple(f"{name}#{speed:g}" for speed in others for name in speakers)


def recording(position: int, speed: int, speeds: int) -> int:
    """The number of an utterance at one of the speeds, by the numbers of both: all speeds of the first, then others."""
    return position * speeds + speed


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
        self.sampler = sampler[settings.sampler](corpus, settings)
        self.segmenter = Segmenter(settings.segments) if settings.segments else None
        self.augmenter = Augmenter(settings.augment, corpus, store, seed=settings.seed)

    def __len__(self) -> int:
        return self.settings.steps

    def __getitem__(self, step: int) -> Batch:
        step += self.settings.begin
        positions = self._positions(step)
        length = self.crop.samples(np.random.default_rng((self.settings.seed, 2, step)))
        cut = (
            None
            if self.segmenter is None
            else self.segmenter.cut(length, np.random.default_rng((self.settings.seed, 7, step)))
        )
        make = self._crop if self.settings.context == "crop" else self._inside_file
        items = [
            make(step, index, positions[index], length, cut) for index in range(self.rank, len(positions), self.ranks)
        ]
        own = np.array([len(item.waveform) for item in items])
        waveforms = np.zeros((len(items), own.max()), dtype=np.float32)
        for place, item in enumerate(items):
            waveforms[place, : len(item.waveform)] = item.waveform
        return Batch(
            torch.from_numpy(waveforms),
            torch.tensor([item.label for item in items]),
            None if (own == own[0]).all() else torch.from_numpy(own),
            self._seconds(own if length is None else np.full(len(items), length), cut),
            sum(item.wrapped for item in items),
            _stacked([item.segments for item in items]),
            _stacked([item.starts for item in items]),
            _stacked([item.inside for item in items]),
            _stacked([item.segments_inside for item in items]),
            torch.tensor([item.recording for item in items]),
        )

    def _seconds(self, own: np.ndarray, cut: Cut | None) -> float:
        """Speech that the student hears, in seconds."""
        whole = float(own.sum()) / SAMPLE_RATE
        segments = 0.0 if cut is None else len(own) * cut.count * cut.frames * HOP / SAMPLE_RATE
        branches = self.settings.branches()
        return whole * ("crop" in branches) + segments * bool(branches & {"segments", "aggregate"})

    def _positions(self, step: int) -> list[int]:
        """Utterance positions of the global batch; whole utterances are grouped with others of similar length."""
        size = self.settings.items
        if not isinstance(self.crop, FullUtterance):
            return [self.sampler(item) for item in range(step * size, (step + 1) * size)]
        bucket, place = divmod(step, BUCKET)
        items = range(bucket * BUCKET * size, (bucket + 1) * BUCKET * size)
        pool = sorted((self.sampler(item) for item in items), key=lambda p: (int(self.store.lengths[p]), p))
        turn = np.random.default_rng((self.settings.seed, 3, bucket)).permutation(BUCKET)[place]
        return pool[turn * size : (turn + 1) * size]

    def _drawn(self, step: int, index: int) -> tuple[np.random.Generator, float]:
        """What an item draws from, and its speed."""
        rng = np.random.default_rng((self.settings.seed, 4, step, index))
        speed = self.speeds[rng.integers(len(self.speeds))]
        first = index - index % self.sampler.each
        if first != index:  # items of one speaker are of one speed, or they would be different speakers
            leader = np.random.default_rng((self.settings.seed, 4, step, first))
            speed = self.speeds[leader.integers(len(self.speeds))]
        return rng, speed

    def _crop(self, step: int, index: int, position: int, length: int | None, cut: Cut | None) -> Item:
        """An item whose front end hears its crop and nothing else."""
        rng, speed = self._drawn(step, index)
        available = int(self.store.lengths[position])
        wanted = available if length is None else round(length * speed)
        start = int(rng.integers(max(0, available - wanted) + 1))
        waveform = self.store.read(position, start, min(wanted, available))
        wrapped = len(waveform) < wanted
        if wrapped:
            waveform = np.resize(waveform, wanted)
        if speed != 1.0:
            waveform = change_speed(waveform, speed, length)
        augmented = self.augmenter(waveform, position, rng)
        row, heard = self.row[position][speed], self._recording(position, speed)
        if self.segmenter is None or cut is None:
            return Item(augmented, row, wrapped, heard)
        starts = cut.starts(rng)
        if self.segmenter.settings.augment == "crop":
            segments = cut.pieces(augmented, starts)
        else:
            segments = np.stack([self.augmenter(piece, position, rng) for piece in cut.pieces(waveform, starts)])
        return Item(augmented, row, wrapped, heard, segments, starts)

    def _recording(self, position: int, speed: float) -> int:
        return recording(position, self.speeds.index(speed), len(self.speeds))

    def _inside_file(self, step: int, index: int, position: int, length: int | None, cut: Cut | None) -> Item:
        """An item whose front end hears its whole file, at its speed and augmented, before the crop is taken."""
        assert length is not None  # the settings see to it
        rng, speed = self._drawn(step, index)
        waveform = self.store.read(position)
        if speed != 1.0:
            waveform = change_speed(waveform, speed, None)
        wrapped = len(waveform) < length
        if wrapped:
            waveform = np.resize(waveform, length)
        start = int(rng.integers(len(waveform) - length + 1))
        waveform = self.augmenter(waveform, position, rng)

        def inside(start: int, samples: int) -> tuple[int, int]:
            return frame_bounds(start, samples, len(waveform), self.settings.model.frontend.framing)

        segments = None
        if cut is not None:
            starts = (start + int(frame) * HOP for frame in cut.starts(rng))
            segments = np.array([inside(start, cut.frames * HOP) for start in starts])
        own = np.array(inside(start, length))
        row, heard = self.row[position][speed], self._recording(position, speed)
        return Item(waveform, row, wrapped, heard, inside=own, segments_inside=segments)


class Relay(Dataset[Batch | ShortvoxError]):
    """Batches whose faults come back as values: from a worker process torch would bury them in a traceback."""

    def __init__(self, batches: TrainingBatches) -> None:
        self.batches = batches

    def __getitem__(self, step: int) -> Batch | ShortvoxError:
        try:
            return self.batches[step]
        except ShortvoxError as error:
            return ShortvoxError(str(error))


def _stacked(arrays: list[np.ndarray | None]) -> Tensor | None:
    present = [array for array in arrays if array is not None]
    return torch.from_numpy(np.stack(present)) if present else None


def change_speed(waveform: np.ndarray, speed: float, samples: int | None) -> np.ndarray:
    """Play (n,) samples `speed` times as fast, pitch and all; cut or padded to `samples` where given."""
    changed = soxr.resample(waveform, SAMPLE_RATE * speed, SAMPLE_RATE, quality="MQ")
    if samples is None:
        return changed
    return changed[:samples] if len(changed) >= samples else np.pad(changed, (0, samples - len(changed)))
