"""Fetching Debian packages as an ordinary user: apt with private folders verifies, `dpkg-deb -x` unpacks.

apt's sources and keys are the machine's own; its state, lists, status and cache are a folder of ours, and its
sandbox user is empty, so nothing outside that folder is touched and no right is needed. A package is kept only when
its size and SHA-256 are those of the signed lists. What an interrupted
download left is handed to apt again, which continues it or starts it anew.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from shortvox.errors import ShortvoxError
from shortvox.files import write_text

# One line of `apt-get download --print-uris`: 'address' name size SHA256:digest
_URI = re.compile(r"^'[^']*' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<digest>[0-9a-f]{64})\s*$", re.MULTILINE)
_UPDATE_SECONDS = 600
_LOOK_SECONDS = 120


class AptError(ShortvoxError):
    """apt is missing, or did not deliver what its lists promise."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A package file as the signed lists describe it."""

    package: str
    version: str
    file: str
    size: int
    sha256: str


class Apt:
    """apt with private folders below `folder`; archives end up in `folder` itself.

    Raises AptError where `apt-get` or `dpkg-deb` is not installed, and ShortvoxError for a folder whose name could be
    read as configuration of apt, which can name programs to run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        if not str(self.folder).isprintable() or set(str(self.folder)) & set('"\\'):
            raise ShortvoxError(
                f"{self.folder}: apt's configuration cannot hold this name; take an --out and a working folder without "
                "quotes, backslashes and control characters, or --synthetic voices"
            )
        missing = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
        if missing:
            raise AptError(f"{' and '.join(missing)}: not found on this machine")
        self._partial = self.folder / "partial"
        private = self.folder / "apt"
        for part in ("state/lists/partial", "cache/archives/partial"):
            (private / part).mkdir(parents=True, exist_ok=True)
        self._partial.mkdir(exist_ok=True)
        status = private / "state/status"
        status.touch()
        self._settings = private / "apt.conf"
        # The hooks of the machine's own apt (desktop caches and the like) are not ours to run.
        write_text(
            self._settings,
            "".join(
                f"{line}\n"
                for line in (
                    "#clear APT::Update::Pre-Invoke;",
                    "#clear APT::Update::Post-Invoke;",
                    "#clear APT::Update::Post-Invoke-Success;",
                    "#clear DPkg::Post-Invoke;",
                    f'Dir::State "{private}/state/";',
                    f'Dir::State::status "{status}";',
                    f'Dir::State::lists "{private}/state/lists/";',
                    f'Dir::Cache "{private}/cache/";',
                    f'Dir::Log "{private}/";',
                    'APT::Sandbox::User "";',
                    'Acquire::Languages "none";',
                    'Acquire::Retries "2";',
                    'Acquire::http::Timeout "30";',
                    'Acquire::https::Timeout "30";',
                )
            ),
        )

    def _command(self, *words: str) -> list[str]:
        return ["apt-get", "-c", str(self._settings), "-q", *words]

    def _run(self, *words: str, seconds: float) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                self._command(*words),
                cwd=self._partial,
                env=_plain_environment(),
                text=True,
                errors="replace",
                capture_output=True,
                timeout=seconds,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise AptError(f"apt-get {words[0]}: no answer within {seconds:g} s") from None

    def update(self) -> str:
        """Fetch the package lists. Returns what apt complained of, '' if nothing: one broken source is no reason to
        give up, because the packages may be in another."""
        done = self._run("update", seconds=_UPDATE_SECONDS)
        return _complaint(done.stderr) if done.returncode or "Failed to fetch" in done.stderr else ""

    def find(self, packages: Iterable[str]) -> dict[str, Archive]:
        """What the lists offer, by package name; a package that this release lacks is left out."""
        wanted = tuple(packages)
        found = self._look_up(*wanted)
        if not found:  # apt names nothing when it lacks one
            for package in wanted:
                found |= self._look_up(package)
        return {package: found[package] for package in wanted if package in found}

    def _look_up(self, *packages: str) -> dict[str, Archive]:
        done = self._run("download", "--print-uris", *packages, seconds=_LOOK_SECONDS)
        archives: dict[str, Archive] = {}
        for match in _URI.finditer(done.stdout if done.returncode == 0 else ""):
            name, version, _ = (*unquote(match["file"]).split("_"), "", "")[:3]
            archives[name] = Archive(name, version, match["file"], int(match["size"]), match["digest"])
        return archives

    def held(self, archive: Archive) -> Path | None:
        """The archive's file if it is here already, whole and right."""
        path = self.folder / archive.file
        return path if _matches(path, archive) else None

    def download(self, archive: Archive, report: Callable[[int], None]) -> Path:
        """Fetch and verify one archive; `report` hears the bytes that are here so far.

        Raises AptError when apt fails, or when the file is not the one that the lists promise.
        """
        complaint = ""
        for _ in range(2):
            path, complaint = self._attempt(archive, report)
            if path is not None:
                return path
        raise AptError(f"{archive.package}: could not be downloaded ({complaint or 'wrong size or SHA-256'})")

    def _attempt(self, archive: Archive, report: Callable[[int], None]) -> tuple[Path | None, str]:
        partial = self._partial / archive.file
        log = self.folder / "apt" / "download.log"
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                self._command("download", archive.package),
                cwd=self._partial,
                env=_plain_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=output,
            )
            try:
                while process.poll() is None:
                    report(min(partial.stat().st_size, archive.size) if partial.exists() else 0)
                    time.sleep(0.2)
            finally:
                if process.poll() is None:  # Ctrl-C: what has arrived stays, and is continued next time
                    process.terminate()
                    process.wait()
        if _matches(partial, archive):
            report(archive.size)
            return partial.replace(self.folder / archive.file), ""
        if partial.exists() and partial.stat().st_size >= archive.size:
            partial.unlink()  # complete and wrong: nothing to continue
        return None, _complaint(log.read_text(encoding="utf-8", errors="replace"))

    def unpack(self, archive: Archive, target: Path) -> Path:
        """The archive's files below `target`, which exists only when it is whole.

        Raises AptError for an archive that dpkg-deb cannot read.
        """
        if target.is_dir():
            return target
        building = target.with_name(target.name + ".part")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        done = subprocess.run(
            ["dpkg-deb", "-x", str(self.folder / archive.file), str(building)],
            text=True,
            errors="replace",
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise AptError(f"{archive.file}: cannot be unpacked ({_complaint(done.stderr)})")
        return building.replace(target)


def _plain_environment() -> dict[str, str]:
    """The user's environment (proxies included), with messages in English and no questions."""
    return {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}


def _matches(path: Path, archive: Archive) -> bool:
    if not path.is_file() or path.stat().st_size != archive.size:
        return False
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest() == archive.sha256


def _complaint(text: str) -> str:
    """apt's first error line, without addresses."""
    lines = [line for line in text.splitlines() if line.startswith(("E:", "W:", "dpkg-deb:"))]
    line = next((line for line in lines if line.startswith("E:")), lines[0] if lines else "")
    plain = re.sub(r"\S+://\S+", "a source", line.partition(":")[2])
    return re.sub(r"resolving '[^']*'", "resolving its name", plain).strip()
