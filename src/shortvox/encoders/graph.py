"""Kind of encoder: an ONNX graph, run by onnxruntime alone; ours or anybody's, waveforms or features in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shortvox.box import GRAPH, in_the_box, is_export
from shortvox.corpora.audio import SAMPLE_RATE
from shortvox.corpora.crop import of_similar_length
from shortvox.encoders.batches import embedded, of_equal_length, one_by_one
from shortvox.encoders.encoder import Encoder, Run, check_itself, probe, seconds
from shortvox.encoders.features import HOP
from shortvox.encoders.front import Front, make_front
from shortvox.encoders.kind import Kind, kind
from shortvox.encoders.onnxfile import read_onnx_file
from shortvox.encoders.session import load_session, run_session
from shortvox.encoders.sidecar import PAGE, GraphSettings, graph_settings
from shortvox.encoders.slots import Slots, find_slots
from shortvox.errors import EncoderError
from shortvox.files import is_folder
from shortvox.scoring.calibrationfile import CALIBRATION, read_calibration

TRIED = tuple(HOP * frames for frames in (1, 2, 3, 5, 10, 20, 50, 100))  # samples, for the shortest that is taken


def open_graph(spec: str) -> Encoder:
    """The graph in a file, or in a folder that `export` made.

    Raises EncoderError for a faulty graph, ConfigError for a faulty YAML file beside it, and ModelError for a faulty
    calibration that `export` left there.
    """
    given = Path(spec)
    path = given / GRAPH if is_folder(given) else given
    beside = path.with_suffix(".yaml")
    file = read_onnx_file(path)
    session = load_session(path)
    said = dict(session.get_modelmeta().custom_metadata_map)
    settings = graph_settings(path, said)
    slots, front = find_slots(session, settings, path), make_front(settings)
    grouped = one_by_one if slots.batch == 1 else of_similar_length if slots.lengths else of_equal_length

    def feed(waveforms: list[np.ndarray]) -> np.ndarray:
        taken, steps = front.batch(waveforms)
        lengths = {} if slots.lengths is None else {slots.lengths: steps.astype(slots.lengths_type)}
        return run_session(session, path, slots.output, {slots.input: taken, **lengths})

    def run(waveforms: Sequence[np.ndarray]) -> np.ndarray:
        heard = [_middle(one, slots, front) for one in waveforms]
        return embedded(heard, grouped([len(one) for one in heard]), feed)

    shortest = _shortest(settings, slots, front, run, path)
    (first,) = run([probe(max(shortest, SAMPLE_RATE))])
    if settings.dim is not None and len(first) != settings.dim:
        raise EncoderError(
            f"{path}: gives embeddings of {len(first)} dimensions, and {settings.dim} are said of it; export it again, "
            f"or name another output in {beside.name}"
        )
    ours = said.get("framework") == "shortvox"
    encoder = Encoder(
        name=settings.name or (given.resolve().name if given.is_dir() else path.stem),
        kind="exported model" if ours else "ONNX graph",
        source=spec,
        dim=len(first),
        fingerprint=file.fingerprint(settings.model_dump_json(exclude={"name"}, exclude_defaults=True)),
        shortest=shortest,
        run=run,
        home=path.parent if ours else None,
        calibration=read_calibration(path.parent / CALIBRATION) if ours else None,
        remedy=f"export it again, or correct {beside.name} ({PAGE})",
    )
    return check_itself(encoder, scale_invariant=settings.scale_invariant)


def _takes(spec: str) -> bool:
    if in_the_box(spec):
        return False
    if is_folder(Path(spec)):
        return is_export(Path(spec))
    return not spec.startswith("python:") and spec.endswith(".onnx")


kind("graph")(Kind(_takes, open_graph, "a folder that export made, an .onnx file"))


def _middle(waveform: np.ndarray, slots: Slots, front: Front) -> np.ndarray:
    """The waveform, or the middle of it, as long as the one length that the graph takes."""
    if slots.steps is None:
        return waveform
    samples = front.samples(slots.steps)
    start = (len(waveform) - samples) // 2
    return waveform[start : start + samples]


def _shortest(settings: GraphSettings, slots: Slots, front: Front, run: Run, path: Path) -> int:
    """The fewest samples that the graph takes: its one length, what is said of it, or the first tried that goes well.

    Raises EncoderError for a graph of one length, unless the middle of longer speech is to be heard.
    """
    beside = path.with_suffix(".yaml").name
    if slots.steps is not None:
        samples = front.samples(slots.steps)
        if settings.longer == "refuse":
            steps = "samples" if settings.features == "waveform" else "frames"
            raise EncoderError(
                f"{path}: takes exactly {slots.steps} {steps} ({seconds(samples)}) and no other length; export it with "
                f"a dynamic time axis, or set longer: centre in {beside} to have the middle of longer speech heard and "
                "shorter speech refused"
            )
        return samples
    if settings.shortest is not None:
        return max(1, round(settings.shortest * SAMPLE_RATE))
    problem = EncoderError(
        f"{path}: no made sound of up to {seconds(TRIED[-1])} gives a finite embedding; export it again, or say in "
        f"{beside} how it hears ({PAGE})"
    )
    for samples in TRIED:
        if front.steps(samples) > 0:
            try:
                found = run([probe(samples)])
            except EncoderError as error:
                problem = error
            else:
                if np.isfinite(found).all() and found.any():
                    return samples
    raise problem
