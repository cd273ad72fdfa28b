"""Speaker verification that still works when the speaker says one word."""

__version__ = "0.1.0"
