"""The page in a browser, and the reports of a folder. Files of this package and nothing else; no other host."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from shortvox.service.app import Front
from shortvox.service.limits import Refused

HERE = Path(__file__).parent / "page"
REPORT = "report.html"
MOST_REPORTS = 200
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# Scripts, styles and connections of this host alone. Where reports are shown, which bring their styles with them, none
# of their scripts are.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
POLICY_OF_REPORTS = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'") + "; frame-src 'self'"
PAGES = {"/": "index.html", "/docs": "docs.html", "/reports": "reports.html"}


def make_router(front: Front) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    def page(path: str) -> Any:
        async def shown() -> Response:
            return _file(PAGES[path], POLICY_OF_REPORTS if path == "/reports" else POLICY)

        return shown

    for path in PAGES:
        router.get(path)(page(path))

    @router.get("/page/{name}")
    async def file(name: str) -> Response:
        return _file(name, POLICY)

    @router.get("/v1/reports")
    async def reports() -> dict[str, list[str]]:
        return {"reports": [*await front.workers.run(find_reports, front.reports)]}

    @router.get("/v1/reports/{name:path}")
    async def report(name: str) -> Response:
        found = await front.workers.run(find_reports, front.reports)
        if name not in found:
            raise Refused(404, "no such report")
        content = await front.workers.run(found[name].read_bytes)
        policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'"
        return HTMLResponse(content, headers={"Content-Security-Policy": policy})

    return router


def find_reports(folder: Path | None) -> dict[str, Path]:
    """Reports in a folder and those below it, by the folder that each is in. Links are not followed."""
    if folder is None:
        return {}
    found: dict[str, Path] = {}
    for root, folders, files in os.walk(folder):
        folders.sort()
        path = Path(root) / REPORT
        if REPORT in files and not path.is_symlink():
            found[Path(root).relative_to(folder).as_posix()] = path
            if len(found) == MOST_REPORTS:
                break
    return found


@cache
def _files() -> dict[str, bytes]:
    """Everything that a browser may have, by its name."""
    return {path.name: path.read_bytes() for path in HERE.iterdir() if path.suffix in _TYPES}


def _file(name: str, policy: str) -> Response:
    content = _files().get(name)
    if content is None:
        raise Refused(404, "no such page")
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-cache"}
    return Response(content, media_type=_TYPES[Path(name).suffix], headers=headers)
