"""Voices that stay: kept by name, compared with whoever speaks. On the base install."""
