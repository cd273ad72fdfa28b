"""Recordings and corpora that the tests make; no test needs data from elsewhere."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile

from shortvox.corpora.corpus import Corpus, load_corpus, write_manifest
from shortvox.corpora.utterance import Utterance


def tones(rate: int = 16000, seconds: float = 2.0) -> np.ndarray:
    """(samples,) float32, the same sound at every rate, changing all the time, nothing above 3.4 kHz."""
    t = np.arange(round(rate * seconds)) / rate
    parts = [np.sin(2 * np.pi * f * t + i) * (1 + np.sin(3 * t * i)) for i, f in enumerate((140, 310, 900, 2300, 3300))]
    return (0.08 * np.sum(parts, axis=0)).astype(np.float32)


def write_tones(
    path: Path, rate: int = 16000, seconds: float = 2.0, *, channels: int = 1, subtype: str | None = None
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = tones(rate, seconds)
    soundfile.write(path, np.stack([samples] * channels, axis=1), rate, subtype=subtype)
    return path


def encode(path: Path, codec: str, rate: int, seconds: float, container: str | None = None) -> Path:
    """Encode `tones` by FFmpeg, through PyAV; raises av's error where this build has no such encoder."""
    import av

    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.layout = "mono"
        sound = av.AudioFrame.from_ndarray((tones(rate, seconds)[None] * 32767).astype(np.int16), "s16", "mono")
        sound.rate = rate
        fifo = av.AudioFifo()
        for part in av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate).resample(sound):
            part.pts = None
            fifo.write(part)
        position = 0
        while (frame := fifo.read(stream.codec_context.frame_size or 160) or fifo.read(0, partial=True)) is not None:
            frame.pts, frame.time_base = position, Fraction(1, rate)
            position += frame.samples
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def make_corpus(folder: Path, speakers: int = 3, each: int = 2, seconds: float = 0.5, **write: object) -> Corpus:
    """`speakers` named s0, s1…, with utterances `s0-0` in `wav/s0/0.wav` of slightly different lengths."""
    utterances = []
    for s in range(speakers):
        for n in range(each):
            path = write_tones(folder / "wav" / f"s{s}" / f"{n}.wav", seconds=seconds + 0.01 * (s + n), **write)
            utterances.append(Utterance(f"s{s}-{n}", f"s{s}", path, session=f"day{n}", gender="mf"[s % 2]))
    write_manifest(folder, utterances)
    return load_corpus(folder)
