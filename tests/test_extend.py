import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.schedulers import FlowMatchEulerDiscreteScheduler

from sorakit.errors import UsageError
from sorakit.extend import Sampler, extend, extend_chunks, interpolate, open_sampler, roll
from sorakit.model.dit import VideoDiT
from sorakit.model.text import TextEncoder
from sorakit.model.tokenizer import build_tokenizer
from sorakit.model.vae import VideoVAE
from sorakit.pipeline import SoraPipeline
from sorakit.types import Clip
from sorakit.world.caption import EXAMPLE

OTHER = "a small cyan cross moves left on a black background"


def tiny(vae: VideoVAE | None = None, **model: object) -> Sampler:
    torch.manual_seed(0)
    dit = VideoDiT(width=16, depth=1, heads=2, text_width=16, **{"given_frames": True} | model)
    with torch.no_grad():
        for p in dit.parameters():
            p.add_(0.1 * torch.randn_like(p))
    text = TextEncoder(width=16, heads=2)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=4.0)
    pipe = SoraPipeline(build_tokenizer(), text.eval(), dit.eval(), scheduler, vae, size=(16, 16, 16))
    pipe.set_progress_bar_config(disable=True)
    return open_sampler(pipe, steps=1, guidance=1.0)


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return tiny()


def clip(frames: int, height: int = 16, width: int = 24, fps: int = 8) -> Clip:
    pixels = np.random.default_rng(frames).integers(0, 256, (frames, height, width, 3), np.uint8)
    return Clip(pixels, Fraction(fps))


@pytest.mark.parametrize("known", [4, 8])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_clip_stays_and_grows_to_the_length(sampler: Sampler, known: int, direction: str) -> None:
    source = clip(10)
    shares: list[float] = []
    long = extend(
        sampler, source, EXAMPLE, 5, direction=direction, known=known, seed=3,
        progress=lambda _, share: shares.append(share),
    )  # fmt: skip
    assert (len(long.frames), long.fps, long.duration) == (40, 8, 5)
    kept = long.frames[:10] if direction == "forward" else long.frames[-10:]
    np.testing.assert_array_equal(kept, source.frames)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    again = extend(sampler, source, EXAMPLE, 5, direction=direction, known=known, seed=3)
    np.testing.assert_array_equal(long.frames, again.frames)
    other = extend(sampler, source, EXAMPLE, 5, direction=direction, known=known, seed=4)
    assert (long.frames != other.frames).any()


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_longer_clip_begins_as_the_shorter(sampler: Sampler, direction: str) -> None:
    short, long = (extend(sampler, clip(10), EXAMPLE, s, direction=direction).frames for s in (3, 6))
    same = long[: len(short)] if direction == "forward" else long[-len(short) :]
    np.testing.assert_array_equal(same, short)


def test_each_window_is_made_around_the_last_frames(sampler: Sampler) -> None:
    edge = clip(8).frames
    chunks = list(extend_chunks(sampler, edge, EXAMPLE, 20, seed=1))
    assert [len(c) for c in chunks] == [8, 8, 4]
    second = next(iter(roll(sampler, chunks[0][None], [[EXAMPLE]], [1])))
    assert second.shape == (1, 8, 16, 24, 3)
    whole = extend(sampler, Clip(edge, Fraction(8)), EXAMPLE, 3.5, seed=1)
    np.testing.assert_array_equal(whole.frames[8:], np.concatenate(chunks))
    back = list(extend_chunks(sampler, edge, EXAMPLE, 20, seed=1, direction="backward"))
    whole = extend(sampler, Clip(edge, Fraction(8)), EXAMPLE, 3.5, seed=1, direction="backward")
    np.testing.assert_array_equal(whole.frames[:20], np.concatenate(back[::-1]))


def test_several_clips_roll_as_each_alone(sampler: Sampler) -> None:
    edges = np.stack([clip(8).frames, clip(8).frames[::-1]])
    both = next(iter(roll(sampler, edges, [[EXAMPLE, OTHER]], [1, 2])))
    alone = next(iter(roll(sampler, edges[1:], [[OTHER]], [2])))
    assert np.abs(both[1].astype(int) - alone[0]).max() <= 1


def test_a_story_changes_by_the_window(sampler: Sampler) -> None:
    plain, story = (extend(sampler, clip(8), p, 5).frames for p in (EXAMPLE, [EXAMPLE, OTHER]))
    np.testing.assert_array_equal(plain[:24], story[:24])  # two of the four windows
    assert (plain[24:] != story[24:]).any()
    about = extend(sampler, clip(8), [EXAMPLE, OTHER], 3).generation
    assert about is not None
    assert about.prompt == f"{EXAMPLE} → {OTHER}"
    back = extend(sampler, clip(8), [OTHER, EXAMPLE], 5, direction="backward").frames
    same = extend(sampler, clip(8), EXAMPLE, 5, direction="backward").frames
    np.testing.assert_array_equal(back[-24:], same[-24:])  # the part that is watched last
    assert (back[:-24] != same[:-24]).any()


def test_chunks_take_no_more_memory_for_more_of_them(sampler: Sampler) -> None:
    def peak(frames: int) -> int:
        tracemalloc.start()
        for _ in extend_chunks(sampler, clip(8).frames, EXAMPLE, frames):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(16)
    assert peak(160) < peak(32) * 1.2 + 100_000


@pytest.mark.parametrize("factor", [2, 3, 5])
@pytest.mark.parametrize("frames", [2, 9, 20])
def test_frames_come_between_frames(sampler: Sampler, factor: int, frames: int) -> None:
    source = clip(frames)
    smooth = interpolate(sampler, source, EXAMPLE, factor=factor, seed=1)
    assert len(smooth.frames) == (frames - 1) * factor + 1
    assert smooth.fps == 8 * factor
    np.testing.assert_array_equal(smooth.frames[::factor], source.frames)
    again = interpolate(sampler, source, EXAMPLE, factor=factor, seed=1)
    np.testing.assert_array_equal(again.frames, smooth.frames)


def test_latents_go_on_by_whole_groups() -> None:
    vae = VideoVAE(channels=4, encoder_widths=(8, 8), decoder_widths=(8, 8, 8)).eval()
    latent = tiny(vae, channels=4, patch=(1, 2, 2))
    assert (latent.group, latent.side) == (4, 16)
    long = extend(latent, clip(8, 16, 32), EXAMPLE, 3, known=4)
    np.testing.assert_array_equal(long.frames[:8], clip(8, 16, 32).frames)
    with pytest.raises(UsageError, match="a multiple of 4, got 6"):
        extend(latent, clip(8, 16, 32), EXAMPLE, 3, known=6)
    with pytest.raises(UsageError, match="sees frames 4 at a time and has none between"):
        interpolate(latent, clip(8, 16, 32), EXAMPLE)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"seconds": 1}, "`seconds` must be over the clip's 1.25 and at most 600"),
        ({"seconds": 601}, "at most 600"),
        ({"seconds": float("nan")}, "seconds"),
        ({"known": 0}, "`known` must be 1 to"),
        ({"known": 11}, "`known` must be 1 to the clip's 10 frames"),
        ({"direction": "sideways"}, "forward or backward"),
        ({"prompt": []}, "got none"),
        ({"prompt": "a red dragon"}, "does not know"),
        ({"prompt": f"{EXAMPLE}, cut to {OTHER}"}, "a window shows one shot"),
        ({"prompt": [EXAMPLE] * 9}, "9 prompts need as many windows"),
        ({"clip": clip(10, 20, 24)}, "`height` must be a positive multiple of 8"),
    ],
)
def test_what_cannot_be_extended_is_refused(
    sampler: Sampler, change: dict[str, object], problem: str
) -> None:
    arguments = {"clip": clip(10), "prompt": EXAMPLE, "seconds": 3} | change
    with pytest.raises(UsageError, match=problem):
        extend(sampler, **arguments)


def test_known_must_leave_room(sampler: Sampler) -> None:
    with pytest.raises(UsageError, match="under the window of 16 frames"):
        extend(sampler, clip(20), EXAMPLE, 4, known=16)
    for factor in (1, 16):
        with pytest.raises(UsageError, match="`factor` must be 2 to 15"):
            interpolate(sampler, clip(4), EXAMPLE, factor=factor)
    with pytest.raises(UsageError, match="at least 2 frames"):
        interpolate(sampler, clip(1), EXAMPLE)


def test_a_model_without_given_frames_is_refused(text_only: Path) -> None:
    with pytest.raises(UsageError, match=r"sorakit-text-only was not trained to be given images or frames"):
        extend(text_only, clip(8), EXAMPLE, 2)
    with pytest.raises(UsageError, match="not trained to be given frames"):
        tiny(given_frames=False)


def test_nothing_is_written(sampler: Sampler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    extend(sampler, clip(8), EXAMPLE, 2)
    assert list(tmp_path.iterdir()) == []
