"""The same calls against every engine give the same answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gallery.fakes import ROOM, FakeVerifier, person, unit, voice_of
from shortvox.errors import GalleryError
from shortvox.gallery import milvus
from shortvox.gallery.engine import checked
from shortvox.gallery.gallery import Gallery

NAMES = ("alice", "Älice", "bob", "Боб", "鲍勃", "a'b\"c", "x; DROP TABLE voices", "%", "_", "{n}", "🎤", "n" * 200)
CALLS = ("add", "add", "add", "replace", "remove", "identify", "identify", "verify", "profile", "profiles", "reopen")


class Pair:
    """Two galleries that are told the same."""

    def __init__(self, addresses: tuple[str, str]) -> None:
        self.addresses = addresses
        self.galleries: list[Gallery] = []
        self.open()

    def open(self) -> None:
        self.galleries = [Gallery.open(address, FakeVerifier()) for address in self.addresses]  # type: ignore[arg-type]

    def close(self) -> None:
        for each in self.galleries:
            each.close()

    def both(self, method: str, *arguments: Any, **options: Any) -> Any:
        """What both return or refuse; a test fails where they differ."""
        one, other = (self._told(each, method, *arguments, **options) for each in self.galleries)
        assert one == other
        return one

    @staticmethod
    def _told(gallery: Gallery, method: str, *arguments: Any, **options: Any) -> Any:
        try:
            found = getattr(gallery, method)(*arguments, **options)
        except GalleryError as error:
            return str(error).replace(gallery.address, "HERE")
        found = list(found) if isinstance(found, Iterator) else found
        return [_plain(each) for each in found] if isinstance(found, list) else _plain(found)


def _plain(value: Any) -> Any:
    """Without the second at which somebody was enrolled."""
    return replace(value, enrolled_at=None) if hasattr(value, "enrolled_at") else value


@pytest.fixture
def pair(tmp_path: Path, lite: Callable[[str], str]) -> Iterator[Pair]:
    found = Pair((str(tmp_path / "one.db"), lite("other")))
    yield found
    found.close()


@pytest.mark.parametrize("seed", range(3))
def test_engines_agree(pair: Pair, seed: int) -> None:
    rng = np.random.default_rng(seed)
    seen: set[str] = set()
    for _ in range(45):
        call, name = rng.choice(CALLS), str(rng.choice(NAMES))
        someone = unit(person(int(rng.integers(20))) + 0.05 * rng.standard_normal(16))
        voice = voice_of(int(rng.integers(20)), rng.uniform(0.5, 40, size=rng.integers(1, 6)).tolist())
        match call:
            case "add" | "replace":
                told = pair.both("add", name, voice, consent=f"yes, {name}", replace=call == "replace")
            case "remove" | "profile":
                told = pair.both(call, name)
            case "identify":
                told = pair.both("identify", someone, max_fpr=0.05)
            case "verify":
                told = pair.both("verify", name, someone)
            case "profiles":
                told = pair.both("profiles")
            case _:
                pair.close()
                pair.open()
                continue
        seen.add(f"{call} {type(told).__name__}")
    assert {"add Profile", "add str", "remove NoneType", "identify Identification"} <= seen


def test_engines_agree_about_many_and_nobody(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus, "_MOST_ROWS", 3)
    assert pair.both("identify", person(0)).reason == "empty"
    for name in NAMES:
        pair.both("add", name, voice_of(1))
    assert [profile.name for profile in pair.both("profiles")] == sorted(map(checked, NAMES))
    assert pair.both("remove", "bobb") == "HERE: nobody is called 'bobb'; did you mean 'bob'?"
    tied = pair.both("identify", person(1))
    assert tied.candidates[0].name == min(map(checked, NAMES))


def test_voices_go_from_one_engine_to_the_other_and_back(pair: Pair, tmp_path: Path) -> None:
    one, other = pair.galleries
    for seed in range(7):
        one.add(f"p{seed}", voice_of(seed, (1.0,) * (seed + 1)), consent="yes")
    one.identify(person(2))
    before = list(one.profiles())
    assert one.migrate(pair.addresses[1]) == 7
    other = Gallery.open(pair.addresses[1])
    with Gallery.open(tmp_path / "third.db") as third, other:
        assert other.space == ROOM
        assert other.migrate(tmp_path / "fourth.db") == 7
        assert third.import_(_exported(other, tmp_path / "all.zip")) == 7
        with Gallery.open(tmp_path / "fourth.db") as fourth:
            for each in (other, third, fourth):
                assert [replace(profile, percent=None) for profile in before] == list(each.profiles())
                for name in ("p0", "p6"):
                    mine, theirs = one._engine.get(name), each._engine.get(name)
                    assert mine is not None and theirs is not None
                    assert np.array_equal(mine.embeddings, theirs.embeddings)
                    assert mine.seconds == theirs.seconds


def _exported(gallery: Gallery, path: Path) -> Path:
    gallery.export(path)
    return path
