"""A local fabric with its console, and a browser to look at it with."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from backhaul.clock import monotonic_s
from backhaul.core.g711 import MULAW_RATE_HZ, SILENCE, decode
from lab.speech_files import caller_lines

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium")
START_S = 180
PATIENCE_MS = 90_000
SECOND = SILENCE * MULAW_RATE_HZ


@dataclass
class Looker:
    """A browser's page, and all that it asked for beyond this machine."""

    page: Any
    strange: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        found: str = self.page.inner_text(selector)
        return found

    def wait(self, condition: str) -> None:
        """Wait until an expression of JavaScript holds."""
        # Not by the page's own timers: what they would run is text, which the policy
        # of its content forbids.
        give_up_at = monotonic_s() + PATIENCE_MS / 1000
        while not self.page.evaluate(condition):
            assert monotonic_s() < give_up_at, f"never: {condition}"
            self.page.wait_for_timeout(100)

    def shoot(self, name: str, *, whole: bool = False, selector: str = "") -> None:
        """Keep a picture of the page where docs want it, if they do."""
        directory = os.environ.get("SCREENSHOTS")
        if not directory:
            return
        self.page.evaluate("scrollTo(0, 0)")
        path = Path(directory) / f"console-{name}.png"
        if selector:
            self.page.locator(selector).screenshot(path=path)
        else:
            self.page.screenshot(path=path, full_page=whole)


@pytest.fixture(scope="module")
def up() -> Iterator[dict[str, Any]]:
    """Run ``warmline up``; return how the fabric describes itself."""
    with tempfile.TemporaryDirectory(prefix="wl-") as directory:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab.cli", "up", "--agents", "1", "--json"],
            env={**os.environ, "TMPDIR": directory},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=START_S)


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what the browser's microphone hears, again and again: a real caller."""
    path = tmp_path_factory.mktemp("microphone") / "caller.wav"
    said = SECOND * 5 + caller_lines()[0].audio + SECOND * 9
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(MULAW_RATE_HZ)
        file.writeframes(decode(said))
    return path


# Playwright's loop counts as running until it ends, in which no other test could run.
@pytest.fixture(scope="module")
def browser(microphone: Path) -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed"
    )
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-audio-capture={microphone}",
                "--autoplay-policy=no-user-gesture-required",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def look(browser: Any, up: dict[str, Any]) -> Iterator[Any]:
    """Return a function that opens the console in a browser of its own."""
    opened: list[tuple[Any, Looker]] = []
    ours = urlsplit(up["console_url"]).netloc

    def open_page(
        url: str = "", *, ready: bool = True, width: int = 1360, **options: Any
    ) -> Looker:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, **options
        )
        looker = Looker(context.new_page())
        opened.append((context, looker))
        looker.page.set_default_timeout(PATIENCE_MS)
        looker.page.on("pageerror", lambda error: looker.errors.append(str(error)))
        looker.page.on(
            "request",
            lambda request: (
                None
                if urlsplit(request.url).netloc == ours
                else looker.strange.append(request.url)
            ),
        )
        looker.page.goto(url or up["console_url"])
        if ready:
            looker.page.wait_for_selector("html[data-interactive]", state="attached")
        return looker

    yield open_page
    for context, looker in opened:
        context.close()
        assert looker.errors == []
        assert looker.strange == []
