"""`shortvox verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shortvox.cli.options import ENCODERS, AsJson, Device
from shortvox.encoders.opening import open_encoder
from shortvox.errors import ConfigError
from shortvox.printing import show, show_json
from shortvox.progress import note
from shortvox.verification.compare import PRIOR, compare


def verify(
    recordings: Annotated[
        list[Path], typer.Argument(help="Recordings of the enrolled speaker, and last the one to verify.")
    ],
    test: Annotated[
        list[Path] | None,
        typer.Option("--test", help="Recording to verify, instead of the last; several count as one."),
    ] = None,
    model: Annotated[str, typer.Option(metavar="SPEC", help=f"{ENCODERS}.")] = "default",
    prior: Annotated[
        float, typer.Option(min=0, max=1, help="How probable one speaker is before anything is heard.")
    ] = PRIOR,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Compare two voices: score, log likelihood ratio, and how probable it is that one person speaks."""
    enrolment, tested = (recordings, test) if test else (recordings[:-1], recordings[-1:])
    if not enrolment:
        raise ConfigError(f"verify: one recording, {recordings[0]}; give another to compare it with")
    encoder = open_encoder(model, device)
    found = compare(encoder, enrolment, tested, prior)
    long, short = found.seconds
    if found.llr is None:
        note(f"{encoder.source}: has no calibration, so the score stays a score; `shortvox calibrate` fits one")
    if found.stretched:
        note(f"{min(found.seconds):.2f} s is less speech than was calibrated for; trust neither llr nor probability")
    if as_json:
        show_json(
            {
                "score": found.score,
                "llr": found.llr,
                "probability": found.probability,
                "prior": found.prior,
                "seconds": {"enrolment": long, "test": short},
                "calibration": dict(zip(("protocol", "length"), found.calibration, strict=True))
                if found.calibration
                else None,
                "stretched": found.stretched,
                "encoder": encoder.name,
                "fingerprint": encoder.fingerprint,
            }
        )
        return
    show(f"score        {found.score:.3f}   cosine of {long:.2f} s and {short:.2f} s")
    if found.llr is not None and found.probability is not None:
        show(f"llr          {found.llr:+.2f}   natural logarithm of the likelihood ratio")
        show(f"probability  {_told(found.probability)}   of one speaker, where it was {found.prior:g} before")


def _told(probability: float) -> str:
    """A probability that never claims to be certain."""
    return ">0.9999" if probability > 0.9999 else "<0.0001" if probability < 0.0001 else f"{probability:.4f}"
