"""The course in a real JupyterLab: widgets answer, nothing leaves the machine, the console stays clean.

Screenshots go to the folder in `SORAKIT_SCREENSHOTS`, or to the test's own, for a person to look at.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sorakit.generate import DEFAULT_MODEL
from sorakit.nb.course import find, working_copy

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
SETTINGS = {
    "notebook-extension/tracker": '{"windowingMode": "none"}',
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
}
CONNECTED = """() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel
                       ?.connectionStatus === 'connected'"""
IDLE = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.course,
    pytest.mark.slow,
    pytest.mark.timeout(420),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(not (DEFAULT_MODEL / "transformer").is_dir(), reason="this checkout holds no weights"),
]


@dataclass
class Page:
    """An open notebook that has run, and what the browser saw."""

    page: Any
    pictures: Path
    name: str
    errors: list[str] = field(default_factory=list)
    abroad: list[str] = field(default_factory=list)

    def picture(self, locator: Any, step: str) -> None:
        """Keep what a person would see."""
        locator.scroll_into_view_if_needed()
        self.page.wait_for_timeout(300)
        self.page.wait_for_function(IDLE, timeout=60_000)
        locator.screenshot(path=str(self.pictures / f"{self.name[:2]}_{step}.png"))

    def output(self, text: str) -> Any:
        """The last output area in which `text` stands."""
        return self._there(self.page.locator(".jp-OutputArea-output", has_text=text))

    def widget(self, role: str, name: str) -> Any:
        """The output area with a control: its ARIA role and its label."""
        control = self.page.get_by_role(role, name=name)
        return self._there(self.page.locator(".jp-OutputArea-output", has=control))

    def _there(self, locator: Any) -> Any:
        locator.last.wait_for(state="attached", timeout=60_000)
        return locator.last

    def wait(self, text: str, within: Any, seconds: float = 120) -> None:
        """Until `text` stands within a part of the page."""
        within.get_by_text(text).first.wait_for(state="attached", timeout=seconds * 1000)


def private(base: Path) -> dict[str, str]:
    """The environment of a server whose home, settings and data are its own."""
    for name, text in SETTINGS.items():
        path = base / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    folders = {"SORAKIT_HOME": "home", "JUPYTER_CONFIG_DIR": "config", "IPYTHONDIR": "ipython"}
    folders |= {"TMPDIR": "tmp", "JUPYTER_DATA_DIR": "data", "JUPYTERLAB_SETTINGS_DIR": "settings"}
    for name in folders.values():
        (base / name).mkdir(exist_ok=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith("SORAKIT_") or "TEST" in k}
    env |= {"SORAKIT_COURSE_SECONDS": "20", "OMP_NUM_THREADS": "1"}  # another test runs on the other core
    return env | {k: str(base / v) for k, v in folders.items()}


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


@contextmanager
def serving(command: list[str], base: Path, url: str) -> Iterator[None]:
    """`python command` while the block runs, from when `url` answers."""
    with (
        (base / "log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, *command], cwd=base / "course", env=private(base), stdout=log, stderr=log
        ) as process,
    ):
        try:
            await_server(url, process, base / "log")
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """(address with its token, folder for pictures) of a JupyterLab on a working copy."""
    base = tmp_path_factory.mktemp("lab")
    working_copy(base / "course")
    port, token = free_port(), secrets.token_hex(16)
    command = ["-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", f"--IdentityProvider.token={token}", "--LabApp.news_url=None"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    command += ["--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly"]
    with serving(command, base, f"http://127.0.0.1:{port}/api?token={token}"):
        url = f"http://127.0.0.1:{port}/lab/workspaces/%s/tree/notebooks/%s?token={token}"
        yield url, pictures_folder(base)


def pictures_folder(base: Path) -> Path:
    """Where screenshots are kept."""
    pictures = Path(os.environ.get("SORAKIT_SCREENSHOTS") or base / "pictures")
    pictures.mkdir(parents=True, exist_ok=True)
    return pictures


def await_server(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until it answers; what it said where it never does."""
    for _ in range(240):
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own machine
                return
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, log.read_text()
            time.sleep(0.5)
    raise AssertionError(log.read_text())


@contextmanager
def browsing(pictures: Path, name: str) -> Iterator[Page]:
    """A fresh browser; at the end: no console error, no request to elsewhere."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - where there is a browser

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        it = Page(page, pictures, name)
        page.on("console", lambda m: it.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: it.errors.append(str(e)))
        page.on("request", lambda r: it.abroad.append(r.url) if elsewhere(r.url) else None)
        try:
            yield it
        except BaseException:
            page.screenshot(path=str(pictures / f"{name[:2]}_failed.png"))
            raise
        finally:
            browser.close()
        assert it.errors == []
        assert it.abroad == []


@contextmanager
def opened(server: tuple[str, Path], number: str) -> Iterator[Page]:
    """A notebook that has run from top to bottom in JupyterLab."""
    name = find(number)
    with browsing(server[1], name) as it:
        page = it.page
        page.goto(server[0] % (f"n{number}", name))  # a workspace of its own: no tabs of others
        page.wait_for_function(CONNECTED, timeout=120_000)
        page.evaluate("async () => { await jupyterapp.commands.execute('notebook:run-all-cells') }")
        page.wait_for_function(IDLE, timeout=300_000)
        assert page.locator(".jp-RenderedText[data-mime-type*='error']").count() == 0
        yield it
        page.evaluate("async () => { await jupyterapp.shell.currentWidget.sessionContext.shutdown() }")


def elsewhere(url: str) -> bool:
    """Whether a request leaves this machine."""
    return not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "about:"))


Open = Callable[[str], Any]


@pytest.fixture
def lab(server: tuple[str, Path]) -> Open:
    """`lab("04")`: a context with the notebook, run from top to bottom."""
    return lambda number: opened(server, number)


def test_00_an_attack_and_its_recovery(lab: Open) -> None:
    with lab("00") as it:
        it.picture(it.output("Signed by"), "card")
        area = it.widget("button", "Attack")
        area.get_by_role("button").click()
        it.wait("AI, recovered", area)
        it.picture(area, "attacked")
        studio = it.widget("button", "Make")
        prompt = studio.get_by_label("Prompt")
        prompt.fill("a big purple cross orbits on a gray background")
        prompt.press("Tab")
        it.wait("nearest: magenta", studio)
        prompt.fill("a big magenta cross orbits on a gray background")
        prompt.press("Tab")
        studio.get_by_role("button", name="Make").click()
        it.wait("AI, declared", studio)
        studio.get_by_role("button", name="Attack").wait_for(state="visible")
        it.picture(studio, "studio")


def test_01_noise_follows_the_slider(lab: Open) -> None:
    with lab("01") as it:
        area = it.widget("checkbox", "tell the model the prompt")
        it.wait("noise level 0.50: the model, told the prompt", area)
        it.picture(area, "half_noise")
        handle = area.locator(".noUi-handle").first
        handle.focus()
        for _ in range(10):
            it.page.keyboard.press("ArrowRight")
        it.wait("noise level 0.70: the model, told the prompt", area)
        area.get_by_role("checkbox").uncheck()
        it.wait("noise level 0.70: the model, not told the prompt", area)
        it.picture(area, "not_told")


def test_03_a_patch_becomes_a_token(lab: Open) -> None:
    with lab("03") as it:
        area = it.page.locator(".sorakit-patches").first
        canvas = area.get_by_role("application")
        canvas.click(position={"x": 8, "y": 8})
        it.wait("token 0", area)
        canvas.focus()
        for key in ("ArrowDown", "ArrowRight", "PageDown"):
            it.page.keyboard.press(key)
        it.wait("token 21", area)
        it.picture(area, "token")


def test_04_attention_follows_the_pointer_and_the_keys(lab: Open) -> None:
    with lab("04") as it:
        canvas = it.page.get_by_role("application").first
        area = it.page.locator(".sorakit-attention").first
        says = area.get_by_role("status")
        canvas.hover(position={"x": 12, "y": 12})
        it.wait("patch (0, 0, 0) looks most at", area)
        canvas.focus()
        it.page.keyboard.press("ArrowDown")
        it.wait("patch (0, 1, 0) looks most at", area)
        it.page.keyboard.press("PageDown")
        it.wait("patch (1, 1, 0) looks most at", area)
        before = says.inner_text()
        area.get_by_role("combobox", name="Head").select_option(label="mean of all")
        it.wait("all heads", area)
        assert says.inner_text() != before
        it.picture(area, "attention")


def test_08_boxes_drawn_by_pointer_and_keys_make_a_clip(lab: Open) -> None:
    with lab("08") as it:
        area = it.page.locator(".jp-OutputArea-output", has=it.page.locator(".sorakit-boxes")).first
        canvas = area.get_by_role("application")
        canvas.scroll_into_view_if_needed()
        at = canvas.bounding_box()
        assert at is not None
        unit = at["width"] / 32
        it.page.mouse.move(at["x"] + 2 * unit, at["y"] + 4 * unit)
        it.page.mouse.down()
        it.page.mouse.move(at["x"] + 11 * unit, at["y"] + 13 * unit, steps=4)
        it.page.mouse.up()
        it.wait("start: 2, 4 to 11, 13", area)
        canvas.focus()
        it.page.keyboard.press("ArrowUp")
        for key in ["ArrowDown"] * 3 + ["Enter"]:
            it.page.keyboard.press(key)
        area.locator("figure").wait_for(state="attached", timeout=60_000)
        it.picture(area, "boxes")


def test_10_a_flipped_bit_and_the_trust_switch(lab: Open) -> None:
    with lab("10") as it:
        area = it.widget("button", "Change and check")
        area.get_by_role("button", name="Change and check").click()
        it.wait("valid_untrusted", area)
        area.get_by_role("checkbox").check()
        it.wait("credential: trusted", area)
        area.get_by_role("combobox").select_option(label="one bit of the signature")
        area.get_by_role("button", name="Change and check").click()
        it.wait("credential: tampered", area)
        it.picture(area, "tampered")
        tree = it.page.locator(".jp-OutputArea-output", has=it.page.locator("details")).first
        tree.locator("summary").first.focus()
        for is_open in (False, True):
            it.page.keyboard.press("Enter")
            assert tree.locator("details").first.evaluate("e => e.open") is is_open
        it.picture(tree, "tree")


def test_11_a_weaker_mark_does_not_last(lab: Open) -> None:
    with lab("11") as it:
        area = it.output("Strength, dB")
        it.picture(area, "strong")
        area.get_by_role("slider").first.focus()
        it.page.keyboard.press("End")
        it.wait("the mark does not read", area)
        it.picture(area, "weak")


def test_13_thresholds_cost_and_the_queue_asks_for_reasons(lab: Open) -> None:
    with lab("13") as it:
        costs = it.output("A missed clip costs")
        before = costs.inner_text()
        handle = costs.locator(".noUi-handle").nth(1)
        handle.focus()
        for _ in range(8):
            it.page.keyboard.press("ArrowRight")
        it.page.wait_for_function("([e, t]) => e.innerText !== t", arg=[costs.element_handle(), before])
        it.picture(costs, "costs")
        queue = it.widget("button", "Reject")
        queue.get_by_role("button", name="Reject").click()
        it.wait("say what you saw", queue)
        queue.get_by_placeholder("what you saw").fill("the credential does not fit the file")
        queue.get_by_role("button", name="Reject").click()
        it.wait("still open", queue)
        it.picture(queue, "queue")


@pytest.mark.parametrize(("number", "control"), [("00", "Attack"), ("13", "Reject")])
def test_as_an_app_it_shows_no_code(number: str, control: str, tmp_path: Path) -> None:
    working_copy(tmp_path / "course")
    port = free_port()
    command = ["-c", "from sorakit.cli import main; main()", "lab", number, "--app", "--no-browser"]
    command += ["--folder", str(tmp_path / "course"), "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with (
        serving(command, tmp_path, f"{url}/voila/static/voila.js"),
        browsing(pictures_folder(tmp_path), f"{number} app") as it,
    ):
        it.page.goto(url, timeout=240_000)
        it.page.get_by_role("button", name=control).last.wait_for(timeout=240_000)
        assert it.page.locator("h1").first.is_visible()
        assert it.page.get_by_text("import ").count() == 0
        it.page.screenshot(path=str(it.pictures / f"{number}_app.png"), full_page=True)
