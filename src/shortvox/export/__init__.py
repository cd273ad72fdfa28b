"""A model folder as one graph, and model folders from published checkpoints."""
