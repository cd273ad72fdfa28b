"""The demo's packages on this machine: fetched, verified, unpacked, and sorted into clips of speakers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.progress import Progress, TaskID

from shortvox.demo.apt import Apt, AptError, Archive
from shortvox.demo.packages import PACKAGES, Package
from shortvox.errors import ShortvoxError
from shortvox.progress import progress_bar

_WORTH = 0.8  # a package with less than this share of the surveyed clips is another one than we know


class Unavailable(ShortvoxError):
    """Recorded voices cannot be had here; the reason."""


@dataclass(frozen=True)
class Recording:
    """One file of a package in which one person speaks."""

    path: Path
    package: Package
    gender: str


def fetch(store: Path, notes: list[str]) -> dict[str, Archive]:
    """Archives by package name, each verified and kept in `store`; what is skipped is told in `notes`.

    Raises Unavailable without apt, or when apt offers none of the packages.
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
        apt = Apt(store)
        with progress_bar() as bar:
            looking = bar.add_task("demo voices: package lists", total=2, note="apt-get update")
            complaint = apt.update()
            bar.update(looking, advance=1, note="looking up")
            archives = apt.find(package.name for package in PACKAGES)
            bar.update(looking, advance=1, note=f"{len(archives)} of {len(PACKAGES)} packages")
        notes += [
            f"{package.name}: skipped, this machine's apt sources do not have it."
            for package in PACKAGES
            if package.name not in archives
        ]
        if not archives:
            raise Unavailable(f"apt offers none of the packages ({complaint or 'no Debian source, or no network'})")
        _download(apt, archives, notes)
    except AptError as error:
        raise Unavailable(str(error)) from None
    return archives


def _download(apt: Apt, archives: dict[str, Archive], notes: list[str]) -> None:
    """Drops from `archives` what cannot be downloaded."""
    done = 0.0
    total = sum(archive.size for archive in archives.values()) / 1e6
    with progress_bar() as bar:
        task = bar.add_task("demo voices: download, MB", total=round(total), note="")
        for archive in list(archives.values()):
            bar.update(task, note=archive.package)
            if apt.held(archive) is None:
                try:
                    apt.download(archive, partial(_show, bar, task, done))
                except AptError as error:
                    notes.append(f"{archive.package}: skipped, {error}.")
                    del archives[archive.package]
            done += archive.size / 1e6
            _show(bar, task, done, 0)
        bar.update(task, note="verified")


def _show(bar: Progress, task: TaskID, before: float, arrived: int) -> None:
    bar.update(task, completed=round(before + arrived / 1e6))


def unpack(store: Path, unpacked: Path, archives: Mapping[str, Archive], notes: list[str]) -> dict[Package, Path]:
    """The folder of each package that can be read."""
    apt = Apt(store)
    roots: dict[Package, Path] = {}
    for package in PACKAGES:
        archive = archives.get(package.name)
        if archive is None:
            continue
        try:
            roots[package] = apt.unpack(archive, unpacked / f"{package.name}_{archive.sha256[:16]}")
        except AptError as error:
            notes.append(f"{package.name}: skipped, {error}.")
    return roots


def sort_files(roots: dict[Package, Path], notes: list[str]) -> dict[str, list[Recording]]:
    """Files of each speaker; drops from `roots` a package that is not what it was."""
    speakers: dict[str, list[Recording]] = {}
    for package, root in list(roots.items()):
        own: dict[str, list[Recording]] = {}
        for path in sorted(root.rglob("*")):
            whose = package.speaker_of("/" + path.relative_to(root).as_posix())
            if whose and path.is_file() and not path.is_symlink():
                own.setdefault(whose[0], []).append(Recording(path, package, whose[1]))
        count = sum(map(len, own.values()))
        if count < _WORTH * package.clips:
            notes.append(
                f"{package.name}: skipped, it holds {count} clips of speech where about {package.clips} were expected."
            )
            del roots[package]
            continue
        if not licence_of(package, root).is_file():
            notes.append(f"{package.name}: skipped, it came without its licence.")
            del roots[package]
            continue
        for speaker, files in own.items():
            speakers.setdefault(speaker, []).extend(files)
    return speakers


def licence_of(package: Package, root: Path) -> Path:
    return root / "usr/share/doc" / package.name / "copyright"
