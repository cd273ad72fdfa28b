"""How light the base is: time to start, memory of one embedding, size on disk.

    python benchmarks/startup.py --base BASE --peer PEER --model GRAPH

BASE is the Python of an environment with nothing but the installed wheel, PEER that of one with SpeechBrain, GRAPH an
exported model's folder. Times are shares of `import speechbrain`, in seconds of processor, all run in turn; `embed` is
that of one recording of ten seconds, and its memory is counted without the graph's own bytes.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from spending import Spent, spent_by

from shortvox.environment import environment, in_words

ROUNDS = 5
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
    print(in_words(environment()), flush=True)
    shortvox = [str(asked.base), "-m", "shortvox"]
    with tempfile.TemporaryDirectory() as folder:
        recording, out = Path(folder, "speech.wav"), Path(folder, "embedding.npz")
        soundfile.write(recording, np.random.default_rng(0).uniform(-0.1, 0.1, 160_000), 16000)
        commands = {
            "import speechbrain": [str(asked.peer), "-c", "import speechbrain"],
            "shortvox --help": [*shortvox, "--help"],
            "shortvox embed": [*shortvox, "embed", "--model", str(asked.model), "--out", str(out), str(recording)],
        }
        spent: dict[str, list[Spent]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                spent[name].append(spent_by(command))
    seconds = {name: statistics.median(one.seconds for one in found) for name, found in spent.items()}
    for name, own in seconds.items():
        print(f"{name}: {own:.2f} s of processor, {own / seconds['import speechbrain']:.2f} of the peer's")
    memory, graph = max(one.memory for one in spent["shortvox embed"]), (asked.model / "model.onnx").stat().st_size
    print(f"shortvox embed: {(memory - graph) / 1e6:.0f} MB above the graph of {graph / 1e6:.0f} MB")
    size = int(subprocess.run([asked.base, "-c", _SIZE], check=True, capture_output=True, text=True).stdout)
    print(f"the base installed, without Python: {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
