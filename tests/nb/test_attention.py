"""The attention map: weights noted from a real model, and the same by pointer, by keys and by call."""

import base64
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sorakit.errors import UsageError
from sorakit.generate import load_pipeline, seeded
from sorakit.nb import AttentionMap, attention_weights

PROMPT = "a big red circle moves right on a navy background"


def example(words: int = 2) -> AttentionMap:
    """Two blocks of two heads; in block 1, head 0 each patch looks at itself alone."""
    grid = (2, 2, 3)
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(words + 12), (2, 2, *grid))
    weights[1, 0] = np.eye(12, words + 12, words).reshape(*grid, -1)
    frames = np.zeros((4, 16, 24, 3), np.uint8)
    frames[..., 0] = 200
    return AttentionMap(frames, weights)


def picture(html: str) -> Any:
    """The still's pixels (H, W, 4)."""
    data = base64.b64decode(html.split("base64,")[1].split('"', maxsplit=1)[0])
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def test_weights_are_noted_and_the_clip_is_the_same() -> None:
    pipe = load_pipeline()
    how: dict[str, Any] = {"num_inference_steps": 2, "num_frames": 8}
    frames, weights = attention_weights(pipe, PROMPT, seed=4, **how)
    assert weights.shape == (4, 4, 2, 4, 4, 4 + 32)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    plain: Any = pipe(PROMPT, generator=seeded(4), **how)
    np.testing.assert_array_equal(frames, plain.frames[0])
    assert not any(block.attention._forward_pre_hooks for block in pipe.transformer.blocks)
    first = attention_weights(pipe, PROMPT, seed=4, look=0, **how)[1]
    assert np.abs(first - weights).max() > 0.01
    with pytest.raises(UsageError, match="`look` must be -2 to 1, got 2"):
        attention_weights(pipe, PROMPT, look=2, **how)


def test_shares_of_a_patch() -> None:
    looks = example().choose(layer=1, head=0)
    assert looks.of(1, 0, 2).sum() == looks.of(1, 0, 2)[1, 0, 2] == 1
    assert looks.words(1, 0, 2).tolist() == [0, 0]
    looks.choose(head=-1)
    mean = looks.weights[1, :, 1, 0, 2].mean(0)
    np.testing.assert_allclose(looks.of(1, 0, 2).ravel(), mean[2:])
    assert example(words=0).words(0, 0, 0).shape == (0,)


def test_the_still_lights_what_is_looked_at() -> None:
    view = example().choose(layer=1, head=1).still(0, 0, 0)
    drawn, row = picture(view.html), example().weights[1, 1, 0, 0, 0]
    h = w = 80  # a patch of 8 px, ten times as large
    centres = [
        drawn[h * y + h // 2, (3 * w + 8) * t + w * x + w // 2, 2]
        for t, y, x in np.ndindex(2, 2, 3)
        if (t, y, x) != (0, 0, 0)
    ]
    assert np.argsort(centres).tolist() == np.argsort(row[3:]).tolist()
    assert drawn[h // 2, w // 2, :3].tolist() == [0, 0, 200], "the chosen patch keeps its colours"
    assert "patch (0, 0, 0) looks most at" in view.text
    assert view.text in view.html


def test_the_widget_and_the_calls_share_one_state() -> None:
    pytest.importorskip("anywidget")
    looks = example()
    widget = looks.widget()
    widget.state = [1, 0, 1, 0, 2]  # as the pointer sets it
    assert (looks.layer, looks.head, looks.at) == (1, 0, (1, 0, 2))
    assert "looks most at (1, 0, 2) 100 %" in repr(widget)
    looks.choose(layer=0, head=-1, at=(0, 1, 1))
    assert widget.state == [0, -1, 0, 1, 1]
    assert "block 0, all heads: patch (0, 1, 1)" in repr(looks)


def test_what_does_not_fit_is_refused() -> None:
    looks = example()
    with pytest.raises(UsageError, match="`layer` must be 0 to 1, got 2"):
        looks.choose(layer=2)
    with pytest.raises(UsageError, match="`x` must be 0 to 2, got 3"):
        looks.of(0, 0, 3)
    for shape in ((5, 16, 24, 3), (4, 16, 24)):
        with pytest.raises(UsageError, match="need frames"):
            AttentionMap(np.zeros(shape, np.uint8), looks.weights)
    with pytest.raises(UsageError, match="need frames"):
        AttentionMap(looks.frames, looks.weights[..., :5])


def test_a_notebook_without_widgets_shows_the_still(monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    shown: list[object] = []
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.setattr(display, "display", shown.append)
    example()._ipython_display_()
    assert "block 1, all heads: patch (1, 1, 1)" in str(shown[0])


@pytest.mark.browser
def test_pointer_keys_and_lists_move_the_patch_in_a_browser(tmp_path: Path) -> None:
    pytest.importorskip("anywidget")
    api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no Chromium here")
    widget = example().choose(layer=1, head=0, at=(0, 0, 0)).widget()
    page_of = tmp_path / "page.html"
    page_of.write_text(_page(widget), encoding="utf-8")
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(page_of.as_uri())
        status = page.get_by_role("status")
        api.expect(status).to_contain_text("block 1, head 0: patch (0, 0, 0) looks most at (0, 0, 0) 100 %")
        page.focus("canvas")
        for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown"):
            page.keyboard.press(key)
        api.expect(status).to_contain_text("patch (1, 1, 0)")  # over the edge into the next frame
        page.keyboard.press("PageUp")
        api.expect(status).to_contain_text("patch (0, 1, 0)")
        page.get_by_label("Head").select_option("mean of all")
        api.expect(status).to_contain_text("block 1, all heads")
        box = page.locator("canvas").bounding_box()
        page.mouse.move(box["x"] + 0.95 * box["width"], box["y"] + 10)
        api.expect(status).to_contain_text("patch (1, 0, 2)")
        browser.close()


def _page(widget: Any) -> str:
    """The widget's script in a page of its own, with a model that only keeps values."""
    kept = {name: getattr(widget, name) for name in ("dim", "clear", "shape", "state")}
    return (
        '<!doctype html><meta charset="utf-8"><div id="here"></div><script type="module">'
        + str(widget._esm).replace("export default", "const widget =")
        + f"const kept = {json.dumps(kept)}, heard = [];"
        + f'const raw = atob("{base64.b64encode(widget.shares).decode()}");'
        + "const bytes = Uint8Array.from(raw, c => c.charCodeAt(0));"
        + "kept.shares = new DataView(bytes.buffer);"
        + "const model = { get: k => kept[k], set: (k, v) => { kept[k] = v; }, on: (_e, f) => heard.push(f),"
        + " off: () => {}, save_changes: () => heard.forEach(f => f()) };"
        + 'widget.render({ model, el: document.getElementById("here") });</script>'
    )
