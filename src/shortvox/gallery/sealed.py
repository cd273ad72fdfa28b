"""Recordings kept for the day when another model hears them: 16 kHz, 16-bit FLAC, encrypted.

AES-256-GCM (NIST SP 800-38D) from `cryptography` (extra `[seal]`), a random nonce each time, bound to the name that it
is kept for. The key is never in the gallery: 32 bytes in base64, in $SHORTVOX_GALLERY_KEY or in the file that
$SHORTVOX_GALLERY_KEY_FILE names.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.errors import GalleryError
from shortvox.gallery.engine import MOST_AUDIO, MOST_RECORDINGS
from shortvox.textfiles import read_text

KEY, KEY_FILE = "SHORTVOX_GALLERY_KEY", "SHORTVOX_GALLERY_KEY_FILE"
_MAGIC = b"svx1"
_NONCE = 12
_MAKE = "`openssl rand -base64 32` makes one"


def find_key() -> bytes | None:
    """The key (32 bytes) that the environment gives; None where it gives none. Raises GalleryError for what is none."""
    if text := os.environ.get(KEY):
        return _decoded(text, f"${KEY}")
    if path := os.environ.get(KEY_FILE):
        return _decoded(read_text(Path(path), GalleryError, f"a key, 32 bytes in base64; {_MAKE}", most=1000), path)
    return None


def seal(recordings: Sequence[np.ndarray], name: str, key: bytes | None) -> bytes:
    """Recordings (samples,) float32 at 16 kHz, encrypted for the voice `name`. Raises GalleryError without a key."""
    pieces = [struct.pack("<I", len(recordings))]
    for samples in recordings:
        packed = io.BytesIO()
        scaled = np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)
        soundfile.write(packed, scaled, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        pieces += [struct.pack("<I", len(packed.getvalue())), packed.getvalue()]
    content = b"".join(pieces)
    if len(content) > MOST_AUDIO:
        raise GalleryError(f"audio of '{name}': more than {MOST_AUDIO:,} bytes; keep fewer or shorter recordings")
    nonce = os.urandom(_NONCE)
    return _MAGIC + nonce + _cipher(key).encrypt(nonce, content, name.encode())


def unseal(sealed: bytes, name: str, key: bytes | None) -> list[np.ndarray]:
    """What `seal` was given, in 16 bits. Raises GalleryError where the key is another, or the content was changed."""
    from cryptography.exceptions import InvalidTag

    nonce, rest = sealed[len(_MAGIC) : len(_MAGIC) + _NONCE], sealed[len(_MAGIC) + _NONCE :]
    if not sealed.startswith(_MAGIC) or len(rest) < 16:
        raise GalleryError(f"audio of '{name}': not what this version keeps; update shortvox, or enrol the voice again")
    try:
        content = _cipher(key).decrypt(nonce, rest, name.encode())
    except InvalidTag:
        raise GalleryError(
            f"audio of '{name}': sealed with another key, or changed since; give the key that it was kept with"
        ) from None
    (count,) = struct.unpack_from("<I", content)
    at, found = 4, []
    for _ in range(min(count, MOST_RECORDINGS)):
        (size,) = struct.unpack_from("<I", content, at)
        samples, _ = soundfile.read(io.BytesIO(content[at + 4 : at + 4 + size]), dtype="float32")
        found.append(samples)
        at += 4 + size
    return found


def _cipher(key: bytes | None):  # type: ignore[no-untyped-def]
    if key is None:
        raise GalleryError(f"audio is kept encrypted, and there is no key; put one into ${KEY} ({_MAKE})")
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise GalleryError("kept audio needs the package cryptography; pip install 'shortvox[seal]'") from None
    return AESGCM(key)


def _decoded(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.strip().translate(str.maketrans("-_", "+/")), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != 32:
        raise GalleryError(f"{where}: expected a key, 32 bytes in base64; {_MAKE}")
    return key
