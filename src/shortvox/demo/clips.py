"""From short clips to utterances: trim the silence, join one speaker's clips, use each clip once, write them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.files import write_bytes

SHORTEST_UTTERANCE, LONGEST_UTTERANCE = 6.0, 8.0  # seconds: room for a 5 s test crop
SHORTEST_CLIP = 0.25  # seconds after trimming; less is a click, not a word
_FRAME, _HOP = 400, 160  # 25 ms, 10 ms
_RANGE_DB, _FLOOR_DB = 30.0, -55.0  # speech lies within 30 dB of the loud frames and above -55 dBFS
_MARGIN, _FADE = 480, 80  # 30 ms of the room on both sides; 5 ms fades, so that joints do not click


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording, trimmed: (samples,) float32 at 16 kHz; `group` keeps apart what must not be joined."""

    name: str
    samples: np.ndarray
    group: tuple[str, ...] = ()


def frames(samples: np.ndarray, length: int = _FRAME, hop: int = _HOP) -> np.ndarray:
    """(frames, length) view of overlapping frames; none where `samples` is shorter than one."""
    if len(samples) < length:
        return np.zeros((0, length), samples.dtype)
    return np.lib.stride_tricks.sliding_window_view(samples, length)[::hop]


def trim(samples: np.ndarray) -> np.ndarray:
    """`samples` from 30 ms before the first loud 25 ms frame to 30 ms after the last.

    A frame is loud within 30 dB of the 95th percentile of frame energies and above -55 dBFS. Empty where no frame
    is, or where less than 0.25 s remain. Pauses inside stay, because a pause is part of speech.
    """
    energy = 10 * np.log10(np.mean(np.square(frames(samples), dtype=np.float64), axis=1) + 1e-10)
    if not len(energy):
        return samples[:0]
    loud = np.flatnonzero(energy > max(np.percentile(energy, 95) - _RANGE_DB, _FLOOR_DB))
    if not len(loud):
        return samples[:0]
    kept = samples[max(loud[0] * _HOP - _MARGIN, 0) : loud[-1] * _HOP + _FRAME + _MARGIN]
    return kept if len(kept) >= SHORTEST_CLIP * SAMPLE_RATE else samples[:0]


def join(
    clips: Sequence[Clip], rng: np.random.Generator, *, least: float = SHORTEST_UTTERANCE
) -> list[tuple[np.ndarray, tuple[Clip, ...]]]:
    """Utterances of 6 to 8 s made of whole clips in seeded order, each clip in one utterance only.

    Only the last clip of an utterance may be cut, at 8 s. What is left over makes one more, shorter utterance if it
    lasts `least` seconds. Clips of different groups are never joined.
    """
    utterances: list[tuple[np.ndarray, tuple[Clip, ...]]] = []
    for group in dict.fromkeys(clip.group for clip in clips):
        own = [clip for clip in clips if clip.group == group]
        waiting: list[Clip] = []
        for position in rng.permutation(len(own)):
            waiting.append(own[position])
            if _seconds(waiting) >= SHORTEST_UTTERANCE:
                utterances.append((_concatenate(waiting), tuple(waiting)))
                waiting = []
        if waiting and _seconds(waiting) >= least:
            utterances.append((_concatenate(waiting), tuple(waiting)))
    return utterances


def _seconds(clips: Iterable[Clip]) -> float:
    return sum(len(clip.samples) for clip in clips) / SAMPLE_RATE


def _concatenate(clips: Sequence[Clip]) -> np.ndarray:
    ramp = np.linspace(0, 1, _FADE, dtype=np.float32)
    pieces = []
    for clip in clips:
        piece = clip.samples.astype(np.float32, copy=True)
        piece[:_FADE] *= ramp
        piece[-_FADE:] *= ramp[::-1]
        pieces.append(piece)
    return np.concatenate(pieces)[: round(LONGEST_UTTERANCE * SAMPLE_RATE)]


def write_flac(path: Path, samples: np.ndarray) -> None:
    """(samples,) at 16 kHz in [-1, 1] as a FLAC of 16 bits; raises ShortvoxError where it cannot be written."""
    content = io.BytesIO()
    soundfile.write(content, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    write_bytes(path, content.getvalue())
