"""Looking at videos: what a notebook embeds, how much of it, and what a terminal shows instead."""

import base64
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sorakit.errors import NotAVideoError, UsageError
from sorakit.nb import difference, show, side_by_side, strip
from sorakit.nb import show as again
from sorakit.nb.pictures import filmstrip, pick, stills, stills_task
from sorakit.types import Clip


def clip(t: int = 10, size: tuple[int, int] = (48, 32)) -> Clip:
    """Frame i has the grey level 20 * i."""
    frames = np.zeros((t, size[1], size[0], 3), np.uint8)
    frames += (20 * np.arange(t, dtype=np.uint8))[:, None, None, None]
    return Clip(frames, Fraction(10))


def embedded(html: str, mime: str) -> bytes:
    """The one data URI of this kind in a piece of HTML."""
    head = f"data:{mime};base64,"
    assert html.count(head) == 1
    return base64.b64decode(html.split(head)[1].split('"', maxsplit=1)[0])


def test_stills_are_spread_evenly() -> None:
    levels = [int(s[0, 0, 0]) for s in stills(clip(), 5, height=16)]
    assert levels == [20, 60, 100, 140, 180]
    assert [s.shape for s in stills(clip(), 2, height=16)] == [(16, 24, 3)] * 2
    assert len(stills(clip(3), 8, height=16)) == 3


def test_stills_have_bounds() -> None:
    for n in (0, 65):
        with pytest.raises(UsageError, match="`n` must be"):
            stills(clip(), n)
    with pytest.raises(UsageError, match="`height` must be"):
        stills(clip(), height=5000)
    wide = Clip(np.zeros((2, 2, 4000, 3), np.uint8), Fraction(2))
    assert stills(wide, 1, height=16)[0].shape == (16, 128, 3)


def test_a_strip_is_one_picture() -> None:
    picture = filmstrip(stills(clip(), 3, height=16), gap=4)
    assert picture.shape == (16, 3 * 24 + 2 * 4, 3)
    view = strip(clip(), 3, height=16, caption="three")
    data = cv2.imdecode(np.frombuffer(embedded(view.html, "image/jpeg"), np.uint8), cv2.IMREAD_COLOR)
    assert data is not None
    assert data.shape == (16, 80, 3)
    assert "three" in view.html
    assert 'alt="3 stills of clip in memory' in view.html


def test_a_file_is_embedded_byte_for_byte(tmp_path: Path, file_factory: Any, clip_factory: Any) -> None:
    path = file_factory(tmp_path / "a.mp4", clip_factory(1.0, (128, 96), 12))
    view = show(path)
    assert embedded(view.html, "video/mp4") == path.read_bytes()
    for word in ("loop", "muted", "controls", "aria-label"):
        assert word in view.html
    assert repr(view).startswith("a.mp4, 128×96, 1.0 s, h264")


def test_a_large_file_is_flipped_through(
    tmp_path: Path, file_factory: Any, clip_factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys  # noqa: PLC0415

    path = file_factory(tmp_path / "a.mp4", clip_factory(1.0, (128, 96), 12))
    monkeypatch.setattr(sys.modules["sorakit.nb.view"], "MAX_EMBED", 100)
    html = show(path, height=48).html
    assert "<video" not in html
    assert "steps(12)" in html
    assert len(embedded(html, "image/jpeg")) < 200_000


def test_a_clip_in_memory_never_becomes_a_video() -> None:
    html = show(clip(), height=32).html
    assert "video/mp4" not in html
    assert "steps(10)" in html
    assert "prefers-reduced-motion" in html
    assert "1.0s" in html
    other = show(clip(), height=32).html  # two flip books on one page must not share a name
    assert html.split("@keyframes ")[1].split(" ")[0] != other.split("@keyframes ")[1].split(" ")[0]


def test_captions_are_escaped() -> None:
    assert "<script" not in show(clip(), height=32, caption="<script>").html


def test_side_by_side_wants_two_to_six() -> None:
    view = side_by_side(clip(), clip(), captions=["one", "two"], height=32)
    assert view.html.count("<figure") == 2
    assert view.html.index("one") < view.html.index("two")
    with pytest.raises(UsageError, match="2 to 6"):
        side_by_side(clip())
    with pytest.raises(UsageError, match="each of the 2"):
        side_by_side(clip(), clip(), captions=["one"])


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("text")
    for look in (show, strip):
        with pytest.raises(NotAVideoError):
            look(path)
    with pytest.raises(UsageError, match="`height`"):
        show(clip(), height=4)


def test_the_guarded_task_gives_jpegs(tmp_path: Path, file_factory: Any, clip_factory: Any) -> None:
    path = file_factory(tmp_path / "a.mp4", clip_factory(1.0, (128, 96), 12))
    answer = stills_task({"path": str(path), "n": 3, "height": 24}, lambda step, share: None)
    assert [base64.b64decode(s)[:2] for s in answer["stills"]] == [b"\xff\xd8"] * 3
    assert len(pick(path, 5)) == 5


def test_the_package_gives_its_parts_by_name() -> None:
    assert again is show
    assert callable(show)
    from sorakit import nb  # noqa: PLC0415

    with pytest.raises(AttributeError, match="it has AttackLab"):
        _ = nb.nothing


def test_a_difference_is_amplified_and_said(way: Any) -> None:
    a = clip()
    assert repr(difference(a, a)).endswith("mean 0.00 of 255, largest 0")
    other = Clip(a.frames + np.uint8(3), a.fps)
    seen = difference(a, other, 4, gain=20, height=32)
    assert repr(seen) == "4 stills of a difference, 20 times: mean 3.00 of 255, largest 3"
    picture = cv2.imdecode(np.frombuffer(embedded(seen.html, "image/jpeg"), np.uint8), cv2.IMREAD_COLOR)
    assert abs(int(picture[5, 5].max()) - 60) <= 2
    made = way.clip()
    published = way.publish(made, "a.mp4")
    assert float(repr(difference(made, published.path)).split("mean ")[1].split()[0]) < 8


def test_what_does_not_lie_over_each_other_has_no_difference() -> None:
    with pytest.raises(UsageError, match="do not lie over each other"):
        difference(clip(), clip(size=(32, 32)))
    for gain in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="`gain`"):
            difference(clip(), clip(), gain=gain)
