"""Who said what, where: manifests, importers, checks, and audio read as 16 kHz mono."""
