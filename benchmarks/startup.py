"""How light the base is: time to start, memory of one embedding, size on disk.

    python benchmarks/startup.py --base BASE --peer PEER --model GRAPH

BASE is the Python of an environment with nothing but the installed wheel, PEER that of one with SpeechBrain, GRAPH an
exported model's folder. Times are shares of `import speechbrain`, all started in turn. Memory is that of `embed` on one
recording of ten seconds, without the graph's own bytes.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from spending import spent_by
from timing import ratio

# Of what a new environment holds before anything is installed.
_SIZE = """
import sysconfig
from pathlib import Path
there = Path(sysconfig.get_path("purelib")).iterdir()
ours = [path for path in there if not path.name.startswith(("pip", "setuptools", "pkg_resources", "_distutils_hack"))]
print(sum(file.stat().st_size for path in ours for file in [path, *path.rglob("*")] if file.is_file()))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("base", "peer", "model"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    asked = parser.parse_args()
    shortvox = [asked.base, "-m", "shortvox"]
    peer = started([asked.peer, "-c", "import speechbrain"])
    with tempfile.TemporaryDirectory() as folder:
        recording, out = Path(folder, "speech.wav"), Path(folder, "embedding.npz")
        soundfile.write(recording, np.random.default_rng(0).uniform(-0.1, 0.1, 160_000), 16000)
        embed = [*shortvox, "embed", "--model", asked.model, "--out", out, recording]
        for name, command in (("--help", [*shortvox, "--help"]), ("embed", embed)):
            share = 1 / ratio(started(command), peer)
            print(f"shortvox {name}: {share:.2f} of the time of `import speechbrain`")
        spent = spent_by([str(word) for word in embed])
    graph = (asked.model / "model.onnx").stat().st_size
    print(f"embed, one recording: {(spent.memory - graph) / 1e6:.0f} MB above the graph of {graph / 1e6:.0f} MB")
    size = int(subprocess.run([asked.base, "-c", _SIZE], check=True, capture_output=True, text=True).stdout)
    print(f"the base installed, without Python: {size / 1e6:.0f} MB")


def started(command: list[object]) -> partial[object]:
    return partial(subprocess.run, command, check=True, capture_output=True)


if __name__ == "__main__":
    main()
