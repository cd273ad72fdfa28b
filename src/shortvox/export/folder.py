"""`export`: a model folder to a folder of graphs, written whole or not at all."""

from __future__ import annotations

import math
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from shortvox import __version__
from shortvox.box import GRAPH
from shortvox.encoders.graph import open_graph
from shortvox.environment import environment, in_words
from shortvox.errors import ShortvoxError
from shortvox.export.cost import PROTOCOL, Speech, error_rates
from shortvox.export.graph import IR_VERSION, OPSET, SHORTEST, make_graph, metadata
from shortvox.export.parity import parity
from shortvox.export.quantise import quantised
from shortvox.export.storage import half_stored, int8_stored
from shortvox.files import ensure_writable, sync_folder, write_bytes, write_json, write_text
from shortvox.locks import locked
from shortvox.models import parameter_count
from shortvox.models.folder import load_model
from shortvox.models.speaker_model import SpeakerModel
from shortvox.textfiles import shown

REPORT = "export.json"
INT8, HALF, INT8_STORAGE = "model.int8.onnx", "model.fp16.onnx", "model.int8-storage.onnx"
CALIBRATIONS = "calibration*.json"
OURS = (GRAPH, INT8, HALF, INT8_STORAGE, REPORT, "card.md")
Storage = Literal["fp32", "fp16-storage", "int8-storage"]
_STORED: dict[Storage, Callable[[Any], Any]] = {
    "fp32": lambda graph: graph,
    "fp16-storage": half_stored,
    "int8-storage": int8_stored,
}
LEAST_COSINE = {"fp32": 0.99999, "fp16-storage": 0.999, "int8-storage": 0.9, "int8": 0.5}  # int8: see its error rates
ROUNDED = 0.1  # seconds: from here up rounded weights are compared; of a single frame, which says nothing, they decide


@dataclass(frozen=True)
class _Graphs:
    """Where the graphs of one model are written, and what is said of each."""

    model: SpeakerModel
    name: str
    folder: Path

    def write(self, file: str, graph: Any, precision: str) -> dict[str, Any]:
        """Facts of a graph that has been written and compared with torch; raises ModelError where it differs."""
        import onnx

        onnx.helper.set_model_props(graph, metadata(self.model, name=self.name, precision=precision))
        path = self.folder / file
        write_bytes(path, graph.SerializeToString())
        compared = parity(self.model, path) if precision == "fp32" else parity(self.model, path, shortest=ROUNDED)
        compared.require(LEAST_COSINE[precision], f"{self.model.folder}: {precision}")
        return {
            "precision": precision,
            "bytes": path.stat().st_size,
            "least_cosine": compared.least,
            "limit": LEAST_COSINE[precision],
            "cosines": compared.cosines,
        }


def export_model(
    folder: Path,
    out: Path,
    *,
    name: str | None = None,
    storage: Storage = "fp32",
    half: bool = False,
    int8_storage: bool = False,
    int8: Speech | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> dict[str, Any]:
    """Write `out` with `model.onnx`, its weights kept as `storage` says, and where asked with others beside it.

    With `half` also `model.fp16.onnx`, with `int8_storage` `model.int8-storage.onnx`, and with speech for `int8`
    `model.int8.onnx`. Beside them `export.json`, whose content is returned, `card.md`, and the model's calibrations.
    The model's `name` is that of its folder. Every graph has been compared with torch. Raises ModelError for a faulty
    model, and for one whose graph differs; then nothing is written. An export that is there is replaced, anything else
    is not. `on_step` hears what begins.
    """
    model = load_model(folder)
    name = name or folder.resolve().name
    with _replacing(out) as made:
        graphs = _Graphs(model, name, made)
        on_step("tracing")
        graph = make_graph(model, name=name)
        facts = {}
        asked: dict[str, Storage] = {GRAPH: storage} | ({HALF: "fp16-storage"} if half else {})
        asked |= {INT8_STORAGE: "int8-storage"} if int8_storage else {}
        for file, precision in asked.items():
            on_step(f"comparing {precision} with torch")
            facts[file] = graphs.write(file, _STORED[precision](graph), precision)
        if int8 is not None:
            on_step("quantising")
            facts[INT8] = graphs.write(INT8, quantised(graph, int8.heard()), "int8")
            on_step("measuring error rates")
            facts[INT8] |= {"error_rates": _cost(made, int8)}
        report = {
            "name": name,
            "fingerprint": model.fingerprint(),
            "backbone": model.settings.backbone,
            "parameters": parameter_count(model.backbone),
            "dim": model.backbone.dim,
            "shortest_samples": SHORTEST,
            "frontend": model.settings.frontend.model_dump(mode="json"),
            "graphs": facts,
            "opset": OPSET,
            "ir_version": IR_VERSION,
            "version": __version__,
            "environment": environment() | {name: version(name) for name in ("onnx", "onnxscript", "onnxruntime")},
        }
        for kept in sorted(folder.glob(CALIBRATIONS)):
            write_bytes(made / kept.name, kept.read_bytes())
        write_text(made / "card.md", _card(folder, report))
        write_json(made / REPORT, report)
    return report


def _cost(made: Path, speech: Speech) -> dict[str, Any]:
    single, small = (error_rates(open_graph(str(made / file)), speech) for file in (GRAPH, INT8))
    return {
        "protocol": PROTOCOL,
        "test": speech.test.corpus.name,
        "speakers": len(speech.test.corpus.speakers),
        "targets": speech.trials.n_target,
        "nontargets": speech.trials.n_nontarget,
        "calibrated_on": speech.calibration.corpus.name,
        "calibration_utterances": speech.heard_count,
        "eer": {length: {"fp32": single[length], "int8": small[length]} for length in single},
    }


def _card(folder: Path, report: dict[str, Any]) -> str:
    """The model's own card, and what became of it."""
    own = folder / "card.md"
    text = own.read_text(encoding="utf-8", errors="replace").rstrip() if own.is_file() else f"# {report['name']}"
    lines = [
        "",
        "",
        "## Exported",
        "",
        f"- inputs: `waveforms` (batch, samples) float32 in [-1, 1] at 16 kHz, `lengths` (batch,) int64 in samples, at "
        f"least {report['shortest_samples']}; output: `embeddings` (batch, {report['dim']}) float32 of unit length",
        f"- ONNX opset {report['opset']}; fingerprint of the model: {report['fingerprint']}",
    ]
    for file, facts in report["graphs"].items():
        line = f"- `{file}`: {facts['precision']}, {facts['bytes'] / 1e6:.1f} MB, cosine to torch at least "
        line += f"{math.floor(1e6 * facts['least_cosine']) / 1e6:.6f} from {next(iter(facts['cosines']))} to 60 s"
        if "error_rates" in facts:
            cost = facts["error_rates"]
            told = ", ".join(
                f"{100 * one['int8']:.2f} % at {length} against {100 * one['fp32']:.2f} % in fp32"
                for length, one in cost["eer"].items()
            )
            line += f"; EER on {cost['speakers']} speakers of {cost['test']}: {told.replace('at 1 ', 'at 1 s ')}"
        lines.append(line)
    lines.append(f"- compared on: {in_words(report['environment'])}")
    return text + "\n".join(lines) + "\n"


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """A new folder beside `out` to fill, which takes its place at the end; nothing is left of it when that fails.

    Raises ShortvoxError for an `out` that holds something else than an export, or cannot be written.
    """
    out = out.absolute()
    parent = ensure_writable(out.parent)
    refusal = f"{out}: another run is writing this folder; wait for it, or choose another"
    with locked(parent / f".{out.name}.lock", patience=0.0, refusal=refusal):
        _refuse_other(out)
        for left in parent.glob(f".{out.name}.*.export"):  # of a run that was killed
            shutil.rmtree(left, ignore_errors=True)
        made, old = (parent / f".{out.name}.{secrets.token_hex(8)}.export" for _ in range(2))
        try:
            made.mkdir()
            yield made
            _swap(made, out, old)
            sync_folder(parent)
        except OSError as error:
            raise ShortvoxError(
                f"{shown(out)}: cannot be written ({error.strerror or error}); choose another output folder or free "
                "some space"
            ) from error
        finally:
            shutil.rmtree(made, ignore_errors=True)
            if out.is_dir():
                shutil.rmtree(old, ignore_errors=True)


def _swap(made: Path, out: Path, old: Path) -> None:
    """Put `made` where `out` is, which becomes `old`; where that fails, `out` is what it was."""
    there = out.is_dir()
    if there:
        out.rename(old)
    try:
        made.rename(out)
    except OSError:
        if there:
            old.rename(out)
        raise


def _refuse_other(out: Path) -> None:
    """Raises ShortvoxError for what is there and is no export."""
    if not os.path.lexists(out):
        return
    if not out.is_dir() or out.is_symlink():
        raise ShortvoxError(f"{out}: is no folder; choose another output folder")
    others = sorted(path.name for path in out.iterdir() if path.name not in OURS and not path.match(CALIBRATIONS))
    if others:
        raise ShortvoxError(f"{out}: holds '{others[0]}', which no export wrote; choose another output folder")
