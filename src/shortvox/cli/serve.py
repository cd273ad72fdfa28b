"""`shortvox serve`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from shortvox.cli.options import AsJson, Device, OwnCalibration, Spec
from shortvox.cli.speakers import HERE
from shortvox.errors import ConfigError
from shortvox.printing import show, show_json


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8017,
    gallery: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            envvar="SHORTVOX_GALLERY",
            help="The gallery: a file, milvus:http://HOST:PORT or milvus:PATH.db; 'none' keeps no voices.",
        ),
    ] = HERE,
    model: Spec = "default",
    calibration: OwnCalibration = None,
    device: Device = "cpu",
    api_key_file: Annotated[
        Path | None,
        typer.Option(help="File with the key that requests must bring; or SHORTVOX_API_KEY. Needed off loopback."),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Host name to answer to, as behind a proxy; may be repeated.")
    ] = None,
    max_upload: Annotated[float, typer.Option(min=0.01, max=1000, help="MiB of one request.")] = 10,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Requests in work at once; a core each.")] = None,
    waiting: Annotated[int, typer.Option(min=1, max=10_000, help="Requests that may wait; more get 429.")] = 16,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="For a body to arrive, and for an answer.")] = 30,
    report: Annotated[Path | None, typer.Option(help="Folder whose reports are shown.")] = None,
    as_json: AsJson = False,
) -> None:
    """Serve verify, identify and enrolment over HTTP and WebSocket, with a page for the browser."""
    from shortvox.gallery.gallery import Gallery
    from shortvox.service.access import Access, read_key
    from shortvox.service.app import Front
    from shortvox.service.limits import MEBIBYTE, Limits
    from shortvox.service.server import bind, make_server
    from shortvox.service.service import Service
    from shortvox.verification.verifier import Verifier

    access = Access.to(host, read_key(api_key_file), tuple(allow_host or ()))
    if report is not None and not report.is_dir():
        raise ConfigError(f"--report {report}: no such folder")
    limits = Limits(upload=round(max_upload * MEBIBYTE), waiting=waiting, seconds=seconds)
    if workers is not None:
        limits = Limits(limits.upload, limits.recordings, seconds, workers, waiting)
    listening = bind(host, port)

    def ready(address: str) -> None:
        if as_json:
            show_json({"address": address, "model": model, "gallery": gallery, "key": access.key is not None})
        else:
            show(f"listening on {address}")

    with listening:
        verifier = Verifier.load(model, calibration=calibration, device=device)
        with Gallery.open(gallery, verifier) if gallery != "none" else nullcontext() as voices:
            front = Front(Service(verifier, voices), access, limits, report)
            make_server(front, ready).run(sockets=[listening])
