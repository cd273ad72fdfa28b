"""Speech coded at low rates and decoded again, as calls, messages and archives do: GSM 06.10, AMR-NB, Opus, MP3.

G.711 is the kind `telephone` (channels.py). libsndfile codes GSM, FFmpeg the others (PyAV, the extra `[media]`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
import soxr

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.errors import ConfigError
from shortvox.frontend.augment import Augmenter, kind, power, requirement

ENCODERS = ("libopencore_amrnb", "libopus", "libmp3lame")
PEAK = 0.5  # of full scale, at which speech is coded
RUN_IN = 0.1  # seconds in which a codec warms up: crops are cut from speech that goes on


@dataclass(frozen=True)
class Codec:
    """`code` takes (samples,) float32 at `rate` and bits a second, and gives at least as many, `delay` samples late."""

    rate: int
    bits: tuple[int, ...]
    delay: int
    code: Callable[[np.ndarray, int, int], np.ndarray]


@kind("codec")
def pass_codec(augmenter: Augmenter, waveform: np.ndarray, position: int, rng: np.random.Generator) -> np.ndarray:
    """Through one of the codecs at one of its rates, all equally likely."""
    name = sorted(CODECS)[rng.integers(len(CODECS))]
    bits = CODECS[name].bits
    return through_codec(waveform, name, bits[rng.integers(len(bits))])


@requirement("codec")
def require_encoders() -> None:
    """Raises ConfigError where PyAV is not installed, or was built without one of the encoders."""
    try:
        import av
    except ImportError:
        raise ConfigError("codec: needs PyAV; pip install 'shortvox[media]', or leave codec out") from None
    for name in ENCODERS:
        try:
            av.codec.Codec(name, "w")
        except ValueError:
            raise ConfigError(
                f"codec: this PyAV has no encoder {name}; pip install 'shortvox[media]', or leave codec out"
            ) from None


def through_codec(waveform: np.ndarray, name: str, bits: int) -> np.ndarray:
    """(samples,) float32 at 16 kHz -> the same length, level and time, coded by one of CODECS at `bits` a second.

    Where `require_encoders` does not complain.
    """
    codec = CODECS[name]
    peak = float(np.abs(waveform).max(initial=0.0))
    if peak == 0.0:
        return waveform
    before = min(round(RUN_IN * SAMPLE_RATE), len(waveform))
    sent = np.concatenate([waveform[before - 1 :: -1], waveform]) * np.float32(PEAK / peak)
    narrow = soxr.resample(sent, SAMPLE_RATE, codec.rate) if codec.rate != SAMPLE_RATE else sent
    coded = codec.code(np.pad(narrow, (0, codec.delay)), codec.rate, bits)[codec.delay :][: len(narrow)]
    wide = soxr.resample(coded, codec.rate, SAMPLE_RATE) if codec.rate != SAMPLE_RATE else coded
    heard = wide[before:][: len(waveform)]
    heard = np.pad(heard, (0, len(waveform) - len(heard)))
    return (heard * np.sqrt(power(waveform) / max(power(heard), 1e-12))).astype(np.float32)


def _by_libsndfile(samples: np.ndarray, rate: int, bits: int) -> np.ndarray:
    held = io.BytesIO()
    soundfile.write(held, samples, rate, format="WAV", subtype="GSM610")
    held.seek(0)
    return soundfile.read(held, dtype="float32")[0]


def _by_ffmpeg(encoder: str, decoder: str, samples_as: str, options: Mapping[str, str]) -> Callable[..., np.ndarray]:
    def code(samples: np.ndarray, rate: int, bits: int) -> np.ndarray:
        import av

        writer: Any = av.CodecContext.create(encoder, "w")
        writer.sample_rate, writer.layout, writer.format = rate, "mono", samples_as
        writer.bit_rate, writer.options = bits, dict(options)
        writer.open()
        reader: Any = av.CodecContext.create(decoder, "r")
        reader.sample_rate, reader.layout, reader.extradata = rate, "mono", writer.extradata
        step = writer.frame_size
        whole = np.pad(samples, (0, -len(samples) % step + 2 * step))  # what the codec holds back comes out, too
        if samples_as == "s16":
            whole = np.round(whole * 32767).astype(np.int16)
        packets = []
        for start in range(0, len(whole), step):
            frame = av.AudioFrame.from_ndarray(whole[None, start : start + step], format=samples_as, layout="mono")
            frame.sample_rate, frame.pts = rate, start
            packets += writer.encode(frame)
        packets += writer.encode(None)
        frames = [frame for packet in packets for frame in reader.decode(packet)] + reader.decode(None)
        heard = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
        if np.issubdtype(heard.dtype, np.integer):
            heard = (heard / 32768).astype(np.float32)
        return heard if frames[0].sample_rate == rate else soxr.resample(heard, frames[0].sample_rate, rate)

    return code


_OPUS = {"application": "voip", "compression_level": "5"}
CODECS: Mapping[str, Codec] = {
    "gsm": Codec(8000, (13_200,), 0, _by_libsndfile),
    "amr": Codec(8000, (4750, 5900, 7400, 12_200), 44, _by_ffmpeg("libopencore_amrnb", "libopencore_amrnb", "s16", {})),
    "opus": Codec(SAMPLE_RATE, (6000, 9000, 12_000, 16_000), 0, _by_ffmpeg("libopus", "libopus", "s16", _OPUS)),
    "mp3": Codec(
        SAMPLE_RATE,
        (16_000, 24_000, 32_000),
        0,
        _by_ffmpeg("libmp3lame", "mp3float", "fltp", {"compression_level": "7"}),
    ),
}
