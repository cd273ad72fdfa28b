"""What of a training's settings goes together: each check raises ValueError with the key to change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from shortvox.models import blueprint
from shortvox.training.crops import FullUtterance, parse_crop

if TYPE_CHECKING:
    from shortvox.training.settings import TrainSettings

MOST_SECONDS = 50_000  # of speech in the crops of a step: 3 GB as samples alone


def check_memory(own: TrainSettings) -> None:
    """A step fits into memory."""
    crop = parse_crop(own.crop)
    if not isinstance(crop, FullUtterance) and own.items * crop.longest > MOST_SECONDS:
        raise ValueError(
            f"batch: {own.items} crops of {crop.longest:g} s are more than the {MOST_SECONDS} s of speech that a "
            "step may hold; lower batch or crop"
        )


def check_head(own: TrainSettings) -> None:
    """The loss finds in a batch what it compares, and has the rows that are asked for."""
    name = "of no head" if own.model.head is None else own.model.head.name
    if own.model.head is None and not any(t.pulls and "crop" in t.teaches for t in own.teachers.values()):
        raise ValueError(
            "model.head: null has no loss to learn from; name a head, as {name: aam}, or a teacher of the crop's "
            "embedding"
        )
    if own.model.head is None and own.segments is not None:
        raise ValueError("segments: are scored by a head, and model.head is null; name one, as {name: aam}")
    if own.balanced and isinstance(parse_crop(own.crop), FullUtterance):
        raise ValueError(
            f"sampler: {own.sampler} needs crops of one length in a batch, because whole utterances are "
            "grouped by length; set crop to a length such as 2s"
        )
    if own.loss.pairs and not own.balanced:
        raise ValueError(
            f"sampler: the loss {name} compares utterances of one speaker with each other; set sampler=balanced"
        )
    if own.asks_for_domains and own.domain is None:
        asks = own.asks_for_domains[0]
        raise ValueError(f"domain: {asks} needs the manifest's column that names them, such as domain=language")
    if own.transfer.centre != "none" and own.loss.rows:
        raise ValueError(
            f"transfer.centre: the rows of the loss {name} would stay where they are while embeddings move; take a "
            "head without rows, such as ap, or model.head=null"
        )
    if own.transfer.centre == "domain" and own.prefixes:
        raise ValueError(
            "prefixes: transfer.centre: domain mixes all numbers of an embedding, so the first would no longer do "
            "alone; set transfer.centre=corpus"
        )
    if own.loss.pairs and own.accumulate > 1:
        raise ValueError(f"accumulate: the loss {name} compares all speakers of a step; set accumulate=1")
    comparing = [teacher for teacher, said in own.teachers.items() if said.contrast]
    if comparing and own.accumulate > 1:
        raise ValueError(f"accumulate: teachers.{comparing[0]}.contrast compares all crops of a step; set accumulate=1")
    if not own.loss.rows:
        asked = [
            key
            for key, wanted in (
                ("segments.loss.kl", own.segments is not None and own.segments.loss.kl > 0),
                ("transfer.head", own.transfer.head == "frozen"),
                ("transfer.rows", own.transfer.rows == "centroids"),
                ("transfer.refresh", own.transfer.refresh != "never"),
                *((f"teachers.{teacher}.posterior", said.posterior > 0) for teacher, said in own.teachers.items()),
            )
            if wanted
        ]
        if asked:
            raise ValueError(f"{asked[0]}: the loss {name} has no row for each speaker; choose another head")


def check_segments(own: TrainSettings) -> None:
    """Segments are asked for where something needs them, and can be cut."""
    if own.segments is None:
        needing = [
            name
            for name, teacher in own.teachers.items()
            if teacher.hears == "segments" or set(teacher.teaches) != {"crop"}
        ]
        if needing:
            raise ValueError(
                f"teachers.{needing[0]}: there are no segments in this training; set segments.length, "
                "or hears and teaches to crop"
            )
    elif isinstance(parse_crop(own.crop), FullUtterance):
        raise ValueError("segments: need crops of one length in a batch; set crop to a length such as 4s")
    elif parse_crop(own.segments.length).shortest > parse_crop(own.crop).longest:
        raise ValueError(f"segments.length: {own.segments.length} is longer than the crop ({own.crop})")
    elif own.segments.cmn == "crop" and own.model.frontend.vad != "none":
        raise ValueError(
            "segments.cmn: crop needs model.frontend.vad=none; a crop without its silence has no "
            "frames to find a segment by"
        )
    elif own.segments.cmn == "crop" and own.model.frontend.cmn == "none":
        raise ValueError("segments.cmn: crop needs model.frontend.cmn; there is no mean to take from the crop")
    elif own.segments.cmn == "crop" and blueprint(own.model.backbone).normalises:
        raise ValueError(
            f"segments.cmn: crop does nothing for {own.model.backbone}, which normalises each segment itself"
        )
    elif own.segments.heads == "separate" and own.transfer.head == "frozen":
        raise ValueError("segments.heads: separate needs transfer.head=trained; two frozen heads are one")


def check_prefixes(own: TrainSettings) -> None:
    """Prefixes are parts of an embedding."""
    if own.prefixes and max(own.prefixes) >= (dim := blueprint(own.model.backbone).dim):
        raise ValueError(
            f"prefixes: {max(own.prefixes)} is no part of the {dim} numbers of a {own.model.backbone} embedding; "
            "give fewer"
        )
    if len(set(own.prefixes)) < len(own.prefixes):
        raise ValueError("prefixes: one of them is given twice; give each once")


def check_teachers(own: TrainSettings) -> None:
    """No embedding is pulled into two spaces."""
    for branch in ("crop", "segments", "aggregate"):
        pulling = [
            name for name, said in own.teachers.items() if said.pulls and branch in said.teaches and not said.projection
        ]
        if len(pulling) > 1:
            first, second = pulling[:2]
            raise ValueError(
                f"teachers.{second}: {first} pulls the {branch} embedding into its own space already; set "
                f"teachers.{second}.embedding=0 or teachers.{second}.projection=true"
            )


def check_context(own: TrainSettings) -> None:
    """A front end that hears the whole file has something to hear there."""
    if own.context == "crop":
        return
    frontend = own.model.frontend
    if isinstance(parse_crop(own.crop), FullUtterance):
        raise ValueError("context: file needs crops; a whole utterance has nothing around it")
    if frontend.cmn == "none" and frontend.vad == "none":
        raise ValueError(
            "context: file needs model.frontend.cmn or model.frontend.vad; nothing else looks beyond the crop"
        )
    if own.segments is not None and own.segments.augment == "segment":
        raise ValueError("context: file needs segments.augment=crop; all segments are cut from one augmented file")
    if own.segments is not None and own.segments.cmn == "crop":
        raise ValueError("context: file needs segments.cmn=segment; the mean is that of the file, not of the crop")


CHECKS: tuple[Callable[[TrainSettings], None], ...] = (
    check_memory,
    check_head,
    check_segments,
    check_prefixes,
    check_teachers,
    check_context,
)
