"""Which engine an address means."""

from __future__ import annotations

from shortvox.gallery import milvus as milvus  # one line for each file of engines
from shortvox.gallery import sqlite as sqlite
from shortvox.gallery.engine import Engine, engine


def open_engine(address: str, create: bool, read_only: bool) -> Engine:
    """`PREFIX:REST` is for the engine of that prefix, anything else the path of a SQLite file.

    Raises GalleryError where it cannot be opened.
    """
    prefix, _, rest = address.partition(":")
    if rest and prefix in engine:
        return engine[prefix](rest, create, read_only)
    return engine["sqlite"](address, create, read_only)
