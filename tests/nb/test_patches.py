"""The patch picker: its tokens are the model's, and the same by pointer, by keys and by call."""

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sorakit.errors import UsageError
from sorakit.nb import PatchPicker
from sorakit.video.convert import rgb_to_array
from sorakit.world import parse, render

PROMPT = "a big red circle moves right on a navy background"
FRAMES = render(parse(PROMPT), seed=3).frames


@pytest.mark.parametrize("patch", [(4, 8, 8), (1, 16, 8), (2, 4, 32)])
def test_tokens_are_those_of_the_model(patch: tuple[int, int, int]) -> None:
    torch = pytest.importorskip("torch")
    from sorakit.model.patch import patchify  # noqa: PLC0415

    picker = PatchPicker(FRAMES, patch)
    tokens = patchify(torch.from_numpy(rgb_to_array(FRAMES))[None], patch)[0].numpy()
    assert len(picker) == len(tokens)
    for number in range(len(picker)):
        token = picker.token(number)
        assert token.number == number
        assert picker.at(*token.place).number == number
        np.testing.assert_array_equal(token.vector, tokens[number])


def test_a_token_says_what_it_is() -> None:
    token = PatchPicker(FRAMES, (4, 8, 8), made=np.ones((64, 5))).token(21)
    assert token.place == (1, 1, 1)
    assert token.where == "frames 4 to 7, rows 8 to 15, columns 8 to 15"
    np.testing.assert_array_equal(token.pixels, FRAMES[4:8, 8:16, 8:16])
    html = token._repr_html_()
    assert html.count("<img") == 3
    assert "768 numbers" in html
    assert "the model's first layer makes 5" in repr(token)
    assert PatchPicker(FRAMES, (1, 8, 8)).token(0).where.startswith("frame 0, rows 0 to 7")


def test_the_widget_follows_and_refuses() -> None:
    pytest.importorskip("anywidget")
    picker = PatchPicker(FRAMES)
    made = picker.widget()
    assert made.grid == [4, 4, 4]
    before = made.says
    made.place = [0, 0, 1]
    assert picker.place == (0, 0, 1)
    assert "token 1<" in made.says != before
    made.place = [0, 0, 9]
    assert 'role="alert"' in made.says
    assert picker.place == (0, 0, 1)


@pytest.mark.browser
def test_pointer_and_keys_choose_in_a_browser(tmp_path: Path) -> None:
    """The script that ships, in Chromium, with a model object that only keeps values."""
    pytest.importorskip("anywidget")
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no Chromium here")
    made = PatchPicker(FRAMES).widget()
    script = made._esm.replace("export default", "const widget =")
    page_text = f"""<meta charset="utf-8"><div id="here"></div><script>{script}
      const values = {{strip: "{made.strip}", grid: [4, 4, 4], place: [2, 2, 2], says: "first"}};
      const heard = {{}};
      window.model = {{
        get: (k) => values[k], save_changes: () => 0,
        set: (k, v) => {{ values[k] = v; (heard["change:" + k] || []).forEach((f) => f()); }},
        on: (k, f) => (heard[k] ||= []).push(f), off: () => 0,
      }};
      widget.render({{model, el: document.getElementById("here")}});
    </script>"""
    (tmp_path / "page.html").write_text(page_text, encoding="utf-8")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 900, "height": 400})
        page.goto((tmp_path / "page.html").as_uri())
        canvas = page.locator("canvas")
        box = canvas.bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + 5, box["y"] + box["height"] - 5)
        place = "model.get('place')"
        assert page.evaluate(place) == [0, 3, 0]
        canvas.focus()
        for key in ("ArrowRight", "ArrowUp", "PageDown", "PageDown", "PageDown", "PageDown"):
            page.keyboard.press(key)
        assert page.evaluate(place) == [3, 2, 1]
        for key in ("PageUp", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown"):
            page.keyboard.press(key)
        assert page.evaluate(place) == [3, 3, 0], "over the frame's edge into the next frame"
        page.evaluate("model.set('says', '<b>token</b>')")
        assert page.locator("[role=status]").inner_text() == "token"
        assert "Arrow keys" in (canvas.get_attribute("aria-label") or "")
        browser.close()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="multiples of"):
        PatchPicker(FRAMES, (3, 8, 8))
    with pytest.raises(UsageError, match="a row a token"):
        PatchPicker(FRAMES, made=np.ones((3, 4)))
    picker = PatchPicker(FRAMES)
    with pytest.raises(UsageError, match="0 to 63, got 64"):
        picker.token(64)
    with pytest.raises(UsageError, match=r"under \(4, 4, 4\)"):
        picker.at(0, 4, 0)


def test_without_anywidget_it_says_what_to_call(monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    shown: list[Any] = []
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.setattr(display, "display", shown.append)
    PatchPicker(FRAMES)._ipython_display_()
    assert ".token(NUMBER) or .at(T, Y, X)" in str(shown[0])
