"""Backbones: features to embedding. Importing this package registers them all."""

from shortvox.models import campplus as campplus
from shortvox.models import ecapa as ecapa
from shortvox.models import isk as isk
from shortvox.models import se_resnet as se_resnet
from shortvox.models.backbone import Backbone, backbone, blueprint, parameter_count

__all__ = ["Backbone", "backbone", "blueprint", "parameter_count"]
