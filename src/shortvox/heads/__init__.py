"""Heads: embedding to loss. Importing this package registers them all."""

from shortvox.heads import aam as aam
from shortvox.heads import ap as ap
from shortvox.heads import softmax as softmax
from shortvox.heads.head import Head, HeadSettings, head, prototype_angles

__all__ = ["Head", "HeadSettings", "head", "prototype_angles"]
