"""A linear map of the embedding, folded into the layers that make it: the network costs no more than before."""

from __future__ import annotations

import torch
from torch import Tensor

from shortvox.models.backbone import Backbone


@torch.no_grad()
def fold(backbone: Backbone, offset: Tensor, matrix: Tensor | None = None) -> None:
    """What the backbone gave as `e` (dim,), before it is brought to unit length, becomes `matrix` @ (`e` - `offset`).

    `offset` (dim,) goes into the last normalisation, `matrix` (dim, dim) into the linear layer before it, whose weights
    stay about as large as they are.
    """
    last, norm = backbone.embedding, backbone.embedding_norm()
    offset = offset.double()
    sd = (norm.running_var.double() + norm.eps).sqrt()
    scale = 1 / sd if norm.weight is None else norm.weight.double() / sd
    if matrix is None:
        if norm.bias is not None:
            norm.bias.copy_(norm.bias.double() - offset)
        else:
            norm.running_mean.copy_(norm.running_mean.double() + offset / scale)
        return
    matrix = matrix.double()
    given = -norm.running_mean.double()
    if last.bias is not None:
        given = given + last.bias.double()
        last.bias.zero_()
    shift = scale * given - offset
    if norm.weight is not None and norm.bias is not None:
        shift = shift + norm.bias.double()
        norm.weight.fill_(1)
        norm.bias.zero_()
    last.weight.copy_(sd[:, None] * (matrix @ (scale[:, None] * last.weight.double())))
    norm.running_mean.copy_(-sd * (matrix @ shift))
