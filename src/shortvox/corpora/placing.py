"""A new corpus folder over recordings that stay where they are: a link `audio`, and a manifest through it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from shortvox.corpora.corpus import Corpus, load_corpus
from shortvox.corpora.manifest import MANIFEST, refuse_row, write_manifest
from shortvox.corpora.utterance import Utterance
from shortvox.errors import CorpusError
from shortvox.files import ensure_writable
from shortvox.locks import one_writer

LINK = "audio"


def refuse_manifest(folder: Path) -> None:
    """Raises CorpusError rather than replace a manifest."""
    if os.path.lexists(folder / MANIFEST):
        raise CorpusError(f"{folder / MANIFEST}: already there; remove it, or choose another output folder")


def place(folder: Path, source: Path, utterances: Iterable[Utterance], undo: ExitStack) -> Corpus:
    """Write `folder/manifest.csv` for recordings below `source`; `folder/audio` links there if need be.

    What is made is taken back when `undo` is unwound, so that a failure, here or after, leaves nothing half done.
    Raises CorpusError rather than replace a manifest or a link of something else, and, before anything is written, for
    an utterance that a manifest cannot hold.
    """
    refuse_manifest(folder)
    folder, source = folder.absolute(), source.absolute()
    inner, outer = Path(os.path.realpath(source)), Path(os.path.realpath(folder))
    below = inner.is_relative_to(outer)
    base = folder / inner.relative_to(outer) if below else folder / LINK
    placed = []
    for u in utterances:
        path = base / u.path.relative_to(source)
        refuse_row(u, path.relative_to(folder).as_posix())
        placed.append(replace(u, path=path))
    for missing in (each for each in reversed((folder, *folder.parents)) if not os.path.lexists(each)):
        take_back(undo, missing.rmdir)
    ensure_writable(folder)
    with one_writer(folder):
        refuse_manifest(folder)  # again: another run may have made one meanwhile
        if not below:
            _link(base, inner, undo)
        take_back(undo, (folder / MANIFEST).unlink)
        write_manifest(folder, placed)
    return load_corpus(folder)


def take_back(undo: ExitStack, remove: Callable[[], None]) -> None:
    """Let `undo` remove what is about to be made, if it was made."""

    def quietly() -> None:
        with suppress(OSError):
            remove()

    undo.callback(quietly)


def _link(link: Path, target: Path, undo: ExitStack) -> None:
    if link.is_symlink() and os.path.realpath(link) == str(target):
        return
    if os.path.lexists(link):
        raise CorpusError(f"{link}: already there, and not a link to {target}; choose another output folder")
    try:
        link.symlink_to(target, target_is_directory=True)
    except OSError as error:
        raise CorpusError(
            f"{link}: cannot link to {target} ({error.strerror or error}); "
            "choose the folder above the recordings as output folder"
        ) from error
    take_back(undo, link.unlink)
