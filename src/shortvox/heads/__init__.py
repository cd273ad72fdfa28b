"""Heads: embedding to loss. Importing this package registers them all."""

from shortvox.heads import aam as aam
from shortvox.heads import ap as ap
from shortvox.heads import softmax as softmax
from shortvox.heads.head import Head, HeadSettings, head, prototype_angles
from shortvox.heads.none import NoHead

__all__ = ["Head", "HeadSettings", "NoHead", "head", "prototype_angles"]
