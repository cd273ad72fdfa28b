"""A linear map of the embedding, folded into the layers that make it: the network costs no more than before."""

from __future__ import annotations

import torch
from torch import Tensor

from shortvox.errors import ModelError
from shortvox.models.backbone import Backbone


@torch.no_grad()
def fold(backbone: Backbone, offset: Tensor, matrix: Tensor | None = None) -> None:
    """What the backbone gave as `e` (dim,), before it is brought to unit length, becomes `matrix` @ (`e` - `offset`).

    `offset` (dim,) goes into the last normalisation, `matrix` (dim, dim) into the linear layer before it, whose weights
    stay about as large as they are. Raises ModelError where one of the two is not finite.
    """
    last, norm = backbone.embedding, backbone.embedding_norm()
    if not (torch.isfinite(offset).all() and (matrix is None or torch.isfinite(matrix).all())):
        raise ModelError("the map of the embedding is not finite, so the model stays as it was")
    offset = offset.to(norm.running_mean.device, torch.float64)
    sd = (norm.running_var.double() + norm.eps).sqrt()
    scale = 1 / sd if norm.weight is None else norm.weight.double() / sd
    if matrix is None:
        if norm.bias is not None:
            norm.bias.copy_(norm.bias.double() - offset)
        else:
            norm.running_mean.copy_(norm.running_mean.double() + offset / scale)
        return
    matrix = matrix.to(offset)
    shift = -scale * norm.running_mean.double() - offset
    if last.bias is not None:
        shift += scale * last.bias.double()
        last.bias.zero_()
    if norm.bias is not None:
        shift += norm.bias.double()
        norm.bias.zero_()
    if norm.weight is not None:
        norm.weight.fill_(1)
    last.weight.copy_(sd[:, None] * (matrix @ (scale[:, None] * last.weight.double())))
    norm.running_mean.copy_(-sd * (matrix @ shift))
