"""What a kind of checkpoint is: how it hears, and how its tensors become those of a backbone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from shortvox.export.importers.layout import Pieces
from shortvox.frontend.frontend import FrontEndSettings
from shortvox.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Checkpoints of one toolkit.

    `recognise` takes the tensors of the network by name, and gives the backbone that they are of and where each of its
    own tensors stands; it raises ModelError for another architecture. The network's names begin with `prefix`, and
    `left_out` begins those of what is not the network: the head of a training, a filter bank.
    """

    toolkit: str
    frontend: FrontEndSettings
    recognise: Callable[[Mapping[str, Tensor]], tuple[str, Pieces]]
    prefix: str = ""
    left_out: tuple[str, ...] = ()


kind: Registry[Kind] = Registry("kind of checkpoint")
