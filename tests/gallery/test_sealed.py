"""Kept audio: what goes in comes out, only for who has the key, only under its name."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import numpy as np
import pytest

from shortvox.errors import GalleryError
from shortvox.gallery.sealed import KEY, KEY_FILE, find_key, seal, unseal

ONE, OTHER = bytes(range(32)), bytes(range(1, 33))


def sounds() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(0.1 * rng.standard_normal(samples)).astype(np.float32) for samples in (100, 160, 16_000)]


def test_what_goes_in_comes_out_in_16_bits() -> None:
    found = unseal(seal(sounds(), "alice", ONE), "alice", ONE)
    assert [len(each) for each in found] == [100, 160, 16_000]
    for before, after in zip(sounds(), found, strict=True):
        assert after.dtype == np.float32
        assert np.abs(before - after).max() <= 0.5 / 32768 + 1e-7


def test_louder_than_full_scale_is_clipped_and_not_wrapped() -> None:
    (found,) = unseal(seal([np.tile(np.float32([2.0, -2.0]), 80)], "alice", ONE), "alice", ONE)
    assert found[:2].tolist() == [32767 / 32768, -1.0]


def test_nothing_is_readable_and_nothing_twice_the_same() -> None:
    one, other = (seal([np.zeros(16_000, np.float32)], "alice", ONE) for _ in range(2))
    assert one != other
    assert b"fLaC" not in one
    assert b"alice" not in one


@pytest.mark.parametrize(("name", "key"), [("bob", ONE), ("alice", OTHER)])
def test_another_name_or_key_opens_nothing(name: str, key: bytes) -> None:
    with pytest.raises(GalleryError, match=f"audio of '{name}': sealed with another key, or changed since"):
        unseal(seal(sounds(), "alice", ONE), name, key)


def test_whatever_is_changed_is_noticed() -> None:
    sealed = seal(sounds()[:2], "alice", ONE)
    for at in range(0, len(sealed), 7):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(GalleryError, match="audio of 'alice'"):
            unseal(bytes(changed), "alice", ONE)
    for end in (0, 3, 15, 31, len(sealed) - 1):
        with pytest.raises(GalleryError, match="audio of 'alice'"):
            unseal(sealed[:end], "alice", ONE)


def test_without_a_key_nothing_is_kept() -> None:
    with pytest.raises(GalleryError, match=r"there is no key; put one into \$SHORTVOX_GALLERY_KEY"):
        seal(sounds(), "alice", None)


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_key_comes_from_the_environment_or_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encode) -> None:  # type: ignore[no-untyped-def]
    key = os.urandom(31) + b"\xff"
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.delenv(KEY_FILE, raising=False)
    assert find_key() is None
    (tmp_path / "key").write_text(encode(key).decode() + "\n")
    monkeypatch.setenv(KEY_FILE, str(tmp_path / "key"))
    assert find_key() == key
    monkeypatch.setenv(KEY, encode(ONE).decode())
    assert find_key() == ONE


@pytest.mark.parametrize("text", ["secret", "AAAA", "ÄÄÄÄ", base64.b64encode(bytes(33)).decode()])
def test_what_is_no_key_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(KEY, text)
    with pytest.raises(GalleryError, match=r"\$SHORTVOX_GALLERY_KEY: expected a key, 32 bytes in base64") as told:
        find_key()
    assert text not in str(told.value)
