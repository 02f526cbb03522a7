"""The box drawer: the same by widget and by call, errors are said, and its page does what it says."""

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sorakit.errors import UsageError
from sorakit.nb import BoxDrawer, box_strip
from sorakit.types import Clip

FRAME = np.zeros((32, 48, 3), np.uint8)


def still(boxes: dict[str, Any]) -> Clip:
    """A clip as bright as the last box is wide."""
    x0, _, x1, _ = boxes["end"]
    return Clip(np.full((4, 32, 48, 3), x1 - x0, np.uint8), Fraction(4))


def test_boxes_are_drawn_in_turn_or_by_name() -> None:
    drawer = BoxDrawer(FRAME, make=still)
    with pytest.raises(UsageError, match="draw first: start, end"):
        drawer.confirm()
    drawer.draw((2, 3, 10.4, 11.6))
    drawer.draw((20, 3, 28, 12))
    assert drawer.boxes == {"start": (2, 3, 10, 12), "end": (20, 3, 28, 12)}
    drawer.draw((0, 0, 4, 4))
    assert drawer.boxes["start"] == (0, 0, 4, 4)
    drawer.draw((30, 3, 48, 32), "end")
    assert drawer.boxes["end"] == (30, 3, 48, 32)
    made = drawer.confirm()
    assert made is drawer.last
    assert made is not None
    assert "48×32, 4 frames" in made.text


def test_boxes_outside_and_names_unknown_are_refused() -> None:
    drawer = BoxDrawer(FRAME)
    for box in ((-1, 0, 4, 4), (40, 0, 49, 4), (0, 28, 4, 33), (4, 0, 5, 4), (8, 8, 4, 12), (1, 2, 3)):
        with pytest.raises(UsageError, match="a box"):
            drawer.draw(box)
    with pytest.raises(UsageError, match="`label` must be one of start, end"):
        drawer.draw((0, 0, 4, 4), "middle")
    with pytest.raises(UsageError, match="`labels`"):
        BoxDrawer(FRAME, [])
    with pytest.raises(UsageError, match="`frame`"):
        BoxDrawer(FRAME[0])
    assert drawer.boxes == {}


def test_the_widget_and_the_calls_share_their_boxes() -> None:
    pytest.importorskip("anywidget")
    drawer = BoxDrawer(FRAME, make=still)
    canvas, result = drawer.widget().children
    drawer.draw((2, 2, 12, 12))
    assert canvas.boxes == [[2, 2, 12, 12], []]
    assert canvas.active == 1
    canvas.confirmed += 1  # what Enter does
    assert 'role="alert"' in result.value
    assert "draw first: end" in result.value
    canvas.boxes = [[2, 2, 12, 12], [20, 2, 29, 12]]  # what the pointer does
    assert drawer.boxes == {"start": (2, 2, 12, 12), "end": (20, 2, 29, 12)}
    canvas.confirmed += 1
    assert "<figure" in result.value
    canvas.boxes = [[2, 2, 12, 12], [20, 2, 99, 12]]
    assert "must lie in the frame" in result.value
    assert drawer.boxes["end"] == (20, 2, 29, 12)


def test_a_fault_of_the_readers_own_function_is_shown_too() -> None:
    pytest.importorskip("anywidget")
    drawer = BoxDrawer(FRAME, ["start"], lambda boxes: boxes["end"])  # type: ignore[arg-type, return-value]
    canvas, result = drawer.widget().children
    drawer.draw((2, 2, 12, 12))
    with pytest.raises(KeyError):
        canvas.confirmed += 1
    assert "KeyError" in result.value
    assert 'role="alert"' in result.value


def test_without_a_notebook_it_says_what_to_call(monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    shown: list[object] = []
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr(display, "display", shown.append)
    drawer = BoxDrawer(FRAME)
    drawer.draw((2, 3, 10, 11))
    drawer._ipython_display_()
    assert str(shown[0]).startswith(
        "BoxDrawer on 48×32 px for start, end; boxes: start (2, 3, 10, 11); drawer.draw"
    )


def test_a_strip_shows_both_boxes() -> None:
    wanted = np.tile([4, 4, 12, 12], (6, 1))
    view = box_strip(np.zeros((6, 32, 32, 3), np.uint8), wanted, [None] * 5 + [(5, 5, 9, 9)], n=3)
    assert view.text == "frames 0, 2, 5 with the boxes wanted and found"
    assert "orange: found" in view.html
    with pytest.raises(UsageError, match="one box a frame is needed, got 4"):
        box_strip(np.zeros((6, 32, 32, 3), np.uint8), wanted[:4])


PAGE = """<!doctype html><body><div id="el"></div><script type="module">
const state = {frame: "FRAME", width: 48, height: 32, labels: ["start", "end"], boxes: [[], []], active: 0,
  confirmed: 0, action: "Make"}, heard = [];
window.state = state;
const model = {get: (k) => state[k], save_changes: () => {}, off: () => {},
  set: (k, v) => { state[k] = v; heard.forEach(([names, f]) => names.includes("change:" + k) && f()); },
  on: (names, f) => heard.push([names.split(" "), f])};
SOURCE
render({model, el: document.getElementById("el")});
window.ready = true;
</script></body>"""


@pytest.mark.browser
@pytest.mark.slow
def test_pointer_and_keys_draw_in_a_browser(tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    anywidget = pytest.importorskip("anywidget")
    assert anywidget
    canvas, _ = BoxDrawer(FRAME).widget().children
    source = (Path(__file__).parents[2] / "sorakit/nb/static/boxes.js").read_text()
    page_text = PAGE.replace("FRAME", canvas.frame).replace(
        "SOURCE", source.replace("export default", "void")
    )
    (tmp_path / "page.html").write_text(page_text)
    with sync_api.sync_playwright() as p:
        browser = p.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu", "--disable-quic"]
        )
        page = browser.new_page()
        page.goto((tmp_path / "page.html").as_uri())
        page.wait_for_function("window.ready")
        at = page.locator("canvas").bounding_box()
        assert at is not None
        page.mouse.move(at["x"] + 16, at["y"] + 24)
        page.mouse.down()
        page.mouse.move(at["x"] + 80, at["y"] + 88)
        page.mouse.up()
        assert page.evaluate("state.boxes") == [[2, 3, 10, 11], []]
        assert page.evaluate("state.active") == 1
        assert page.get_by_role("button", name="Make").is_disabled()
        for key in ("ArrowRight", "ArrowRight", "ArrowDown", "Shift+ArrowRight", "Shift+ArrowUp"):
            page.keyboard.press(key)
        assert page.evaluate("state.boxes[1]") == [13, 12, 25, 22]
        page.keyboard.press("Enter")
        assert page.evaluate("state.confirmed") == 1
        page.get_by_role("button", name="start").click()
        page.keyboard.press("ArrowLeft")
        assert page.evaluate("state.boxes[0]") == [1, 3, 9, 11]
        assert "start: 1, 3 to 9, 11" in page.get_by_role("status").inner_text()
        browser.close()
