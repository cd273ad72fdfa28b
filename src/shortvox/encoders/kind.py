"""Kinds of encoders: each says which specifications are its own, and opens them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shortvox.encoders.encoder import Encoder
from shortvox.registry import Registry


@dataclass(frozen=True)
class Kind:
    """`takes(spec)` says whether a specification is of this kind; `open(spec)` raises EncoderError for a faulty one."""

    takes: Callable[[str], bool]
    open: Callable[[str], Encoder]
    told: str  # what an error says that was expected


kind: Registry[Kind] = Registry("kind of encoder")
