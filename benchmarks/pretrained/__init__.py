"""Models in the box beside the encoders that packages carry, on the same trials and crops."""
