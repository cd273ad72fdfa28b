"""Kind of encoder: embeddings that `shortvox embed` kept in a .npz file, of whole utterances by their ids."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import numpy as np

from shortvox.encoders.encoder import Encoder, sound
from shortvox.encoders.kind import Kind, kind
from shortvox.errors import EncoderError
from shortvox.textfiles import read_content

MOST_BYTES = 2**33
_REMEDY = "embed the corpus again with shortvox embed"


def open_kept(spec: str) -> Encoder:
    """What is in the file, under the name and the fingerprint of the encoder that made it; it hears nothing new.

    Raises EncoderError for a file that `embed` did not write, or that has since been damaged.
    """
    content = read_content(Path(spec), EncoderError, "embeddings that shortvox embed wrote", most=MOST_BYTES)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            names, vectors = archive["utterance"], archive["embedding"]
            made_by, fingerprint = str(archive["encoder"]), str(archive["fingerprint"])
    except MemoryError:
        raise
    except Exception as error:  # of zip, of zlib, of NumPy's headers
        raise EncoderError(f"{spec}: holds no embeddings ({error}); {_REMEDY}") from None
    if names.ndim != 1 or names.dtype.kind != "U":
        raise EncoderError(f"{spec}: utterance is no list of names; {_REMEDY}")
    ids = names.tolist()
    vectors = sound(vectors, len(ids), spec, _REMEDY)
    if len(set(ids)) < len(ids):
        raise EncoderError(f"{spec}: utterance '{Counter(ids).most_common(1)[0][0]}' is there twice; {_REMEDY}")
    return Encoder(
        name=made_by,
        kind="embeddings file",
        source=spec,
        dim=vectors.shape[1],
        fingerprint=fingerprint,
        shortest=1,
        run=lambda waveforms: _refuse(spec),
        kept=dict(zip(ids, vectors, strict=True)),
        remedy=_REMEDY,
    )


def _refuse(spec: str) -> np.ndarray:
    raise EncoderError(f"{spec}: holds embeddings and cannot hear speech; name the encoder that made them")


kind("kept")(Kind(lambda spec: spec.endswith(".npz"), open_kept, "a .npz file that embed wrote"))
