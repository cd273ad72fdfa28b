"""Speaker verification that still works when the speaker says one word.

from shortvox import Verifier, Gallery
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime would report its use; read when it is imported

if TYPE_CHECKING:
    from shortvox.gallery.gallery import Gallery as Gallery
    from shortvox.verification.decision import Decision as Decision
    from shortvox.verification.decision import Outcome as Outcome
    from shortvox.verification.decision import Refusal as Refusal
    from shortvox.verification.policy import Costs as Costs
    from shortvox.verification.verifier import Verifier as Verifier
    from shortvox.verification.voiceprint import Voiceprint as Voiceprint

__version__ = "0.1.0"

_PUBLIC = {  # imported when asked for: the command line needs none of them to start
    "Verifier": "verification.verifier",
    "Voiceprint": "verification.voiceprint",
    "Decision": "verification.decision",
    "Outcome": "verification.decision",
    "Refusal": "verification.decision",
    "Costs": "verification.policy",
    "Gallery": "gallery.gallery",
}
__all__ = ["Costs", "Decision", "Gallery", "Outcome", "Refusal", "Verifier", "Voiceprint", "__version__"]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(import_module(f"shortvox.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'shortvox' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
