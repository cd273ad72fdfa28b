"""A model by torch, as exported in single precision, and in int8, on one CPU thread: `export.py MODEL EXPORTED`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch and onnxruntime read it

import torch
from timing import ratio

from shortvox.encoders.batches import padded
from shortvox.encoders.session import load_session
from shortvox.export.parity import made_speech
from shortvox.memory import tune_memory
from shortvox.models.folder import load_model


def main() -> None:
    tune_memory()
    torch.set_num_threads(1)
    folder, exported = map(Path, sys.argv[1:3])
    model = load_model(folder)
    single, *others = sorted(exported.glob("model*.onnx"), key=lambda path: len(path.name))
    sessions = {path.name: load_session(path) for path in (single, *others)}
    for seconds in (1, 5):
        waveforms, lengths = padded([made_speech(16_000 * seconds, 0)])
        feed = {"waveforms": waveforms, "lengths": lengths}
        sound = torch.from_numpy(waveforms)

        def by_torch(sound: torch.Tensor = sound) -> None:
            with torch.inference_mode():
                model.embed(sound)

        def by_graph(name: str, feed: dict = feed) -> None:
            sessions[name].run(None, feed)

        for name in sessions:
            to_torch = ratio(lambda name=name: by_graph(name), by_torch, rounds=31)
            to_single = ratio(lambda name=name: by_graph(name), lambda: by_graph(single.name), rounds=31)
            print(f"{seconds} s, {name}: {to_torch:.2f} x the speed of torch, {to_single:.2f} x that of {single.name}")


if __name__ == "__main__":
    main()
