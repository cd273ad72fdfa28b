"""The folder that a training fills: one training at a time, and no other's work overwritten or mixed in."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shortvox.config import read_yaml, write_yaml
from shortvox.corpora.corpus import Corpus
from shortvox.errors import ModelError
from shortvox.files import ensure_writable, remove_leftovers, write_text
from shortvox.locks import one_writer
from shortvox.models.folder import FILES
from shortvox.models.sidefiles import read_history
from shortvox.models.speaker_model import SpeakerModel
from shortvox.training.checkpoint import checkpoint_files
from shortvox.training.domains import domains_of
from shortvox.training.settings import TrainSettings

DESCRIBED = "training.yaml"


@contextmanager
def training_folder(out: Path, *, resume: bool, leads: bool = True, patience: float = 0.0) -> Iterator[None]:
    """Keep other runs out of `out` while entered; of several ranks, the one that `leads` does.

    May be entered again within. Raises ModelError for a folder that holds a training or a model already, unless it is
    one to `resume`, and ShortvoxError where another run works in it for more than `patience` seconds.
    """
    if not leads:
        yield
        return
    ensure_writable(out)
    with one_writer(out, patience=patience):
        remove_leftovers(out / "checkpoints")
        _refuse_content(out, resume=resume)
        yield


def _refuse_content(out: Path, *, resume: bool) -> None:
    if not (found := _content(out)):
        return
    if not (out / DESCRIBED).exists():
        raise ModelError(
            f"{out}: holds {found[0]} of an unknown training (there is no {DESCRIBED}), which can neither be continued "
            "nor be replaced; choose another --out (--init starts from a model)"
        )
    if not resume:
        raise ModelError(f"{out}: already holds a training; add --resume to continue it or choose another --out")
    read_history(out)  # a damaged one is told now, not after the work


def _content(out: Path) -> list[str]:
    """What would be lost; training.yaml alone is left by a mistake in the settings, say, and is not worth anything."""
    written = (*FILES, "card.md", "calibration.json", "training.json")
    found = [name for name in written if os.path.lexists(out / name)]
    return found + [f"checkpoints/{path.name}" for path in checkpoint_files(out / "checkpoints")]


def identity(
    settings: TrainSettings, corpus: Corpus, init: SpeakerModel | None, teachers: Mapping[str, SpeakerModel]
) -> dict[str, Any]:
    """All that decides the weights that a training ends with, JSON-safe.

    Raises ConfigError where the corpus lacks the domains that are asked for.
    """
    known = {
        "essential": settings.essential(),
        "init": init.fingerprint(with_head=True) if init else None,
        "teachers": {name: teacher.fingerprint(with_head=True) for name, teacher in teachers.items()},
        "corpus": corpus.fingerprint(),
    }
    if settings.asks_for_domains:  # a column of the manifest, which the corpus' fingerprint leaves out
        known["domains"] = hashlib.sha256(json.dumps(domains_of(corpus, settings)).encode()).hexdigest()[:24]
    return known


def describe(out: Path, settings: TrainSettings, run: dict[str, Any]) -> str:
    """Write down which training fills `out`; returns a hash of that, for its checkpoints.

    Raises ModelError when another has begun there.
    """
    described = out / DESCRIBED
    if _content(out) and read_yaml(described).get("identity") != run:
        raise ModelError(
            f"{described}: the training in this folder has other settings, another --init, other teachers "
            "or another corpus; resume with the same ones or choose another --out"
        )
    write_text(described, write_yaml({"settings": settings.model_dump(mode="json"), "identity": run}))
    return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:32]
