"""Importers: a known layout of recordings -> `manifest.csv`. A new layout is one new file and one line here.

The recordings stay where they are: unless they lie below OUT, OUT gets a symbolic link `audio` to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from shortvox.corpora.audio import AudioInfo, probe
from shortvox.corpora.corpus import Corpus
from shortvox.corpora.importers import kaldi, librispeech, tree, voxceleb
from shortvox.corpora.importers.layout import Layout, Reader
from shortvox.corpora.manifest import refuse_row
from shortvox.corpora.placing import place, refuse_manifest
from shortvox.corpora.threads import in_threads
from shortvox.corpora.utterance import Utterance
from shortvox.errors import AudioError, CorpusError
from shortvox.files import require_folder

IMPORTERS: dict[str, Reader] = {
    "voxceleb": voxceleb.read,
    "librispeech": librispeech.read,
    "kaldi": kaldi.read,
    "tree": tree.read,
}


@dataclass(frozen=True, slots=True)
class Imported:
    """The new corpus, what was passed over, under the reason why, and utterances that cannot be opened."""

    corpus: Corpus
    reasons: Mapping[str, tuple[str, ...]]
    unreadable: tuple[str, ...]

    @property
    def passed_over(self) -> tuple[str, ...]:
        return tuple(name for names in self.reasons.values() for name in names)


def import_corpus(layout: str, source: Path, out: Path) -> Imported:
    """Write `out/manifest.csv` for the recordings of `source`, laid out as one of IMPORTERS.

    Unreadable recordings keep their row, without a duration, so that `check` lists them with it. Raises
    CorpusError for an unknown layout, a folder without such recordings, repeated ids, or a manifest that is
    there already.
    """
    if layout not in IMPORTERS:
        raise CorpusError(f"{layout!r} is no known layout; choose one of {', '.join(IMPORTERS)}")
    source, out = Path(source), Path(out)
    require_folder(source, CorpusError, "a folder with recordings")
    refuse_manifest(out)  # before all recordings are opened
    found = IMPORTERS[layout](source.absolute())
    if not found.utterances:
        raise CorpusError(f"{source}: no recordings in the {layout} layout ({_EXPECTS[layout]})")
    for u in found.utterances:
        refuse_row(u, u.path.relative_to(found.root).as_posix())
    _refuse_repeated(source, found)
    paths = list(dict.fromkeys(u.path for u in found.utterances))
    probes = dict(zip(paths, in_threads(_probe, paths, "Measuring recordings"), strict=True))
    _refuse_channels(found, probes)
    measured = [_with_duration(u, probes[u.path]) for u in found.utterances]
    with ExitStack() as undo:
        corpus = place(out, found.root, sorted(measured, key=lambda u: u.id), undo)
        undo.pop_all()
    reasons = {why: tuple(names) for why, names in found.passed_over.items() if names}
    return Imported(corpus, reasons, tuple(u.id for u in measured if probes[u.path] is None))


_EXPECTS = {
    "voxceleb": "idXXXXX/video/file.wav",
    "librispeech": "speaker/chapter/speaker-chapter-number.flac",
    "kaldi": "a wav.scp and a utt2spk",
    "tree": "speaker/…/file",
}


def _probe(path: Path) -> AudioInfo | None:
    """None for a recording that cannot be opened."""
    try:
        return probe(path)
    except AudioError:
        return None


def _with_duration(u: Utterance, info: AudioInfo | None) -> Utterance:
    if u.duration is not None or info is None or info.seconds <= u.start:
        return u
    return replace(u, duration=round(info.seconds - u.start, 4))


def _refuse_channels(found: Layout, probes: Mapping[Path, AudioInfo | None]) -> None:
    """As Kaldi does: a piece of a recording with several channels must say which, for each may be another voice."""
    for u in found.utterances:
        info, listed = probes[u.path], found.pieces.get(u.id)
        if info is None or listed is None:
            continue
        if u.channel is None and info.channels > 1:
            raise CorpusError(
                f"{listed}: {u.path} has {info.channels} channels, and each may be another voice; "
                "add the channel as fifth field (0 is the first)"
            )
        if u.channel is not None and u.channel >= info.channels:
            raise CorpusError(
                f"{listed}: no channel {u.channel}: {u.path} has {info.channels}, and they count from 0; correct it"
            )


def _refuse_repeated(source: Path, found: Layout) -> None:
    first: dict[str, Path] = {}
    for u in found.utterances:
        if u.id in first:
            raise CorpusError(
                f"{source}: utterance {u.id} exists twice, as {first[u.id]} and {u.path}; "
                "remove one, or import the folders separately"
            )
        first[u.id] = u.path
