"""The page in Chromium, with a made voice for a microphone. Skipped without playwright or a browser.

    pip install -e '.[browser]' && python -m pytest -m slow tests/service/test_page.py

`SHORTVOX_SCREENSHOTS=DIR` keeps pictures of what was seen.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from service.serving import Client, serving
from shortvox.verification.verifier import Verifier
from voices import syllables

playwright = pytest.importorskip("playwright.sync_api")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BROWSER, reason="no Chromium here"),
    pytest.mark.filterwarnings("ignore"),  # of the browser's driver
]
RATE = 48_000
KEY = "a-key-of-sixteen-and-more"


def write_voice(path: Path, speaker: int, seed: int, seconds: float = 5.0, rate: int = 16_000) -> Path:
    """Somebody who speaks after half a second of silence."""
    spoken = syllables(speaker, seconds, np.random.default_rng((seed, speaker)))
    samples = np.concatenate([np.zeros(8000, np.float32), spoken, np.zeros(8000, np.float32)])
    if rate != 16_000:
        import soxr

        samples = soxr.resample(samples, 16_000, rate)
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("voices")
    (folder / "reports" / "one").mkdir(parents=True)
    report = (
        "<!doctype html><title>x</title><style>h1 {color: rgb(1, 2, 3)}</style><h1>Findings</h1><script>x()</script>"
    )
    (folder / "reports" / "one" / "report.html").write_text(report)
    with serving(folder / "home.db", verifier=Verifier.load(), reports=folder / "reports") as found:
        yield found


@contextmanager
def opened(client: Client, microphone: Path, path: str = "/", **options: Any) -> Iterator[Any]:
    """A page, on which nothing may go wrong or come from elsewhere."""
    wrong: list[str] = []
    arguments = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone}",
        "--no-sandbox",
    ]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=arguments)
        try:
            context = browser.new_context(
                permissions=["microphone"], **{"viewport": {"width": 900, "height": 900}, **options}
            )
            page = context.new_page()
            page.set_default_timeout(20_000)
            page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
            page.on("console", lambda line: wrong.append(f"{line.type}: {line.text}"))
            page.on("request", lambda asked: _is_own(asked.url, client) or wrong.append(f"request: {asked.url}"))
            page.goto(client.address + path)
            yield page
            assert wrong == []
        finally:
            browser.close()


def _is_own(url: str, client: Client) -> bool:
    return url.startswith((client.address + "/", "data:", "about:"))


def look(page: Any, name: str) -> None:
    if folder := os.environ.get("SHORTVOX_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def test_a_voice_is_enrolled_recognised_and_removed(client: Client, tmp_path: Path) -> None:
    microphone = write_voice(tmp_path / "m.wav", 2, 1, rate=RATE)
    with opened(client, microphone) as page:
        page.wait_for_selector("text=Nobody yet.")
        page.click("#enrol")
        page.wait_for_selector("#enrol[aria-pressed=true]")
        page.wait_for_timeout(3500)
        page.click("#enrol")
        page.wait_for_selector("#sentences li")
        page.set_input_files("#enrol-file", write_voice(tmp_path / "b.wav", 2, 2))
        page.wait_for_selector("#keep:not([disabled])")
        assert "% (" in page.inner_text("#percent-told") and page.inner_text("#advice")
        page.fill("#name", "Bea / O'Neil")
        page.fill("#consent", "in person")
        look(page, "enrol")
        page.click("#keep")
        page.wait_for_selector("#speakers tr")
        assert page.input_value("#who") == "Bea / O'Neil"

        page.click("#listen")  # decided while the microphone goes on
        page.wait_for_selector("#wave svg .speech")
        assert page.inner_text("#outcome") == "The same voice"
        assert page.inner_text("#listen") == "Speak" and page.query_selector("#evidence svg .dot")
        assert "seconds, " in page.get_attribute("#wave svg", "aria-label")
        look(page, "same")

        page.set_input_files("#test-file", write_voice(tmp_path / "o.wav", 10, 3))
        page.wait_for_selector("#outcome.different, #outcome.little")
        page.select_option("#who", "")
        page.set_input_files("#test-file", write_voice(tmp_path / "c.wav", 2, 4))
        page.wait_for_selector("#outcome.same")
        assert page.inner_text("#outcome") == "Bea / O'Neil" and page.inner_text("#candidates")
        page.wait_for_selector("text=matching")

        page.once("dialog", lambda dialog: dialog.accept())
        page.click("#speakers button")
        page.wait_for_selector("text=Nobody yet.")
    assert client.get("/v1/speakers").json == {"speakers": []}


def test_what_goes_wrong_is_said_in_one_line(client: Client, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"PK\x03\x04 no audio")
    silence = tmp_path / "s.wav"
    soundfile.write(silence, np.zeros(16_000), 16_000)
    with opened(client, silence) as page:
        page.wait_for_selector("text=Nobody yet.")
        page.set_input_files("#enrol-file", silence)
        page.wait_for_selector("#advice:has-text('silence')")
        assert page.is_disabled("#keep")
        page.select_option("#who", label="everybody who is enrolled")
        page.set_input_files("#test-file", silence)
        page.wait_for_selector("#outcome.little")
        assert "microphone" in page.inner_text("#why")
    with pytest.raises(AssertionError, match="422"), opened(client, silence) as page:  # the browser's own console line
        page.wait_for_selector("text=Nobody yet.")
        page.set_input_files("#test-file", tmp_path / "a.wav")
        page.wait_for_selector("#said:has-text('recording')")


def test_keyboard_screen_reader_and_phone(client: Client, tmp_path: Path) -> None:
    microphone = write_voice(tmp_path / "m.wav", 3, 1, rate=RATE)
    assert client.enrol("Somebody with a long name, as names are, and without an end that is near", 1).status in (
        201,
        422,
    )
    phone = {"viewport": {"width": 340, "height": 700}, "color_scheme": "dark", "is_mobile": True}
    with opened(client, microphone, **phone) as page:
        page.wait_for_selector("#speakers tr")
        unnamed = page.evaluate(
            "() => [...document.querySelectorAll('input, select, button, meter, progress, iframe')]"
            ".filter(e => !(e.labels?.length || e.textContent.trim() || e.getAttribute('aria-label'))).map(e => e.id)"
        )
        assert unnamed == []
        seen = []
        for _ in range(30):
            page.keyboard.press("Tab")
            seen.append(page.evaluate("() => document.activeElement.id"))
        assert [name for name in seen if name][:4] == ["who", "listen", "test-file", "enrol"]
        page.focus("#listen")
        page.keyboard.press("Space")
        page.wait_for_selector("#listen[aria-pressed=true]")
        page.wait_for_timeout(2500)
        page.keyboard.press("Enter")
        page.wait_for_selector("#wave svg")
        assert page.evaluate("() => document.documentElement.scrollWidth") == 340
        look(page, "phone")


def test_a_key_is_asked_for(tmp_path: Path) -> None:
    from shortvox.service.access import Access

    microphone = write_voice(tmp_path / "m.wav", 3, 1, rate=RATE)
    with serving(tmp_path / "home.db", verifier=Verifier.load(), access=Access.to("127.0.0.1", KEY)) as client:
        voice = {"enrolment": write_voice(tmp_path / "e.wav", 3, 2).read_bytes()}
        kept = client.post("/v1/speakers/Cleo", *voice.items(), Authorization=f"Bearer {KEY}")
        assert kept.status == 201, kept.content
        with pytest.raises(AssertionError, match="401"), opened(client, microphone) as page:
            page.fill("#key", KEY)
            page.click("#key-form button")
            page.wait_for_selector("#speakers tr")
            page.select_option("#who", "Cleo")
            page.click("#listen")
            page.wait_for_selector("#wave svg")
            assert page.query_selector("#evidence svg .dot")


def test_reports_and_routes_are_shown(client: Client, tmp_path: Path) -> None:
    microphone = write_voice(tmp_path / "m.wav", 3, 1, rate=RATE)
    with (
        pytest.raises(AssertionError, match="Blocked script execution"),
        opened(client, microphone, "/reports") as page,
    ):
        frame = page.frame_locator("#report")
        assert frame.locator("h1").inner_text() == "Findings"
        assert frame.locator("h1").evaluate("e => getComputedStyle(e).color") == "rgb(1, 2, 3)"
        look(page, "reports")
    with opened(client, microphone, "/docs") as page:
        page.wait_for_selector("text=POST /v1/verify")
        look(page, "docs")
