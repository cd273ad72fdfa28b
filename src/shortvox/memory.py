"""Memory on a CPU: an allocator setting that makes training steps faster, and a cache that must not grow."""

from __future__ import annotations

import ctypes
import os
import sys

PRIMITIVES = "16"
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def tune_memory() -> None:
    """Let glibc keep large freed blocks, and oneDNN forget what it made for old shapes; before torch computes anything.

    Training allocates the same large tensors at each step; handing their pages back to the kernel and faulting them in
    again costs about a third of a CPU step. A no-op where the C library is not glibc.

    oneDNN keeps what it made for the last 1024 shapes, which adds up where each batch of utterances has another length:
    CAM++ embeds 768 utterances in 2.5 GB with the last 16, in 3.3 GB with all. A training step takes 3 to 8 % longer.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", PRIMITIVES)
    if (glibc := _glibc()) is not None:
        glibc.mallopt(_M_MMAP_THRESHOLD, 2**30)
        glibc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        glibc.mallopt(_M_TOP_PAD, 2**27)


def release_memory() -> None:
    """Give what was freed back to the kernel; batches of different lengths leave holes that nothing fits into.

    CAM++ embeds 1280 utterances in 3.1 GB, of which 0.5 GB are in use; it went on to 8 GB for 16 000.
    """
    if (glibc := _glibc()) is not None:
        glibc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return library if hasattr(library, "malloc_trim") else None
