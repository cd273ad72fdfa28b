"""A new corpus folder over recordings that stay where they are: a link `audio`, and a manifest through it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from shortvox.corpora.corpus import Corpus, load_corpus
from shortvox.corpora.manifest import MANIFEST, write_manifest
from shortvox.corpora.utterance import Utterance
from shortvox.errors import CorpusError
from shortvox.files import ensure_writable

LINK = "audio"


def refuse_manifest(folder: Path) -> None:
    """Raises CorpusError rather than replace a manifest."""
    if (folder / MANIFEST).exists():
        raise CorpusError(f"{folder / MANIFEST}: already there; remove it, or choose another output folder")


def place(folder: Path, source: Path, utterances: Iterable[Utterance]) -> Corpus:
    """Write `folder/manifest.csv` for recordings below `source`; `folder/audio` links there if need be.

    Raises CorpusError rather than replace a manifest or a link of something else.
    """
    refuse_manifest(folder)
    folder = ensure_writable(folder.absolute())
    source = source.absolute()
    real = source.resolve()
    if real.is_relative_to(folder.resolve()):
        base = folder / real.relative_to(folder.resolve())
    else:
        base = folder / LINK
        _link(base, real)
    write_manifest(folder, (replace(u, path=base / u.path.relative_to(source)) for u in utterances))
    return load_corpus(folder)


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.resolve() == target:
        return
    if link.is_symlink() or link.exists():
        raise CorpusError(f"{link}: already there, and not a link to {target}; choose another output folder")
    try:
        link.symlink_to(target, target_is_directory=True)
    except OSError as error:
        raise CorpusError(
            f"{link}: cannot link to {target} ({error.strerror or error}); "
            "choose the folder above the recordings as output folder"
        ) from error
