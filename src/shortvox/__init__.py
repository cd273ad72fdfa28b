"""Speaker verification that still works when the speaker says one word."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime would report its use; read when it is imported

__version__ = "0.1.0"
