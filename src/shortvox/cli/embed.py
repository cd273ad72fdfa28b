"""`shortvox embed`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shortvox.cli.options import AsJson, Device, OwnCache, Spec, audio_cache
from shortvox.corpora.corpus import load_corpora, of_recordings
from shortvox.corpora.speech import SpeechData
from shortvox.encoders.crops import embed_whole
from shortvox.encoders.opening import open_encoder
from shortvox.encoders.vectorfile import check_name, write_vectors
from shortvox.errors import ConfigError
from shortvox.files import ensure_writable
from shortvox.locks import one_writer
from shortvox.printing import show_json
from shortvox.progress import note, progress_bar


def embed(
    model: Spec,
    out: Annotated[Path, typer.Option(help="File to write: .npz, .csv or .parquet.")],
    recordings: Annotated[list[Path] | None, typer.Argument(help="Recordings, instead of corpora.")] = None,
    corpus: Annotated[
        list[Path] | None, typer.Option("--corpus", help="Corpus folder; may be given several times.")
    ] = None,
    device: Device = "auto",
    cache: OwnCache = None,
    as_json: AsJson = False,
) -> None:
    """Write the unit-length embedding of every utterance, whole, as .npz, .csv or .parquet."""
    if bool(corpus) == bool(recordings):
        raise ConfigError("embed: give recordings or --corpus DIR, one of the two")
    check_name(out)
    encoder = open_encoder(model, device)
    ensure_writable(out.absolute().parent)
    with one_writer(out):
        spoken = load_corpora(corpus) if corpus else of_recordings(recordings or [])
        data = SpeechData.open(spoken, audio_cache(cache, None))
        with progress_bar() as bar:
            task = bar.add_task("Embedding", total=len(data.corpus), note="")
            vectors = embed_whole(encoder, data.store, on_batch=lambda done: bar.advance(task, done))
            write_vectors(out, encoder, data.corpus, vectors)
    note(f"{len(data.corpus)} embeddings of {encoder.dim} dimensions written to {out}")
    if as_json:
        facts = {"utterances": len(data.corpus), "dim": encoder.dim}
        show_json({"embeddings": str(out), **facts, "encoder": encoder.name, "fingerprint": encoder.fingerprint})
