"""What a gallery in Milvus is made of: its collections and their rows."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from shortvox.gallery.engine import LONGEST_NAME, Kept, Stored, key_of

VOICES, PARTS, FACTS = "shortvox_voices_", "shortvox_parts", "shortvox_facts"
EMPTY = [1.0, 0.0]  # every collection of Milvus has vectors, whether they mean something or not


def table_of(collection: str, dim: int) -> tuple[Any, Any]:
    """Schema and index of a collection with vectors of `dim`."""
    from pymilvus import DataType, MilvusClient

    vector = "centre" if collection.startswith(VOICES) else "empty"
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
    schema.add_field(vector, DataType.FLOAT_VECTOR, dim=dim)
    if collection == PARTS:
        schema.add_field("owner", DataType.VARCHAR, max_length=64)
        schema.add_field("version", DataType.VARCHAR, max_length=32)
        schema.add_field("data", DataType.VARCHAR, max_length=65_535)
    elif collection == FACTS:
        schema.add_field("value", DataType.JSON)
    else:
        schema.add_field("name", DataType.VARCHAR, max_length=4 * LONGEST_NAME)  # bytes
        schema.add_field("speech", DataType.DOUBLE)
        schema.add_field("recordings", DataType.INT64)
        schema.add_field("about", DataType.JSON)
    index = MilvusClient.prepare_index_params()
    index.add_index(vector, index_type="FLAT", metric_type="IP")
    return schema, index


def pages(voices: Iterable[Kept], most: int) -> Iterator[list[Kept]]:
    page: list[Kept] = []
    for each in voices:
        page.append(each)
        if len(page) == most:
            yield page
            page = []
    if page:
        yield page


def row_of(stored: Stored, version: str, pieces: dict[str, int]) -> dict[str, Any]:
    """What is found by search, and what says where the rest is."""
    about = {
        "version": version,
        "pieces": pieces,
        "space": asdict(stored.space),
        "seconds": list(stored.seconds),
        "enrolled_at": stored.enrolled_at.isoformat(),
        "consent": stored.consent,
    }
    speech = {"speech": sum(stored.seconds), "recordings": len(stored.seconds)}
    return {"id": key_of(stored.name), "name": stored.name, "centre": stored.centre, **speech, "about": about}


def pieces_of(owner: str, version: str, kind: str, content: bytes, size: int) -> list[dict[str, Any]]:
    """Bytes in rows that a field can hold."""
    return [
        {
            "id": piece(version, kind, number),
            "owner": owner,
            "version": version,
            "data": base64.b64encode(content[at : at + size]).decode(),
            "empty": EMPTY,
        }
        for number, at in enumerate(range(0, len(content), size))
    ]


def piece(version: str, kind: str, number: int) -> str:
    return f"{version}-{kind}-{number}"
