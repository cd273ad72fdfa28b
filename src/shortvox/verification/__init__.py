"""From recordings to what they say about who speaks. On the base install."""
