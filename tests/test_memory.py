"""What was freed goes back to the kernel when asked."""

from __future__ import annotations

import subprocess
import sys

HOLES = """
import ctypes, sys
from shortvox.memory import release_memory, tune_memory
tune_memory()
libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
def megabytes():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
blocks = []
for _ in range(20):
    blocks.append(libc.malloc(10 * 2**20)); libc.memset(blocks[-1], 1, 10 * 2**20)
    libc.malloc(64)  # stays, between two blocks
for block in blocks:
    libc.free(block)
before = megabytes()
release_memory()
print(before - megabytes())
"""


def test_freed_memory_goes_back_to_the_kernel() -> None:
    released = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True, timeout=60)
    assert float(released.stdout) > 150
