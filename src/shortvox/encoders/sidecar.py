"""How a graph hears: from its own metadata, from the YAML file beside it, or from both.

A maker of graphs whose metadata say it has one function here, registered under the name in `framework`. What the YAML
file says comes before what the metadata say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from shortvox.config import Need, Settings, parse, read_yaml
from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.effect import idle, refuse_idle
from shortvox.encoders.features import Edges, Normalisation, WindowName
from shortvox.errors import EncoderError
from shortvox.registry import Registry

PAGE = "docs/your-own-encoder.md"


class GraphSettings(Settings):
    """What a graph takes and gives. Scale, window, mel range and edges are those of the features it was trained on."""

    features: Literal["waveform", "kaldi", "nemo"] = Field(description="what the graph takes")
    input: str | None = Field(None, description="name of the input; needed where there are several")
    lengths: str | None = Field(None, description="name of the input that takes each row's length")
    output: str | None = Field(None, description="name of the output; needed where there are several")
    layout: Literal["frames-bands", "bands-frames"] = "frames-bands"
    sample_rate: int = Field(SAMPLE_RATE, ge=1, le=10**6)
    scale: float = Field(1.0, gt=0, le=2**31, description="what samples in [-1, 1] are multiplied by")
    bands: int = Field(80, ge=4, le=512)
    window: WindowName = "povey"
    low: float = Field(20.0, ge=0, lt=SAMPLE_RATE / 2, description="lowest frequency in Hz")
    high: float = Field(SAMPLE_RATE / 2, gt=0, le=SAMPLE_RATE / 2, description="highest frequency in Hz")
    edges: Edges = "snip"
    normalisation: Normalisation = "none"
    dim: int | None = Field(None, ge=1, le=2**20)
    shortest: float | None = Field(None, gt=0, le=60, description="seconds; null: found by trying")
    longer: Literal["refuse", "centre"] = Field("refuse", description="than the one length that a graph takes")
    name: str | None = None
    needs_of_keys: ClassVar[Mapping[str, Need]] = {
        key: Need("features=kaldi", lambda own: own.features == "kaldi") for key in ("window", "low", "high", "edges")
    } | {
        key: Need("features=kaldi or nemo", lambda own: own.features != "waveform")
        for key in ("layout", "bands", "normalisation")
    }

    @property
    def scale_invariant(self) -> bool:
        """Whether the features are the same at any loudness."""
        return self.features != "waveform" and self.normalisation != "none"


framework: Registry[Callable[[Mapping[str, str]], dict[str, Any]]] = Registry("framework of graphs")


@framework("shortvox")
def ours(said: Mapping[str, str]) -> dict[str, Any]:
    """What `shortvox export` writes: waveforms and their lengths in, embeddings out."""
    shortest = _number(said, "shortest_samples", None)
    return {
        "features": "waveform",
        "input": "waveforms",
        "lengths": "lengths",
        "output": "embeddings",
        "name": said.get("name"),
        "shortest": None if shortest is None else shortest / SAMPLE_RATE,
    }


@framework("wespeaker")
def wespeaker(said: Mapping[str, str]) -> dict[str, Any]:
    """Trained on Hamming windows and int16 values. Their scripts normalise the mean only where the metadata ask."""
    return {"features": "kaldi", "window": "hamming", **_kaldi(said, int16=True)}


@framework("3d-speaker")
def three_d_speaker(said: Mapping[str, str]) -> dict[str, Any]:
    return {"features": "kaldi", "window": "povey", **_kaldi(said, int16=False)}


@framework("nemo")
def nemo(said: Mapping[str, str]) -> dict[str, Any]:
    """NeMo's own log-mel features; raises EncoderError for other windows than those that it is known to use."""
    for key, usual in (("window_size_ms", "25"), ("window_stride_ms", "10"), ("window_type", "hann")):
        if said.get(key, usual) != usual:
            raise EncoderError(f"metadata {key} is {said[key]!r}, and only {usual} is known for NeMo")
    return {
        "features": "nemo",
        "layout": "bands-frames",
        "bands": _number(said, "feat_dim", 80),
        "normalisation": _normalisation(said),
    }


def graph_settings(path: Path, said: Mapping[str, str]) -> GraphSettings:
    """The settings of a graph with these metadata, the YAML file beside it laid over them.

    Raises EncoderError where nothing says how the graph hears, or the metadata say what is not known, and ConfigError
    for a YAML file with a wrong key or value.
    """
    beside = path.with_suffix(".yaml")
    written = read_yaml(beside) if beside.exists() else {}
    maker = said.get("framework", "")
    try:
        known = _common(said) | framework[maker](said) if maker in framework else {}
    except EncoderError as error:
        if "features" not in written:
            raise EncoderError(
                f"{path}: {error}; describe it wholly, from 'features' on, in {beside.name} beside it ({PAGE})"
            ) from None
        known = {}
    if not known and "features" not in written:
        what = f"of framework {maker!r}, which is not known, and " if maker else ""
        raise EncoderError(
            f"{path}: {what}without a word on its front end; write {beside.name} beside it, with "
            f"'features: waveform', kaldi or nemo ({PAGE})"
        )
    settings = parse(GraphSettings, {**known, **written}, str(beside) if written else str(path))
    refuse_idle({key: need for key, need in idle(settings).items() if key in written}, str(beside))
    if settings.sample_rate != SAMPLE_RATE:
        raise EncoderError(
            f"{path}: takes speech sampled at {settings.sample_rate} Hz, and speech here has {SAMPLE_RATE} Hz; use a "
            f"model for {SAMPLE_RATE} Hz, or set sample_rate in {beside.name} if the metadata are wrong"
        )
    if settings.low >= settings.high:
        raise EncoderError(f"{beside}: low is {settings.low:g} Hz and high {settings.high:g} Hz; low must be below")
    return settings


def _common(said: Mapping[str, str]) -> dict[str, Any]:
    return {
        "sample_rate": _number(said, "sample_rate", SAMPLE_RATE),
        "dim": _number(said, "output_dim", None),
    }


def _kaldi(said: Mapping[str, str], *, int16: bool) -> dict[str, Any]:
    # An older writer spelt normalize_samples as normalize_features.
    unit = said.get("normalize_samples", said.get("normalize_features", "0" if int16 else "1"))
    if unit not in ("0", "1"):
        raise EncoderError(f"metadata normalize_samples is {unit!r}, not 0 or 1")
    return {"scale": 1.0 if unit == "1" else 32768.0, "normalisation": _normalisation(said)}


def _normalisation(said: Mapping[str, str]) -> str:
    asked = said.get("feature_normalize_type", "")
    known = {"": "none", "NA": "none", "global-mean": "mean", "per_feature": "mean-sd"}
    if asked not in known:
        raise EncoderError(f"metadata feature_normalize_type is {asked!r}, not global-mean, per_feature or empty")
    return known[asked]


def _number(said: Mapping[str, str], key: str, default: int | None) -> int | None:
    try:
        return int(said[key]) if key in said else default
    except ValueError:
        raise EncoderError(f"metadata {key} is {said[key][:40]!r}, not a number") from None
