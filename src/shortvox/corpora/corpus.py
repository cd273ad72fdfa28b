"""A corpus: a folder with a manifest, read into an immutable table of utterances."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from shortvox.corpora.checksum import checksums
from shortvox.corpora.manifest import MANIFEST, STANDARD, read_manifest, write_manifest
from shortvox.corpora.utterance import Utterance
from shortvox.errors import CorpusError
from shortvox.files import require_folder

__all__ = ["Corpus", "load_corpora", "load_corpus", "write_manifest"]


@dataclass(frozen=True)
class Corpus:
    """Utterances in manifest order. Positions into `utterances` are what trials and samplers work with.

    `sources` names the folders that they were read from. Where there are several, ids and speakers begin with one.
    `checksums` holds those of files that were read before, so that the fingerprint need not read them again.
    """

    name: str
    root: Path
    utterances: tuple[Utterance, ...]
    sources: tuple[str, ...] = ()
    checksums: Mapping[Path, str] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.utterances)

    @cached_property
    def speakers(self) -> tuple[str, ...]:
        """All speakers, sorted."""
        return tuple(sorted({u.speaker for u in self.utterances}))

    def select(self, keep: Callable[[Utterance], bool], name: str | None = None) -> Corpus:
        """The utterances for which `keep` is true, in the same order."""
        return replace(self, name=name or self.name, utterances=tuple(u for u in self.utterances if keep(u)))

    def plain(self, name: str) -> str:
        """An id or a speaker as its own manifest has it, without the prefix that several corpora at once give it."""
        prefixes = (f"{source}/" for source in self.sources if len(self.sources) > 1)
        return next((name.removeprefix(prefix) for prefix in prefixes if name.startswith(prefix)), name)

    def by_speaker(self) -> dict[str, tuple[int, ...]]:
        """Positions of each speaker's utterances; speakers sorted, positions in order."""
        positions: dict[str, list[int]] = {speaker: [] for speaker in self.speakers}
        for position, u in enumerate(self.utterances):
            positions[u.speaker].append(position)
        return {speaker: tuple(own) for speaker, own in positions.items()}

    def spread(self, most: int) -> list[tuple[int, ...]]:
        """Positions of at most `most` utterances of each speaker, evenly over their order and so over sessions."""
        return [
            tuple(own[i] for i in np.linspace(0, len(own) - 1, min(most, len(own))).round().astype(int))
            for own in self.by_speaker().values()
        ]

    def index(self) -> dict[str, int]:
        """Position of each utterance id."""
        return {u.id: position for position, u in enumerate(self.utterances)}

    def columns(self) -> tuple[str, ...]:
        """Names of the columns that `evaluate --by` may use: the standard ones, then the manifest's own."""
        channel = ("channel",) if any(u.channel is not None for u in self.utterances) else ()
        return (*STANDARD, *channel, *dict.fromkeys(name for u in self.utterances for name, _ in u.extra))

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        known = {**checksums(u.path for u in self.utterances if u.path not in self.checksums), **self.checksums}
        for u in self.utterances:
            where = u.path.relative_to(self.root) if u.path.is_relative_to(self.root) else u.path
            fields = (u.id, u.speaker, where.as_posix(), u.start, u.duration, u.channel, known[u.path])
            digest.update(repr(fields).encode())
        return digest.hexdigest()

    def fingerprint(self) -> str:
        """sha256 over ids, speakers, paths, segments and the content of every file: equal where a result can be reused.

        Times of change are left out, so that a copy of a corpus counts as the same corpus. The first call reads every
        file whole (1 GB takes about a second), except those whose checksum a pack keeps: with a cache of decoded audio
        the files are read once, when they are packed.
        """
        return self._fingerprint


def load_corpus(folder: Path) -> Corpus:
    """Read `folder/manifest.csv`.

    Raises CorpusError with row and column at the first row that cannot be used; `shortvox corpus check` lists
    all of them.
    """
    folder = Path(folder).absolute()
    require_folder(folder, CorpusError, f"a corpus, which is a folder with a {MANIFEST}")
    manifest = read_manifest(folder)
    if manifest.problems:
        first = manifest.problems[0]
        more = len(manifest.problems) - 1
        others = f" ({more} more; `shortvox corpus check` lists them)" if more else ""
        raise CorpusError(f"{manifest.path}: row {first.row}: {first.message}{others}")
    if not manifest.rows:
        raise CorpusError(f"{manifest.path}: no utterances")
    return Corpus(folder.name, folder, tuple(u for _, u in manifest.rows), (folder.name,))


def load_corpora(folders: Sequence[Path]) -> Corpus:
    """Several corpora as one, ids and speakers prefixed `<folder name>/`; a single one stays unprefixed.

    Speakers of different corpora count as different people. Folders of the same name are told apart by as
    many parent folders as it takes. Raises CorpusError, also for a folder given twice.
    """
    if not folders:
        raise CorpusError("no corpus given; name one with --corpus DIR")
    corpora = [load_corpus(folder) for folder in folders]
    if len(corpora) == 1:
        return corpora[0]
    roots = [corpus.root.resolve() for corpus in corpora]
    for position, root in enumerate(roots):
        if root in roots[:position]:
            raise CorpusError(f"{root}: given twice as --corpus; once is enough")
    names = _unique_names([corpus.root for corpus in corpora], roots)
    utterances = tuple(
        replace(u, id=f"{name}/{u.id}", speaker=f"{name}/{u.speaker}")
        for name, corpus in zip(names, corpora, strict=True)
        for u in corpus.utterances
    )
    common = Path(os.path.commonpath([corpus.root for corpus in corpora]))
    return Corpus("+".join(names), common, utterances, tuple(names))


def of_recordings(paths: Sequence[Path]) -> Corpus:
    """Recordings without a manifest: each is an utterance by the name that it was given, of nobody.

    Raises CorpusError for one that is given twice.
    """
    names = [str(path) for path in paths]
    for position, name in enumerate(names):
        if name in names[:position]:
            raise CorpusError(f"{name}: given twice; once is enough")
    utterances = tuple(Utterance(id=name, speaker="", path=Path(name).absolute()) for name in names)
    return Corpus("recordings", Path.cwd(), utterances)


def _unique_names(given: Sequence[Path], resolved: Sequence[Path]) -> list[str]:
    names = [root.name for root in given]
    depth = 1
    while len(set(names)) < len(names):
        depth += 1
        names = ["/".join(root.parts[1:][-depth:]) for root in resolved]
    return names
