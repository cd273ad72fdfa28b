"""Embeddings of a corpus in a file: .npz and .csv, for which NumPy is enough, and .parquet.

They are written as they are made, so that a corpus of any size takes little memory.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from shortvox.corpora.corpus import Corpus
from shortvox.corpora.utterance import Utterance
from shortvox.encoders.encoder import Encoder
from shortvox.errors import ConfigError
from shortvox.files import is_folder, write_atomic

Batches = Iterable[np.ndarray]


def check_name(path: Path) -> None:
    """Raises ConfigError for a name that tells no kind of file, and for a folder; needs pyarrow for .parquet."""
    if path.suffix not in _WRITERS:
        raise ConfigError(f"--out {path}: expected a name that ends with {', '.join(_WRITERS)}")
    if is_folder(path):
        raise ConfigError(f"{path}: is a folder; --out names the file to write")
    if path.suffix == ".parquet":
        import pyarrow.parquet  # noqa: F401  # better missed before the work than after


def write_vectors(path: Path, encoder: Encoder, corpus: Corpus, batches: Batches) -> None:
    """Embeddings (n, dim) of the utterances of `corpus` in their order, with the encoder's name and fingerprint."""
    write_atomic(path, lambda handle: _WRITERS[path.suffix](handle, encoder, corpus, batches))


def _npz(handle: BinaryIO, encoder: Encoder, corpus: Corpus, batches: Batches) -> None:
    """What `np.savez` writes: arrays `encoder`, `fingerprint`, `utterance`, `speaker` and `embedding`."""
    small = {
        "encoder": np.array(encoder.name),
        "fingerprint": np.array(encoder.fingerprint),
        "utterance": np.array([u.id for u in corpus.utterances]),
        "speaker": np.array([u.speaker for u in corpus.utterances]),
    }
    with zipfile.ZipFile(handle, "w") as archive:
        for name, array in small.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
        with archive.open(zipfile.ZipInfo("embedding.npy"), "w", force_zip64=True) as entry:
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(corpus), encoder.dim)}
            np.lib.format.write_array_header_1_0(entry, header)
            for batch in batches:
                entry.write(batch.astype("<f4").tobytes())


def _csv(handle: BinaryIO, encoder: Encoder, corpus: Corpus, batches: Batches) -> None:
    """Columns utterance, speaker, e0, e1, …; numbers as short as they can be read back without loss."""
    text = io.TextIOWrapper(handle, encoding="utf-8", newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["utterance", "speaker", *(f"e{place}" for place in range(encoder.dim))])
    for these, batch in _side_by_side(corpus, batches):
        table.writerows([u.id, u.speaker, *map(str, vector)] for u, vector in zip(these, batch, strict=True))
    text.detach()


def _parquet(handle: BinaryIO, encoder: Encoder, corpus: Corpus, batches: Batches) -> None:
    """Columns utterance, speaker and embedding (a list of float32); encoder and fingerprint in the metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = {"utterance": pa.string(), "speaker": pa.string(), "embedding": pa.list_(pa.float32())}
    schema = pa.schema(fields, metadata={"encoder": encoder.name, "fingerprint": encoder.fingerprint})
    with pq.ParquetWriter(handle, schema) as writer:
        for these, batch in _side_by_side(corpus, batches):
            columns = {"utterance": [u.id for u in these], "speaker": [u.speaker for u in these]}
            writer.write_table(pa.table({**columns, "embedding": list(batch)}, schema))


def _side_by_side(corpus: Corpus, batches: Batches) -> Iterator[tuple[tuple[Utterance, ...], np.ndarray]]:
    done = 0
    for batch in batches:
        yield corpus.utterances[done : done + len(batch)], batch
        done += len(batch)


_WRITERS: dict[str, Callable[[BinaryIO, Encoder, Corpus, Batches], None]] = {
    ".npz": _npz,
    ".csv": _csv,
    ".parquet": _parquet,
}
