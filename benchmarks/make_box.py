"""Put a model into the box: export it, calibrate it at every length, check its size, and place its folder.

    python benchmarks/make_box.py MODEL_FOLDER default --corpus corpora/librispeech_test --cache audio
    python benchmarks/make_box.py MODEL_FOLDER tiny --corpus corpora/librispeech_test --cache audio

The speakers of --corpus must be in no training of the model. Everything is made beside its place first: a model that is
there is replaced when the new one is whole. `--into DIR` makes the folder elsewhere.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from shortvox.box import GRAPH, HERE, NAMES
from shortvox.corpora.corpus import load_corpora
from shortvox.corpora.speech import SpeechData
from shortvox.encoders.opening import open_encoder
from shortvox.errors import ShortvoxError
from shortvox.evaluation.amounts import calibrate_amounts
from shortvox.evaluation.calibrate import calibrate
from shortvox.evaluation.protocols import parse_lengths
from shortvox.evaluation.settings import TestSettings
from shortvox.export.folder import export_model
from shortvox.files import write_json, write_text
from shortvox.progress import note
from shortvox.scoring.calibrationfile import CALIBRATION

LENGTHS = "full,5,3,2,1.5,1,0.5,0.3"
MOST_BYTES = {"default": 15_000_000, "tiny": 2_000_000}
STORAGE = {"default": "fp16-storage", "tiny": "int8-storage"}


def make(model: Path, name: str, corpora: list[Path], cache: Path | None, into: Path, storage: str, card: str) -> None:
    """Raises ShortvoxError where the graph is too large, or a part of the work refuses."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / name
        report = export_model(model, made, name=name, storage=storage, on_step=note)
        size = report["graphs"][GRAPH]["bytes"]
        if size > MOST_BYTES[name]:
            raise ShortvoxError(
                f"{name}: the graph has {size / 1e6:.2f} MB and may have {MOST_BYTES[name] / 1e6:g}; try --storage "
                "int8-storage, or a smaller model"
            )
        note("calibrating")
        data = SpeechData.open(load_corpora(corpora), cache)
        settings = TestSettings(lengths=parse_lengths(LENGTHS))
        encoder = open_encoder(made)
        parts = [SpeechData.open(load_corpora([one]), cache) for one in corpora]
        write_json(made / CALIBRATION, {**calibrate(encoder, data, settings), **calibrate_amounts(encoder, parts)})
        own, _, exported = (made / "card.md").read_text(encoding="utf-8").partition("\n## Exported\n")
        exported += f"- calibrated on the {len(data.corpus.speakers)} speakers of {data.corpus.name}\n"
        write_text(made / "card.md", f"{(card or own).rstrip()}\n\n## Exported\n{exported}")
        shutil.rmtree(into / name, ignore_errors=True)
        shutil.copytree(made, into / name)
    parts = ", ".join(f"{path.name} {path.stat().st_size / 1e6:.3f} MB" for path in sorted((into / name).iterdir()))
    print(f"{into / name}: {parts}; cosine to torch at least {report['graphs'][GRAPH]['least_cosine']:.6f}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--corpus", type=Path, action="append", required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--card", type=Path, help="takes the place of the model's own card")
    parser.add_argument("--storage", choices=["fp32", *STORAGE.values()])
    parser.add_argument("--into", type=Path, default=HERE)
    given = parser.parse_args()
    try:
        card = given.card.read_text(encoding="utf-8") if given.card else ""
        storage = given.storage or STORAGE[given.name]
        make(given.model, given.name, given.corpus, given.cache, given.into, storage, card)
    except ShortvoxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
