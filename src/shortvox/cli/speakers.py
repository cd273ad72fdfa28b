"""`shortvox enroll`, `identify` and `speakers`: a gallery of voices from the command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from shortvox.cli.exits import end_with
from shortvox.cli.options import AsJson, Device, OwnCalibration, Spec
from shortvox.cli.verify import told
from shortvox.gallery.gallery import Gallery
from shortvox.gallery.profile import Identification, Profile
from shortvox.printing import plain, show, show_json, show_table
from shortvox.progress import note
from shortvox.verification.decision import Refusal
from shortvox.verification.policy import MAX_FPR, MAX_MISS, PRIOR
from shortvox.verification.verifier import Verifier

app = typer.Typer(no_args_is_help=True, help="List, show, remove, export, import, migrate and rebuild voices.")

At = Annotated[
    str,
    typer.Option(
        "--gallery",
        metavar="ADDRESS",
        envvar="SHORTVOX_GALLERY",
        help="The gallery: a file, milvus:http://HOST:PORT or milvus:PATH.db.",
    ),
]
HERE = "voices.db"
Replace = Annotated[bool, typer.Option("--replace", help="Take the place of voices of the same names.")]


def enroll(
    name: Annotated[str, typer.Argument(help="Who it is, in 1 to 200 characters.")],
    recordings: Annotated[list[Path], typer.Argument(help="Recordings of this one person.")],
    gallery: At = HERE,
    consent: Annotated[str, typer.Option(help="A note of this person's consent, kept with the voice.")] = "",
    keep_audio: Annotated[
        bool,
        typer.Option("--keep-audio", help="Keep the recordings too, encrypted, so that `rebuild` can hear them again."),
    ] = False,
    replace: Replace = False,
    model: Spec = "default",
    calibration: OwnCalibration = None,
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Keep a voice in a gallery, and say how much of what it needs is there. Exit code 4: it is not taken."""
    verifier = Verifier.load(model, calibration=calibration, device=device)
    found = verifier.enrol(recordings)
    if isinstance(found, Refusal):
        if as_json:
            show_json({"name": name, **found.as_dict()})
        else:
            show(f"{found.outcome}   {found.reason}: {found.text}; {found.advice}")
        return end_with(found.outcome)
    with Gallery.open(gallery, verifier) as voices:
        profile = voices.add(name, found, consent=consent, audio=recordings if keep_audio else None, replace=replace)
    if as_json:
        show_json({**profile.as_dict(), "expected_error": found.expected_error, "warnings": list(found.warnings)})
        return
    for line in found.warnings:
        note(line)
    show(f"{profile.name}: kept in {gallery}, {profile.percent} % of the speech that it needs")
    if profile.advice:
        show(profile.advice)


def identify(
    recording: Annotated[Path, typer.Argument(help="Recording of whoever speaks.")],
    gallery: At = HERE,
    max_fpr: Annotated[
        float,
        typer.Option(min=0, max=1, help="How often somebody who is in no gallery may be taken for any of its voices."),
    ] = MAX_FPR,
    max_miss: Annotated[
        float, typer.Option(min=0, max=1, help="How often somebody who is in it may be called nobody.")
    ] = MAX_MISS,
    prior: Annotated[
        float, typer.Option(min=0, max=1, help="How probable the nearest voice is before anything is heard.")
    ] = PRIOR,
    model: Spec = "default",
    calibration: OwnCalibration = None,
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Say who of a gallery speaks. Exit code 3: nobody of it, 4: too little speech to say."""
    verifier = Verifier.load(model, calibration=calibration, device=device)
    with Gallery.open(gallery, verifier, create=False) as voices:
        found = voices.identify(recording, max_fpr=max_fpr, max_miss=max_miss, prior=prior)
    if as_json:
        show_json(found.as_dict())
    else:
        _show_identification(found)
    end_with(found.outcome)


@app.command("list")
def list_(gallery: At = HERE, as_json: AsJson = False) -> None:
    """All voices, and how it stands with each: matching, never compared, closest so far, other model."""
    with _opened(gallery) as voices:
        profiles = [*voices.profiles()]
    if as_json:
        show_json({"gallery": gallery, "speakers": [profile.as_dict() for profile in profiles]})
        return
    table = Table()
    for column in ("name", "state", "recordings", "speech", "compared", "matched", "closest", "audio", "enrolled"):
        table.add_column(column, overflow="fold")
    for each in profiles:
        table.add_row(*map(plain, _cells(each)))
    show_table(table)


@app.command("show")
def show_(
    name: Annotated[str, typer.Argument(help="Whose voice.")],
    gallery: At = HERE,
    model: Annotated[
        str | None, typer.Option(metavar="SPEC", help="The model of the gallery, to say how far the enrolment is.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """One voice, with the consent that was noted."""
    with _opened(gallery, Verifier.load(model) if model else None) as voices:
        profile = voices.profile(name)
    facts = profile.as_dict()
    if as_json:
        show_json(facts)
        return
    for key, value in facts.items():
        if value is not None:
            show(f"{key:12} {value}")


@app.command()
def remove(
    names: Annotated[list[str], typer.Argument(help="Whose voices.")], gallery: At = HERE, as_json: AsJson = False
) -> None:
    """Remove every trace of voices."""
    with _opened(gallery) as voices:
        names = [voices.profile(name).name for name in dict.fromkeys(names)]  # all are there before the first goes
        for name in names:
            voices.remove(name)
    _done({"gallery": gallery, "removed": names}, as_json, f"{len(names)} removed from {gallery}")


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="File to write; only you can read it.")],
    names: Annotated[list[str] | None, typer.Argument(help="Whose voices; all without.")] = None,
    gallery: At = HERE,
    as_json: AsJson = False,
) -> None:
    """Write voices into one file, which `import` takes. Kept audio stays encrypted."""
    with _opened(gallery) as voices:
        count = voices.export(out, names)
    _done({"file": str(out), "voices": count}, as_json, f"{count} voices written to {out}")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="File that `export` wrote.")],
    gallery: At = HERE,
    replace: Replace = False,
    as_json: AsJson = False,
) -> None:
    """Take over all voices of a file, or none."""
    with Gallery.open(gallery) as voices:
        count = voices.import_(file, replace=replace)
    _done({"gallery": gallery, "voices": count}, as_json, f"{count} voices taken over into {gallery}")


@app.command()
def migrate(
    to: Annotated[str, typer.Argument(metavar="ADDRESS", help="The other gallery, as --gallery.")],
    gallery: At = HERE,
    as_json: AsJson = False,
) -> None:
    """Copy all voices into another gallery, of the same engine or another; this one stays as it is."""
    with _opened(gallery) as voices:
        count = voices.migrate(to)
    _done({"gallery": to, "voices": count}, as_json, f"{count} voices copied to {to}")


@app.command()
def rebuild(
    gallery: Annotated[str, typer.Argument(metavar="ADDRESS", envvar="SHORTVOX_GALLERY", help="As --gallery.")] = HERE,
    model: Spec = "default",
    calibration: OwnCalibration = None,
    device: Device = "cpu",
    as_json: AsJson = False,
) -> None:
    """Enrol everybody again with another model, from the audio that was kept. Whom it cannot is named, and stays."""
    with _opened(gallery) as voices:
        done = voices.rebuild(Verifier.load(model, calibration=calibration, device=device))
    for name, why in done.left.items():
        note(f"{name}: not rebuilt ({why})")
    summary = f"{len(done.rebuilt)} rebuilt in {gallery}, {len(done.left)} left"
    _done({"gallery": gallery, **done.as_dict()}, as_json, summary)


def _opened(gallery: str, verifier: Verifier | None = None) -> Gallery:
    return Gallery.open(gallery, verifier, create=False)


def _done(facts: dict[str, object], as_json: bool, line: str) -> None:
    if as_json:
        show_json(facts)
    else:
        show(line)


def _show_identification(found: Identification) -> None:
    show(found.name if found.name is not None else "nobody")
    if found.decision is not None:
        for line in told(found.decision):
            show(line)
    elif found.refusal is not None:
        show(f"{found.outcome}   {found.reason}: {found.refusal.text}; {found.refusal.advice}")
    else:
        show("the gallery is empty")
    for each in found.candidates:
        show(f"  {each.name}   llr {each.llr:+.2f}, cosine {each.score:.3f}")


def _cells(profile: Profile) -> Iterable[object]:
    yield profile.name
    yield profile.state
    yield profile.recordings
    yield f"{profile.net_speech:.1f} s"
    yield profile.compared
    yield profile.matched
    yield "" if profile.closest is None else f"{profile.closest:+.2f}"
    yield "kept" if profile.keeps_audio else ""
    yield f"{profile.enrolled_at:%Y-%m-%d}"
