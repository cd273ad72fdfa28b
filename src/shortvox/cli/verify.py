"""`shortvox verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shortvox.cli.exits import end_with
from shortvox.cli.options import AsJson, Device, OwnCalibration, Spec
from shortvox.errors import ConfigError
from shortvox.printing import show, show_json
from shortvox.progress import note
from shortvox.verification.decision import Decision, Outcome, Refusal
from shortvox.verification.policy import MAX_FPR, MAX_MISS, PRIOR, Costs
from shortvox.verification.verifier import Verifier


def verify(
    recordings: Annotated[
        list[Path], typer.Argument(help="Recordings of the enrolled speaker, and last the one to verify.")
    ],
    model: Spec = "default",
    calibration: OwnCalibration = None,
    max_fpr: Annotated[
        float, typer.Option(min=0, max=1, help="Share of strangers that may be taken for the speaker.")
    ] = MAX_FPR,
    max_miss: Annotated[
        float, typer.Option(min=0, max=1, help="Share of true speakers that may be turned away.")
    ] = MAX_MISS,
    prior: Annotated[
        float, typer.Option(min=0, max=1, help="How probable one speaker is before anything is heard.")
    ] = PRIOR,
    costs: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="MISS FALSE_ALARM",
            help="What a miss and a false alarm cost: decide what costs least at --prior, instead of by rates.",
            show_default=False,
        ),
    ] = None,
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Does who speaks in the others speak in the last recording? SAME, DIFFERENT or TOO_LITTLE_SPEECH, and why.

    Exit codes: 0 SAME, 3 DIFFERENT, 4 TOO_LITTLE_SPEECH, 2 a mistake in what was given. No protection against replayed
    or synthetic voices.
    """
    *enrolment, test = recordings
    if not enrolment:
        raise ConfigError(f"verify: one recording, {test}; give another to compare it with")
    verifier = Verifier.load(model, calibration=calibration, device=device)
    voice = verifier.enrol(enrolment)
    if isinstance(voice, Refusal):
        if as_json:
            show_json({**voice.as_dict(), "side": "enrolment"})
        else:
            show(f"{voice.outcome}   {voice.reason}: {voice.text}; {voice.advice}")
        return end_with(voice.outcome)
    for line in voice.warnings:
        note(line)
    weighed = None if costs is None else Costs(*costs)
    decision = verifier.verify(voice, test, max_fpr=max_fpr, max_miss=max_miss, prior=prior, costs=weighed)
    for line in decision.warnings:
        note(f"{test}: {line}")
    if as_json:
        show_json({**decision.as_dict(), "voiceprint": voice.as_dict(), "encoder": verifier.encoder.name})
    else:
        for line in told(decision):
            show(line)
    end_with(decision.outcome)


def told(decision: Decision) -> list[str]:
    """A decision in a few lines."""
    if decision.llr is None or decision.probability is None or decision.score is None:
        return [f"{decision.outcome}   {decision.reason}: {decision.advice}"]
    lines = [f"{decision.outcome}" + (f"   {decision.reason}: {decision.advice}" if decision.reason else "")]
    if decision.accept == decision.reject:
        limits = f"{Outcome.SAME} from {decision.accept:+.2f} on"
    else:
        limits = f"{Outcome.SAME} from {decision.accept:+.2f} on, {Outcome.DIFFERENT} below {decision.reject:+.2f}"
    lines.append(f"llr          {decision.llr:+.2f}   {limits}; natural logarithm of the likelihood ratio")
    lines.append(
        f"probability  {_probability(decision.probability)}   of one speaker, where it was {decision.prior:g} before"
    )
    lines.append(
        f"net speech   {decision.net_speech:.2f} s against {decision.enrolled_speech:.2f} s enrolled; cosine "
        f"{decision.score:.3f}"
    )
    if decision.expected_error is not None:
        missed = f"{decision.expected_error:.1%}"
        lines.append(f"expected     {missed} of true speakers are not accepted with so much speech")
    return lines


def _probability(value: float) -> str:
    """A probability that never claims to be certain."""
    return ">0.9999" if value > 0.9999 else "<0.0001" if value < 0.0001 else f"{value:.4f}"
