"""The oracle's reading on the frames: boxes where sprites are, and words that agree with captions."""

import re

import numpy as np
import pytest

from sorakit.errors import UsageError
from sorakit.nb import readings
from sorakit.nb.reading import sentence
from sorakit.world import Space, caption, parse, read, render, sample_scene

PROMPT = "a big red circle moves right on a navy background"


def test_a_drawn_clip_reads_as_its_caption() -> None:
    rng = np.random.default_rng(0)
    for seed in range(20):
        scene = sample_scene(rng, Space(two=0.0, cut=0.3))
        assert sentence(read(render(scene, seed).frames)) == caption(scene)


def test_boxes_lie_around_the_sprite() -> None:
    drawn = render(parse(PROMPT), seed=1, height=64, width=96)
    html = readings([drawn.frames], n=2).html
    left = [float(x) for x in re.findall(r'<rect x="([\d.]+)"', html)][::2]
    width = float(re.findall(r'<rect [^>]* width="([\d.]+)"', html)[0])
    track = drawn.tracks[0]
    for i, t in enumerate((0, 15)):
        assert left[i] + width / 2 == pytest.approx(track.centre[t, 0] * 64 + i * 97, abs=1)
    assert width == pytest.approx(2 * track.radius[0] * 64, rel=0.1)
    assert html.count("<polygon") == 1  # the way, in the last still


def test_each_shot_gets_its_boxes() -> None:
    scene = parse(
        "a big red circle stays still on a navy background, "
        "cut to a big red circle moves up on a black background"
    )
    frames = render(scene, seed=1).frames
    whole = readings([frames], n=4).html
    assert whole.count("<rect") == 8
    empty_first = frames.copy()
    empty_first[:8] = frames[0, 0, 0]
    assert readings([empty_first], n=4).html.count("<rect") == 4
    assert readings([empty_first]).text.startswith("read: nothing on a navy background, cut to a big red")


def test_what_is_lacking_is_named() -> None:
    frames = render(parse(PROMPT), seed=1).frames
    view = readings([frames, frames[::-1].copy()], [PROMPT, PROMPT])
    good, bad = view.text.splitlines()
    assert good.endswith("all facts hold")
    assert bad.endswith("moves left on a navy background; not as asked: motion")
    assert "✓ all facts hold" in view.html
    assert "✗ not as asked: motion" in view.html


def test_noise_shows_nothing() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (16, 32, 32, 3)).astype(np.uint8)
    view = readings([noise], [PROMPT])
    assert "<rect" not in view.html
    assert "nothing on a" in view.text


def test_wrong_input_is_refused() -> None:
    frames = render(parse(PROMPT), seed=1).frames
    with pytest.raises(UsageError, match="each of the 1 clips, got 2"):
        readings([frames], [PROMPT, PROMPT])
    with pytest.raises(UsageError, match="does not know"):
        readings([frames], ["a purple cat"])
