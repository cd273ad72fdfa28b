from __future__ import annotations

import pytest
import torch

from shortvox.models.settings import ModelSettings
from shortvox.models.speaker_model import SpeakerModel


@pytest.fixture(scope="package")
def model() -> SpeakerModel:
    """Untrained, in evaluation mode."""
    torch.manual_seed(0)
    return SpeakerModel.fresh(ModelSettings(backbone="ecapa-64"), ("a", "b")).eval()
