import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sorakit.contact_sheet import Gallery, check_picture, draw, write_png
from sorakit.errors import ModelError, OutputError, UsageError
from sorakit.fidelity import SHOWN, Outcome, Sampling, Scores, ceiling, held_out_gap, measure, run
from sorakit.generate import ModelInfo, load_info
from sorakit.intervals import share, wilson
from sorakit.prompts import COMBOS, GROUPS, fresh_scenes, prompt_space
from sorakit.world.caption import caption, parse
from sorakit.world.oracle import score
from sorakit.world.render import render
from sorakit.world.scene import TEXTURES, Scene, is_held_out

FAST = Sampling(steps=2)


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return measure(6, 3, seeds=2, sampling=FAST, combos="both")


def whole_world() -> ModelInfo:
    """A model that says it can show everything."""
    return load_info().model_copy(
        update={"sprites": 2, "shots": 2, "camera": True, "textures": list(TEXTURES)}
    )


def combinations(scenes: list[Scene]) -> list[tuple[str, str, str]]:
    return [(s.colour, s.shape, s.motion) for scene in scenes for shot in scene.shots for s in shot.sprites]


# prompts


def test_prompts_stay_within_what_the_model_can_show() -> None:
    for info in (load_info(), whole_world()):
        for scene in fresh_scenes(info, 100, 1):
            info.check(scene)
    assert not any(
        shot.camera or len(shot.sprites) > 1 for s in fresh_scenes(load_info(), 100, 1) for shot in s.shots
    )


def test_held_out_prompts_hold_only_held_out_sprites() -> None:
    held = combinations(fresh_scenes(whole_world(), 60, 0, "held_out"))
    seen = combinations(fresh_scenes(whole_world(), 60, 0, "seen"))
    assert len(held) > 60
    assert all(is_held_out(*c) for c in held)
    assert not any(is_held_out(*c) for c in seen)


def test_both_takes_turns_within_one_mix_of_scenes() -> None:
    scenes = fresh_scenes(whole_world(), 1000, 0, "both")
    assert [GROUPS["held_out"](s) for s in scenes] == [False, True] * 500
    two = [np.mean([GROUPS["two_objects"](s) for s in scenes[i::2]]) for i in (0, 1)]
    assert two == pytest.approx([0.4, 0.4], abs=0.07)
    both, one = prompt_space(whole_world(), "seen"), prompt_space(whole_world(), "held_out")
    assert dataclasses.replace(both, combinations="held_out") == one


def test_groups_split_all_prompts() -> None:
    scenes = fresh_scenes(whole_world(), 300, 5)
    count = {name: sum(map(rule, scenes)) for name, rule in GROUPS.items()}
    for parts in (
        ("one_object", "two_objects", "with_cut"),
        ("fixed_camera", "with_camera"),
        ("seen", "held_out"),
    ):
        assert sum(count[p] for p in parts) == 300
        assert all(count[p] > 0 for p in parts)


def test_longer_runs_repeat_the_shorter_and_streams_differ() -> None:
    info = whole_world()
    for combos in COMBOS:
        assert fresh_scenes(info, 20, 7, combos)[:8] == fresh_scenes(info, 8, 7, combos)
    assert fresh_scenes(info, 20, 7) != fresh_scenes(info, 20, 7, stream="develop")
    assert fresh_scenes(info, 20, 7) != fresh_scenes(info, 20, 8)


# measuring


def test_the_result_has_what_scripts_rely_on(result: dict[str, Any]) -> None:
    json.dumps(result)
    assert (result["n"], result["seeds"], result["clips"]) == (6, 2, 12)
    for name in ("all_facts", "colour", "shape", "size", "motion", "count", "background", "camera"):
        low, high = result[f"{name}_ci"]
        assert 0 <= low <= result[name] <= high <= 1
        assert result["ceiling"][name] >= 0.8
    assert (result["frames"], result["height"], result["width"]) == (16, 32, 32)
    assert result["evaluations"] == 4  # two steps, each on the prompt and on the empty prompt
    assert result["cpu_s_per_clip"] > 0


def test_groups_add_up_to_the_whole(result: dict[str, Any]) -> None:
    groups = result["groups"]
    assert (groups["seen"]["n"], groups["held_out"]["n"]) == (3, 3)
    assert groups["two_objects"] == {"n": 0, "clips": 0} | dict.fromkeys(
        [k for f in SHOWN for k in (f, f"{f}_ci")]
    )
    for name in SHOWN:
        parts = [(groups[g]["clips"], groups[g][name]) for g in ("seen", "held_out")]
        assert sum(n * v for n, v in parts) / 12 == pytest.approx(result[name], abs=1e-3)
        gap = groups["held_out"][name] - groups["seen"][name]
        assert result["held_out_minus_seen"][name] == pytest.approx(gap, abs=2e-4)


def test_a_run_is_repeatable_and_grows() -> None:
    seen: list[Outcome] = []
    small = run(2, 4, seeds=2, sampling=FAST, visit=seen.append)
    large = run(3, 4, seeds=3, sampling=FAST)
    for name, rows in small.facts.items():
        assert rows.shape == (2, 2)
        np.testing.assert_allclose(large.facts[name][:2, :2], rows, atol=1e-6)
    assert [(o.prompt, o.repeat) for o in seen] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert all(o.scene is small.scenes[o.prompt] for o in seen)
    assert not np.array_equal(seen[0].frames, seen[1].frames)  # each seed has noise of its own
    assert seen[0].scores == score(seen[0].frames, seen[0].scene)


def test_other_shapes_and_batches(result: dict[str, Any]) -> None:
    wide = measure(1, sampling=Sampling(steps=1, frames=24, width=48))
    assert (wide["frames"], wide["height"], wide["width"]) == (24, 32, 48)
    assert wide["held_out_minus_seen"] is None
    assert Sampling().batch == 16
    assert Sampling(device="cuda").batch == 128
    assert Sampling(frames=64, height=128, width=128).batch == 1


def test_batches_are_no_larger_than_attention_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sorakit.canvas.MAX_PAIRS", 2 * 64**2)  # two clips of 64 tokens
    assert measure(3, sampling=Sampling(steps=1))["clips"] == 3


def facts_of(scenes: list[Scene], rows: np.ndarray) -> Scores:
    facts = {name: rows.astype(float) for name in SHOWN}
    return Scores(load_info(), Sampling(), tuple(scenes), facts, (16, 32, 32), 1.0, 1.0, 1.0)


def test_shares_of_known_rows() -> None:
    scenes = fresh_scenes(whole_world(), 40, 2, "both")
    held = np.arange(40) % 2 == 1
    rows = np.where(held[:, None], [[1, 0, 0]], [[1, 1, 1]])
    scores = facts_of(scenes, rows)
    found = scores.of("shape", "held_out")
    assert found is not None
    assert found.mean == pytest.approx(1 / 3)
    assert found == share(rows[held])
    gap = held_out_gap(scores)
    assert gap is not None
    assert gap["shape"] == pytest.approx(-2 / 3, abs=1e-4)
    assert gap["shape_ci"][1] < -0.4
    assert held_out_gap(facts_of(scenes[::2], rows[::2])) is None
    single = facts_of(scenes, rows[:, :1]).of("shape")
    assert single is not None
    assert single.ci == wilson(1.0, 40)


def test_the_ceiling_is_the_oracles_score_on_drawn_scenes() -> None:
    scenes = fresh_scenes(whole_world(), 12, 9)
    found = ceiling(facts_of(scenes, np.zeros((12, 1))), seed=9)
    drawn = [score(render(s, 9 + i).frames, s)["motion"] for i, s in enumerate(scenes)]
    assert found["motion"] == pytest.approx(np.mean(drawn), abs=1e-4)
    assert found["all_facts"] >= 0.9


@pytest.mark.parametrize(
    "change", [{"n": 0}, {"seeds": 0}, {"n": 60_000, "seeds": 2}, {"seed": -1}, {"combos": "odd"},
               {"combos": "both", "n": 1}], ids=str,
)  # fmt: skip
def test_numbers_it_cannot_use_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        measure(**({"n": 2, "sampling": FAST} | change))


@pytest.mark.parametrize("change", [{"frames": 4}, {"height": 8}, {"width": 0}], ids=str)
def test_clips_that_the_oracle_cannot_read_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=f"`{next(iter(change))}`"):
        Sampling(**change)


def test_no_model_no_measure(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        measure(1, model=tmp_path)
    with pytest.raises(UsageError):
        measure(1, sampling=Sampling(steps=1, width=36))  # no multiple of the patch


# the picture


def outcome(i: int, prompt: str, shown: str | None = None) -> Outcome:
    """`prompt` answered by a drawing of `shown`."""
    scene = parse(prompt)
    frames = render(parse(shown or prompt), i).frames
    return Outcome(i, 0, scene, frames, score(frames, scene))


CIRCLE = "a big red circle bounces on a navy background"
SQUARE = "a big red square bounces on a navy background"
TWO = (
    "a small blue cross grows and a big white circle orbits on a dotted gray background, camera pans left, "
    "cut to a big red square stays still on a black background"
)


def test_failures_come_first_and_leave_room_for_successes() -> None:
    gallery = Gallery(size=8)
    for i in range(20):
        gallery(outcome(i, CIRCLE, CIRCLE if i % 2 else SQUARE))
    assert (gallery.seen, gallery.missed) == (20, 10)
    flags = [o.scores["all_facts"] for o in gallery.chosen()]
    assert flags == [0.0] * 6 + [1.0] * 2
    few = Gallery(size=8)
    for i in range(10):
        few(outcome(i, CIRCLE, None if i else SQUARE))
    assert [o.scores["all_facts"] for o in few.chosen()] == [0.0] + [1.0] * 7


def test_the_picture_shows_each_clip_and_says_who_made_it(tmp_path: Path) -> None:
    gallery = Gallery()
    for i, (prompt, shown) in enumerate([(CIRCLE, SQUARE), (CIRCLE, CIRCLE), (TWO, CIRCLE), (CIRCLE, TWO)]):
        gallery(outcome(i, prompt, shown))
    path = tmp_path / "sheet.png"
    write_png(draw(gallery, "a title"), path)
    with Image.open(path) as sheet:
        sheet.load()
        assert sheet.width > 1500
        pixels = np.asarray(sheet.convert("RGB"))
        assert "trainedAlgorithmicMedia" in sheet.text["XML:com.adobe.xmp"]  # type: ignore[attr-defined]
    first = gallery.chosen()[0].frames[0].repeat(4, 0).repeat(4, 1)  # as in the upper left card
    top, left = 140 + 8 + 16, 24 + 24
    np.testing.assert_array_equal(pixels[top : top + 128, left : left + 128], first)
    assert list(tmp_path.iterdir()) == [path]


def test_a_picture_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no clip"):
        draw(Gallery(), "empty")
    for bad in (tmp_path / "a.jpg", tmp_path / "none" / "a.png"):
        with pytest.raises(UsageError):
            check_picture(bad)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UsageError):
        check_picture(tmp_path / "folder.png")
    with pytest.raises(OutputError, match="cannot write"):
        write_png(Image.new("RGB", (2, 2)), tmp_path / "none" / "a.png")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.png"]


def test_every_caption_reads_back() -> None:
    for scene in fresh_scenes(whole_world(), 50, 11):
        assert parse(caption(scene)) == scene
