"""How the audio of a crop becomes embeddings: whole, by segments, or as several crops (TTA) of either.

Everything that is heard lies inside the crop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np
from pydantic import Field, field_validator, model_validator

from shortvox.config import Need, Settings
from shortvox.corpora.crop import Crop
from shortvox.frontend.filterbank import HOP
from shortvox.models.segmented import Bring, crop_segments, embed_segmented, joined_embedding, mean_embedding
from shortvox.registry import Registry

Pieces = tuple[tuple[Crop, ...], ...]  # the crops to embed, for each view of an utterance


class EmbeddingSettings(Settings):
    """`frames` is the length of a TTA crop or of a segment, 100 a second.

    `of` is how each of the TTA crops is embedded, by segments of its own length, say; null: whole.
    """

    name: str = "whole"
    frames: int = Field(400, ge=1, le=360_000)
    crops: int = Field(10, ge=2, le=1000, description="tta: how many, evenly spaced")
    with_whole: bool = Field(False, description="tta: averaged with the score of the whole crops")
    overlap: float = Field(0.0, ge=0, lt=1, description="segments, joined: share of a segment")
    of: EmbeddingSettings | None = Field(None, description="tta: how each crop is embedded")
    needs_of_keys: ClassVar[Mapping[str, Need]] = {
        "frames": Need("name other than whole", lambda own: own.name != "whole"),
        "crops": Need("name=tta", lambda own: own.name not in ("whole", "segments", "joined")),
        "with_whole": Need("name=tta", lambda own: own.name not in ("whole", "segments", "joined")),
        "overlap": Need("name=segments or joined", lambda own: own.name not in ("whole", "tta")),
    }

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        hearing[name]
        return name

    @model_validator(mode="after")
    def _goes_together(self) -> EmbeddingSettings:
        if self.of is None:
            return self
        if self.name != "tta" or self.of.name == "tta":
            raise ValueError("of: names how the crops of tta are embedded: whole, segments or joined; set name: tta")
        if self.of.name != "whole" and self.of.frames >= self.frames:
            raise ValueError(
                f"of.frames: a crop of {self.frames} frames is one segment of {self.of.frames}; make it shorter"
            )
        return self


@dataclass(frozen=True)
class Hearing:
    """Which pieces of a crop are embedded, and by what.

    An utterance has one view or several; a score is the mean over the views, and within a view over all pairs of
    pieces. `embedder` takes and gives what `embed_crops` does, which None stands for; in the cache, `name` tells
    embedders apart. `cut` is what of a piece the front end hears at a time.
    """

    pieces: Callable[[Crop], Pieces]
    cut: Callable[[Crop], Sequence[Crop]] = lambda piece: (piece,)
    embedder: Callable[..., np.ndarray] | None = None
    name: str = "whole"
    described: str = "whole crops"

    def embedded(self, crops: Iterable[Crop]) -> set[Crop]:
        """The pieces of `crops`, each once."""
        return {piece for crop in crops for view in self.pieces(crop) for piece in view}

    def heard(self, crops: Iterable[Crop]) -> set[Crop]:
        """What the front end hears of `crops`, each part once."""
        return {part for piece in self.embedded(crops) for part in self.cut(piece)}


hearing: Registry[Callable[[EmbeddingSettings], Hearing]] = Registry("embedding")


def itself(crop: Crop) -> Pieces:
    return ((crop,),)


WHOLE = Hearing(itself)


@hearing("whole")
def whole_crop(settings: EmbeddingSettings) -> Hearing:
    """One embedding of all that the crop holds."""
    return WHOLE


@hearing("tta")
def several_crops(settings: EmbeddingSettings) -> Hearing:
    """N evenly spaced crops of L frames, the first at the start and the last at the end; a shorter one is one crop.

    Each is embedded as `of` says, and so is the whole crop where it is scored beside them.
    """
    samples, count = settings.frames * HOP, settings.crops
    each = WHOLE if settings.of is None else hearing[settings.of.name](settings.of)

    def pieces(crop: Crop) -> Pieces:
        if crop.samples <= samples:
            spaced: tuple[Crop, ...] = (crop,) * count  # equal crops are embedded once
        else:
            starts = np.linspace(0, crop.samples - samples, count).round().astype(int)
            spaced = tuple(Crop(crop.position, crop.start + int(start), samples) for start in starts)
        return (spaced, (crop,)) if settings.with_whole else (spaced,)

    by = "" if each is WHOLE else f" ({each.described})"
    beside = ", averaged with the whole crop" if settings.with_whole else ""
    return replace(each, pieces=pieces, described=f"TTA, {count} crops of {settings.frames} frames{by}{beside}")


@hearing("segments")
def by_segments(settings: EmbeddingSettings) -> Hearing:
    """Mean of the embeddings of segments that cover the crop."""
    return _segmented(settings, mean_embedding, "segments", "mean embedding of segments")


@hearing("joined")
def by_joined_maps(settings: EmbeddingSettings) -> Hearing:
    """Feature maps of the segments joined in time and pooled once."""
    return _segmented(settings, joined_embedding, "joined", "joined feature maps of segments")


def _segmented(settings: EmbeddingSettings, bring: Bring, name: str, words: str) -> Hearing:
    frames, overlap = settings.frames, settings.overlap
    return Hearing(
        itself,
        partial(crop_segments, frames=frames, overlap=overlap),
        partial(embed_segmented, frames=frames, overlap=overlap, bring=bring),
        f"{name} {frames} {overlap:g}",
        f"{words} of {frames} frames, overlap {100 * overlap:g} %",
    )
