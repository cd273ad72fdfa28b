"""`shortvox calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from shortvox.cli.options import AsJson, Corpora, Device, OwnCache, Set, Specs, audio_cache
from shortvox.config import override_all, parse, parse_assignments
from shortvox.corpora.corpus import load_corpora
from shortvox.corpora.speech import SpeechData
from shortvox.device import chosen_device
from shortvox.effect import idle, refuse_idle
from shortvox.encoders.opening import open_encoder
from shortvox.errors import ConfigError
from shortvox.evaluation.amounts import calibrate_amounts
from shortvox.evaluation.calibrate import calibrate as fit
from shortvox.evaluation.calibrate import calibration_path, home_of, kept_in
from shortvox.evaluation.cohort import NO_COHORT, open_cohort, refuse_overlap
from shortvox.evaluation.listener import Listener, as_asked, open_listener
from shortvox.evaluation.protocols import parse_lengths
from shortvox.evaluation.settings import ScoringSettings, TestSettings
from shortvox.files import ensure_writable, write_json
from shortvox.locks import one_writer
from shortvox.printing import show_json, show_table
from shortvox.progress import note


def calibrate(
    model: Specs,
    corpus: Corpora,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for calibrations of many encoders, which evaluate --calibrations takes; by default beside a "
            "model of shortvox.",
            show_default=False,
        ),
    ] = None,
    lengths: Annotated[str, typer.Option(help="Seconds of test speech, and 'full'.")] = "full,5,3,2,1.5,1",
    cohort: Annotated[
        list[Path] | None,
        typer.Option(help="Corpus of speakers for score normalisation and transforms; may be given several times."),
    ] = None,
    set_: Set = None,
    device: Device = "auto",
    cache: OwnCache = None,
    as_json: AsJson = False,
) -> None:
    """Fit and keep maps from scores to log likelihood ratios, for both protocols at every length.

    Also what decisions need (`verify`, `identify`): one map for any amount of speech of either side, from 0.3 s on.
    """
    settings = TestSettings(lengths=parse_lengths(lengths))
    scoring = parse(ScoringSettings, override_all({}, parse_assignments(set_ or [])), "calibrate")
    refuse_idle(idle(scoring), "calibrate")
    if scoring.needs_cohort and not cohort:
        raise ConfigError(NO_COHORT)
    where = chosen_device(device)
    listeners = {spec: open_listener(spec, where) for spec in model}
    folders = {spec: _folder(spec, as_asked(listener, scoring), out) for spec, listener in listeners.items()}
    spoken = load_corpora(corpus)
    if cohort:
        refuse_overlap(load_corpora(cohort), spoken, "in --cohort and in --corpus")
    audio = audio_cache(cache, None)
    data = SpeechData.open(spoken, audio)
    others = open_cohort(cohort, scoring.cohort.utterances, audio) if cohort else None
    written: dict[str, Any] = {}
    for spec, listener in listeners.items():
        path = calibration_path(ensure_writable(folders[spec]), scoring, others)
        with one_writer(path):
            content = fit(listener, data, settings, scoring=scoring, cohort=others)
            content.update(_amounts(spec, content, corpus, audio, device))
            write_json(path, content)
        written[spec] = {"calibration": str(path), **content}
        note(f"{spec}: calibration fitted on {content['fitted_on']}, written to {path}")
    if as_json:
        show_json(written)
    else:
        show_table(_table(written))


def _amounts(
    spec: str, content: dict[str, Any], corpora: list[Path], audio: Path | None, device: str
) -> dict[str, Any]:
    """What decisions need; nothing for another way of scoring than theirs, and where there is too little speech."""
    encoder = open_encoder(spec, device)
    if content.get("scoring") or encoder.kept is not None:
        return {}
    return calibrate_amounts(encoder, [SpeechData.open(load_corpora([one]), audio) for one in corpora])


def _folder(spec: str, listener: Listener, out: Path | None) -> Path:
    home = home_of(listener)
    if out is not None:
        return kept_in(out, listener)
    if home is None:
        raise ConfigError(
            f"{spec}: no model folder or export of yours, so nothing is written beside it; name a folder for "
            "calibrations with --out"
        )
    return home


def _table(written: dict[str, Any]) -> Table:
    table = Table()
    for title in ("model", "protocol", "length", "scale", "offset"):
        table.add_column(title, justify="left" if title in ("model", "protocol") else "right")
    for spec, content in written.items():
        for protocol, by_length in content["protocols"].items():
            for length, fitted in by_length.items():
                table.add_row(spec, protocol, length, f"{fitted['scale']:.2f}", f"{fitted['offset']:.2f}")
    return table
