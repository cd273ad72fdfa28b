"""The settings of a model: everything that makes it but its weights."""

from __future__ import annotations

from pydantic import Field, field_validator

from shortvox.config import Settings
from shortvox.errors import ModelError
from shortvox.frontend.frontend import FrontEndSettings
from shortvox.heads import HeadSettings, head
from shortvox.models import Backbone, backbone, blueprint


class ModelSettings(Settings):
    """Everything that makes a model but its weights."""

    backbone: str = "ecapa-128"
    head: HeadSettings | None = Field(HeadSettings(), description="null: an encoder alone")
    frontend: FrontEndSettings = FrontEndSettings()

    @field_validator("backbone")
    @classmethod
    def _known_backbone(cls, name: str) -> str:
        backbone[name]  # an unknown one must fail before any work
        return name

    @field_validator("head")
    @classmethod
    def _known_head(cls, settings: HeadSettings | None) -> HeadSettings | None:
        if settings is not None:
            head[settings.name]
        return settings

    def check(self, network: Backbone | None = None) -> None:
        """Raise ModelError where the front end gives another number of bands than the backbone takes."""
        wanted = (network or blueprint(self.backbone)).bands
        if wanted != self.frontend.bands:
            raise ModelError(
                f"backbone {self.backbone} takes {wanted} bands, the front end gives {self.frontend.bands}; "
                f"set model.frontend.bands={wanted}"
            )
