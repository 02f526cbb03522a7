"""The live curve redraws in its cell; the clock of the course may be shortened."""

import base64
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest

from sorakit.errors import UsageError
from sorakit.nb import LiveCurve, seconds
from sorakit.types import Clip

CLIP = Clip(np.full((8, 16, 16, 3), 90, np.uint8), Fraction(8))


def test_the_curve_is_drawn_with_the_newest_clip() -> None:
    pytest.importorskip("matplotlib")
    curve = LiveCurve("step", "loss", every=60)
    assert curve._repr_html_() == ""
    assert repr(curve) == "loss against step: no points yet"
    for i in range(30):
        curve.add(i, 1 / (1 + i))
    curve.picture(CLIP, "after <5> s")
    html = curve._repr_html_()
    assert "after &lt;5&gt; s" in html
    png = base64.b64decode(html.split("data:image/png;base64,")[1].split('"', maxsplit=1)[0])
    assert cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR).shape == (260, 640, 3)
    assert curve.means[0] == 1
    assert curve.means[-1] < curve.means[-2]
    assert "loss at step 29:" in html


def test_a_notebook_updates_one_output(monkeypatch: pytest.MonkeyPatch) -> None:
    ipython = pytest.importorskip("IPython")
    shown: list[Any] = []

    class Handle:
        def update(self, what: Any) -> None:
            shown.append(("again", what))

    def display(what: Any, *, display_id: bool) -> Handle:
        shown.append(("first", what, display_id))
        return Handle()

    monkeypatch.setattr(ipython, "get_ipython", object)
    monkeypatch.setattr(ipython.display, "display", display)
    curve = LiveCurve("step", "loss", every=0)
    curve.add(0, 1.0)
    curve.add(1, 0.9)
    assert shown == [("first", curve, True), ("again", curve)]


def test_the_course_may_be_given_less_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SORAKIT_COURSE_SECONDS", raising=False)
    assert seconds(90) == 90
    monkeypatch.setenv("SORAKIT_COURSE_SECONDS", "20")
    assert seconds(90) == 20
    assert seconds(5) == 5
    for wrong in ("soon", "0", "nan"):
        monkeypatch.setenv("SORAKIT_COURSE_SECONDS", wrong)
        with pytest.raises(UsageError, match=f"over 0, got '{wrong}'"):
            seconds(90)
