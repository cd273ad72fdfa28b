"""Search in a gallery of 10^3 to 10^6 made voices of 192 dimensions, against a loop over the same rows in Python.

`python benchmarks/gallery_search.py [FOLDER]`: for each size, as TSV: seconds to fill the file (voices are committed
100 000 at a time), its size, seconds of the first search, which reads all centres, milliseconds of the next ones, and
how many times longer the loop takes. Both find the same voice. Then the peak memory of a process that opens the file
and searches. FOLDER is where the files are written, 2 GB for the largest.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from spending import spent_by
from timing import ratio

from shortvox.gallery.engine import Kept, Stored
from shortvox.gallery.sqlite import SqliteEngine
from shortvox.verification.space import Space

SIZES = (1_000, 10_000, 100_000, 1_000_000)
DIM = 192
NEAREST = 100
BATCH = 100_000
HERE = Space("made", "none", "none")
QUERIES = 20
SEARCH = """
import sys
import numpy as np
from shortvox.gallery.sqlite import SqliteEngine
engine = SqliteEngine(sys.argv[1], create=False)
query = np.ones(192, np.float32) / np.sqrt(np.float32(192))
assert engine.nearest(engine.space(), query, 100).voices == int(sys.argv[2])
"""


def rows(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, dim) float32 of unit length."""
    found = rng.standard_normal((count, DIM), np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def voices(vectors: np.ndarray, start: int) -> Iterator[Kept]:
    now = datetime.now(UTC)
    for number, row in enumerate(vectors, start):
        yield Stored(f"voice {number}", HERE, row[None], (3.0,), now, ""), None


def loop(vectors: np.ndarray, query: np.ndarray) -> int:
    best, at = -2.0, 0
    for number, row in enumerate(vectors):
        score = float(np.dot(row, query))
        if score > best:
            best, at = score, number
    return at


def measure(path: Path, size: int) -> None:
    rng = np.random.default_rng(size)
    vectors, queries = rows(rng, size), rows(rng, QUERIES)
    engine = SqliteEngine(str(path))
    start = time.perf_counter()
    engine.use(HERE)
    for at in range(0, size, BATCH):
        engine.put(voices(vectors[at : at + BATCH], at))
    filled = time.perf_counter() - start
    engine.close()
    engine = SqliteEngine(str(path))
    start = time.perf_counter()
    engine.nearest(HERE, queries[0], NEAREST)
    first = time.perf_counter() - start
    spent = []
    for query in queries:
        start = time.perf_counter()
        near = engine.nearest(HERE, query, NEAREST)
        spent.append(time.perf_counter() - start)
        if size <= BATCH:  # beyond, the loop takes its time, and the timed query is checked alone
            assert near.names[0] == f"voice {loop(vectors, query)}"
    query = queries[0]
    assert engine.nearest(HERE, query, NEAREST).names[0] == f"voice {loop(vectors, query)}"
    times = ratio(lambda: engine.nearest(HERE, query, NEAREST), lambda: loop(vectors, query), rounds=5)
    engine.close()
    megabytes = path.stat().st_size / 1e6
    figures = (size, f"{filled:.2f}", f"{megabytes:.0f}", f"{first:.3f}", f"{1e3 * statistics.median(spent):.2f}")
    print(*figures, f"{times:.1f}", sep="\t", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        print("voices", "fill s", "file MB", "first s", "search ms", "loop/search", sep="\t")
        for size in SIZES:
            path = Path(folder) / f"{size}.db"
            measure(path, size)
            memory = spent_by([sys.executable, "-c", SEARCH, str(path), str(size)]).memory
            print(f"# {size} voices: {memory / 1e6:.0f} MB of memory at the peak", flush=True)
            path.unlink()


if __name__ == "__main__":
    main()
