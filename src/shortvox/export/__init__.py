"""A model folder as graphs that run without torch, and model folders from published checkpoints."""
