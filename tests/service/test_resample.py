"""What the page makes of a microphone's samples, in node, against soxr."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soxr

from shortvox.service import pages

NODE = shutil.which("node")
PROGRAM = """
import { Resampler } from "./resample.mjs";
import { readFileSync, writeFileSync } from "node:fs";
const [rate, block, input, output] = process.argv.slice(2);
const bytes = readFileSync(input);
const samples = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
const resampler = new Resampler(Number(rate));
const found = [];
for (let at = 0; at < samples.length; at += Number(block)) {
  found.push(...resampler.push(samples.slice(at, at + Number(block))));
}
found.push(...resampler.finish());
writeFileSync(output, Buffer.from(Float32Array.from(found).buffer));
"""


@pytest.mark.skipif(not NODE, reason="no node here")
@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000, 96_000])
def test_any_rate_becomes_16_khz_as_soxr_makes_it(tmp_path: Path, rate: int) -> None:
    shutil.copy(pages.HERE / "resample.js", tmp_path / "resample.mjs")
    (tmp_path / "run.mjs").write_text(PROGRAM)
    time = np.arange(rate) / rate
    sound = 0.3 * np.sin(2 * np.pi * 440 * time) + 0.2 * np.sin(2 * np.pi * min(6500, 0.4 * rate) * time)
    if rate > 40_000:
        sound += 0.3 * np.sin(2 * np.pi * 9500 * time)  # what would be heard at 6.5 kHz
    sound.astype(np.float32).tofile(tmp_path / "in")
    found = []
    for block in ("333", "4800"):
        subprocess.run([str(NODE), "run.mjs", str(rate), block, "in", "out"], cwd=tmp_path, check=True)
        found.append(np.fromfile(tmp_path / "out", np.float32))
    assert (found[0] == found[1]).all() and abs(len(found[0]) - 16_000) <= 2
    expected = soxr.resample(sound, rate, 16_000, quality="VHQ")
    off = found[0][500:15_500] - expected[500:15_500]
    assert np.square(off).mean() < 1e-6 * np.square(expected).mean()
