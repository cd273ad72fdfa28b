"""Starting from a trained model: its backbone as it is, its head's rows by speaker name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from shortvox.errors import ModelError
from shortvox.models.layers import BatchNorm
from shortvox.models.settings import ModelSettings
from shortvox.models.speaker_model import SpeakerModel
from shortvox.training.centroids import Centroids, place_rows
from shortvox.training.parts import TransferSettings


def transfer(
    source: SpeakerModel,
    settings: ModelSettings,
    names: tuple[str, ...],
    how: TransferSettings,
    centroids: Centroids | None = None,
) -> SpeakerModel:
    """A model for training speakers `names` that starts as `source`.

    Rows of W are matched by name; rows of absent speakers stay as negatives unless `how.absent` drops them. A training
    speaker without a row is refused, or gets the unit mean of `centroids(source, names)` at the rows' mean length;
    `how.rows` may ask for that in every training speaker's row. The margin goes on where that of `source` ended. A
    `source` without a head, or whose head is not wanted (`how.rows` new), gets a new one, with random rows unless
    centroids are asked for; where the settings have no head, there is none.

    Raises ModelError when the backbones, heads or front ends differ or a row is missing.
    """
    for part in ("backbone", "frontend"):
        if getattr(settings, part) != getattr(source.settings, part):
            raise ModelError(
                f"--init: the model has {part} {getattr(source.settings, part)}, the training asks for "
                f"{getattr(settings, part)}; set model.{part} to the model's own"
            )
    asked = settings.head
    if how.rows == "new" or asked is None:
        source = source.headless()
    has = source.settings.head
    if has is not None and asked is not None and has.name != asked.name:
        changes = ["transfer.rows=new"]
        changes += ["transfer.missing=centroid"] if how.rows == "centroids" else []
        changes += ["transfer.head=trained"] if how.head == "frozen" else []
        raise ModelError(
            f"--init: the model's head is {has.name}, the training asks for {asked.name}; set {', '.join(changes)} "
            f"for another head, or model.head.name={has.name}"
        )
    if has is None and how.head == "frozen" and (how.rows, how.missing) == ("model", "refuse"):
        raise ModelError("--init: the model has no head to freeze; set transfer.rows=centroids")
    known = set(source.speakers)
    missing = [name for name in names if name not in known]
    if missing and source.head.rows and how.missing == "refuse":
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
    if has is not None:
        state = dict(source.head.state_dict())
        for name in source.head.rows:
            state[name] = _with_rows(state[name].cpu()[positions], len(missing))
        model.head.load_state_dict(state)
        model.head.go_on_from(source.head)
    computed = [*names] if how.rows == "centroids" else missing if how.missing == "centroid" else []
    if computed and model.head.rows:
        if centroids is None:
            raise ModelError("transfer: rows computed from speech need the training corpus")
        old = source if has is not None else model
        place_rows(model, computed, old.head.scale_rows(normalize(centroids(source, computed))))
    return model


def _with_rows(rows: Tensor, count: int) -> Tensor:
    """`rows` with `count` more of zeros, to be filled."""
    return torch.cat([rows, rows.new_zeros(count, *rows.shape[1:])])


@torch.no_grad()
def blend(network: nn.Module, start: Mapping[str, Tensor], share: float) -> None:
    """Move the weights back, to `share` of the way from `start` to where they are (Wortsman et al., 2022: WiSE-FT)."""
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.lerp(start[name].to(tensor), tensor, share))


def freeze(model: SpeakerModel, how: TransferSettings) -> None:
    """Take out of learning what `how` says: W (and any bias), the batch norm after the embedding, statistics of all."""
    if how.statistics == "model":
        for module in model.backbone.modules():
            if isinstance(module, BatchNorm):
                module.kept = True
    if how.head == "frozen":
        for name in model.head.rows:
            getattr(model.head, name).requires_grad_(False)
    if how.freeze_norm:
        norm = model.backbone.embedding_norm()
        norm.freeze()
