"""Files and reports that a browser gets, and those that it does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from service.serving import serving
from shortvox.service.pages import HERE, find_reports


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "report.html").write_text("secret")
    reports = tmp_path / "reports"
    for name in ("", "a", "a/b", "links", "other"):
        (reports / name).mkdir(parents=True, exist_ok=True)
    for name in ("", "a/b"):
        (reports / name / "report.html").write_text(f"of {name}")
    (reports / "other" / "other.html").write_text("no report")
    (reports / "links" / "report.html").symlink_to(tmp_path / "secret" / "report.html")
    (reports / "folder").symlink_to(tmp_path / "secret")
    return reports


def test_reports_of_the_folder_and_no_others(folder: Path) -> None:
    assert [*find_reports(folder)] == [".", "a/b"] and find_reports(None) == {}
    with serving(reports=folder) as client:
        assert client.get("/v1/reports").json == {"reports": [".", "a/b"]}
        shown = client.get("/v1/reports/a/b")
        assert (shown.status, shown.content) == (200, b"of a/b")
        assert "sandbox" in shown.headers["content-security-policy"]
        for name in (
            "links",
            "folder",
            "../secret",
            "..%2fsecret",
            "%2e%2e/secret",
            "a/../../secret",
            "a",
            "other",
            "/etc",
            "",
        ):
            answer = client.get(f"/v1/reports/{name}")
            assert answer.status == 404 or "reports" in answer.json, name
            assert b"secret" not in answer.content
    with serving() as client:
        assert client.get("/v1/reports").json == {"reports": []}


def test_pages_come_from_the_package_alone() -> None:
    with serving() as client:
        for path in ("/", "/docs", "/reports"):
            page = client.get(path)
            assert page.status == 200 and page.headers["content-type"].startswith("text/html")
            policy = page.headers["content-security-policy"]
            assert "default-src 'none'" in policy and "script-src 'self';" in policy
            for link in re.findall(r'(?:src|href)="(/page/[^"]+)"', page.content.decode()):
                assert client.get(link).status == 200, link
        assert client.get("/page/app.js").headers["content-type"].startswith("text/javascript")
        for name in ("nothing.js", "../pages.py", "..%2fpages.py", "%2e%2e%2fpages.py", "pages.py", ""):
            assert client.get(f"/page/{name}").status == 404


def test_a_page_names_no_other_host_and_holds_no_code() -> None:
    for path in HERE.iterdir():
        text = path.read_text(encoding="utf-8")
        hosts = set(re.findall(r"https?://[\w.]+", text)) - {"http://www.w3.org"}
        assert hosts == set() or (path.suffix == ".js" and hosts <= {"https://", "http://"}), path.name
        if path.suffix == ".html":
            assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|style=|javascript:", text), path.name
    modules = {path.name for path in HERE.glob("*.js")}
    for path in HERE.glob("*.js"):
        assert set(re.findall(r'from "\./([\w.]+)"', path.read_text())) <= modules
