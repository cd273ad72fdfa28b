"""Starting from a trained model: its backbone as it is, its head's rows by speaker name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from shortvox.errors import ModelError
from shortvox.models.embedding import embed_crops, whole
from shortvox.models.folder import ModelSettings, SpeakerModel
from shortvox.training.data import TrainingData
from shortvox.training.settings import TransferSettings

Centroids = Callable[[SpeakerModel, list[str]], Tensor]


def transfer(
    source: SpeakerModel,
    settings: ModelSettings,
    names: tuple[str, ...],
    how: TransferSettings,
    centroids: Centroids | None = None,
) -> SpeakerModel:
    """A model for training speakers `names` that starts as `source`.

    Rows of W are matched by name; rows of absent speakers stay as negatives unless `how.absent` drops them. A training
    speaker without a row is refused, or gets the unit mean of `centroids(source, names)` at the rows' mean length.

    Raises ModelError when the backbones, heads or front ends differ or a row is missing.
    """
    for part in ("backbone", "frontend"):
        if getattr(settings, part) != getattr(source.settings, part):
            raise ModelError(
                f"--init: the model has {part} {getattr(source.settings, part)}, the training asks for "
                f"{getattr(settings, part)}; set model.{part} to the model's own"
            )
    if settings.head.name != source.settings.head.name:
        raise ModelError(
            f"--init: the model's head is {source.settings.head.name}, the training asks for {settings.head.name}"
        )
    known = set(source.speakers)
    missing = [name for name in names if name not in known]
    if missing and how.missing == "refuse":
        raise ModelError(
            f"--init: training speaker '{missing[0]}' has no row in the model's head"
            + (f" (nor have {len(missing) - 1} others)" if len(missing) > 1 else "")
            + "; leave the speaker out or set transfer.missing=centroid"
        )
    kept = source.speakers if how.absent == "keep" else tuple(n for n in source.speakers if n in set(names))
    model = SpeakerModel.fresh(settings, (*kept, *missing))
    model.backbone.load_state_dict(source.backbone.state_dict())
    row = {name: index for index, name in enumerate(source.speakers)}
    positions = torch.tensor([row[name] for name in kept], dtype=torch.long)
    extra = _missing_rows(source, missing, centroids)
    state = dict(source.head.state_dict())
    state["weight"] = torch.cat([state["weight"][positions], extra.to(state["weight"])])
    if "bias" in state:
        state["bias"] = torch.cat([state["bias"][positions], torch.zeros(len(missing))])
    model.head.load_state_dict(state)
    return model


def _missing_rows(source: SpeakerModel, missing: list[str], centroids: Centroids | None) -> Tensor:
    if not missing:
        return torch.zeros(0, source.backbone.dim)
    if centroids is None:
        raise ModelError("transfer.missing=centroid needs the training corpus to compute the rows from")
    return source.head.scale_rows(torch.nn.functional.normalize(centroids(source, missing)))


def utterance_centroids(data: TrainingData, *, most: int = 10) -> Centroids:
    """Mean embedding of at most `most` whole utterances of each named speaker; speed variants use the plain speech."""

    def centroids(model: SpeakerModel, names: list[str]) -> Tensor:
        positions = data.corpus.by_speaker()
        plain = [positions[name if name in positions else name.rpartition("#")[0]][:most] for name in names]
        crops = [whole(data.store, position) for group in plain for position in group]
        embeddings = torch.from_numpy(embed_crops(model, data.store, crops))
        return torch.stack([part.mean(0) for part in embeddings.split([len(group) for group in plain])])

    return centroids


def freeze_head(model: SpeakerModel, how: TransferSettings) -> None:
    """Take W (and any bias) out of learning, and with `freeze_norm` the batch norm after the embedding."""
    if how.head == "frozen":
        model.head.requires_grad_(False)
    if how.freeze_norm:
        norm = model.backbone.embedding_norm()
        norm.freeze()  # type: ignore[operator]
