from collections.abc import Callable

import cv2
import numpy as np
import pytest

from sorakit.errors import UnsupportedError, UsageError
from sorakit.robustness.work import structural_similarity
from sorakit.types import FrameGeometry
from sorakit.watermark.video import VideoWatermark

PAYLOAD = 0x1234567890ABCDEF
MARK = VideoWatermark()


def _psnr(a: list[np.ndarray], b: list[np.ndarray], peak: float = 255) -> float:
    error = np.mean([np.mean((x.astype(float) - y) ** 2) for x, y in zip(a, b, strict=True)])
    return 10 * float(np.log10(peak**2 / error))


@pytest.mark.parametrize("target", [40.0, 43.0, 46.0])
def test_psnr_is_at_least_the_target_and_near_it_on_texture(textured: Callable, target: float) -> None:
    frames = textured()
    filt = MARK.embedder(FrameGeometry(480, 270), PAYLOAD, psnr=target)
    got = _psnr(frames, [filt(f) for f in frames])
    assert target - 0.15 <= got < target + 1.5


@pytest.mark.parametrize("count", [1, 2, 6, 12, 24])
def test_a_short_clip_whose_length_is_known_keeps_its_psnr(textured: Callable, count: int) -> None:
    frames = textured(n=count)
    filt = MARK.embedder(FrameGeometry(480, 270), PAYLOAD, psnr=42, frames=count)
    marked = [filt(f) for f in frames]
    assert _psnr(frames, marked) >= 41.98
    if count >= 12:  # and the first frame still gets more
        assert _psnr(frames[:1], marked[:1]) < _psnr(frames[-1:], marked[-1:]) - 1.5


def test_a_cut_near_the_end_is_not_overspent_on(textured: Callable) -> None:
    frames = textured(n=24) + textured(n=4, seed=3)
    filt = MARK.embedder(FrameGeometry(480, 270), PAYLOAD, psnr=42, frames=len(frames))
    assert _psnr(frames, [filt(f) for f in frames]) >= 41.98


def test_structural_similarity_is_kept_in_flat_pictures() -> None:
    rng = np.random.default_rng(0)
    frames = [np.clip(rng.normal(120, 0.7, (270, 480)), 0, 255).astype(np.uint8) for _ in range(30)]
    filt = MARK.embedder(FrameGeometry(480, 270), PAYLOAD)
    similar = [structural_similarity(f.astype(np.float32), filt(f).astype(np.float32)) for f in frames]
    assert np.mean(similar) >= 0.992
    assert min(similar) < 0.9985  # there is a mark


def _slopes(size: tuple[int, int], count: int, noise: float) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[: size[0], : size[1]]
    slopes = (110 + 50 * np.sin((x + 3 * t) / 130) + 20 * np.cos((y - 2 * t) / 90) for t in range(count))
    return [np.rint(s + noise * rng.standard_normal(size)).astype(np.uint8) for s in slopes]


@pytest.mark.parametrize("noise", [0.0, 0.5])
@pytest.mark.parametrize("count", [None, 18, 48])
def test_structural_similarity_is_kept_in_smooth_slopes(count: int | None, noise: float) -> None:
    frames = _slopes((360, 512), count or 36, noise)
    filt = MARK.embedder(FrameGeometry(512, 360), PAYLOAD, frames=count)
    marked = [filt(f) for f in frames]
    similar = [
        structural_similarity(a.astype(np.float32), b.astype(np.float32))
        for a, b in zip(frames, marked, strict=True)
    ]
    assert np.mean(similar) >= 0.992
    assert MARK.detect((t / 24, f) for t, f in enumerate(marked[-6:])).payload == f"{PAYLOAD:016x}"


def test_a_small_picture_keeps_half_of_the_energy_whatever_similarity_it_costs() -> None:
    energy = []
    for size in ((256, 448), (360, 512)):
        frames = _slopes(size, 12, 0.5)
        filt = MARK.embedder(FrameGeometry(size[1], size[0]), PAYLOAD, frames=48)
        energy.append(np.mean([np.mean((filt(f).astype(float) - f) ** 2) for f in frames][6:]))
    assert energy[0] > 1.2 * energy[1]


def test_what_the_first_frame_took_is_spread_over_the_others_where_their_number_is_known(
    textured: Callable,
) -> None:
    frames = textured(n=18, size=(540, 960))
    filt = MARK.embedder(FrameGeometry(960, 540), PAYLOAD, frames=18)
    energy = [float(np.mean((filt(f).astype(float) - f) ** 2)) for f in frames]
    assert energy[0] > 4 * np.mean(energy[1:])
    assert min(energy[3:]) > 0.85 * max(energy[3:])


def test_more_frames_than_were_announced_are_marked_too(textured: Callable) -> None:
    frames = textured(n=6)
    filt = MARK.embedder(FrameGeometry(480, 270), PAYLOAD, frames=3)
    assert all(np.any(filt(f) != f) for f in frames)


def test_flat_areas_get_little_whatever_the_target(textured: Callable) -> None:
    frames = textured()
    for frame in frames:
        frame[:, :160] = np.linspace(150, 160, 270).astype(np.uint8)[:, None]  # a sky
    filt = MARK.embedder(FrameGeometry(480, 270), PAYLOAD, psnr=38)
    marked = [filt(f) for f in frames][-1].astype(float)
    change = marked - frames[-1]
    assert change[:, :140].std() < 0.9
    assert change[:, 180:].std() > 2 * change[:, :140].std()


def test_the_mean_brightness_stays(textured: Callable) -> None:
    frames = textured(n=4)
    filt = MARK.embedder(FrameGeometry(480, 270), PAYLOAD)
    assert abs(np.mean([filt(f).astype(float) - f for f in frames])) < 0.05


@pytest.mark.parametrize("full", [False, True])
def test_the_legal_range_is_respected(full: bool) -> None:
    rng = np.random.default_rng(0)
    plane = rng.choice(np.array([5, 16, 17, 128, 234, 235, 250], np.uint8), (256, 256))
    marked = MARK.embedder(FrameGeometry(256, 256, full_range=full), PAYLOAD, psnr=38)(plane)
    low, high = (0, 255) if full else (16, 235)
    assert np.all(marked <= np.maximum(plane, high))
    assert np.all(marked >= np.minimum(plane, low))
    assert np.any(marked > plane)


def test_ten_bit_planes_get_the_same_mark_four_times_as_large(textured: Callable) -> None:
    frames = textured(n=3)
    eight = MARK.embedder(FrameGeometry(480, 270), PAYLOAD)
    ten = MARK.embedder(FrameGeometry(480, 270, bit_depth=10), PAYLOAD)
    for frame in frames:
        a = eight(frame).astype(float) - frame
        deep = frame.astype(np.uint16) * 4
        marked = ten(deep)
        assert marked.dtype == np.uint16
        # 8 bits round to whole levels, which the budget of the next frames pays for.
        difference = (marked.astype(float) - deep) / 4 - a
        assert np.abs(difference).max() <= 2
        assert np.abs(difference).mean() < 0.35


def test_the_source_plane_is_left_alone_and_runs_repeat(textured: Callable) -> None:
    frames = textured(n=3)
    copies = [f.copy() for f in frames]
    runs = []
    for _ in range(2):
        filt = MARK.embedder(FrameGeometry(480, 270), PAYLOAD)
        runs.append([filt(f) for f in frames])
    assert all(np.array_equal(f, c) for f, c in zip(frames, copies, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(*runs, strict=True))
    assert runs[0][0] is not runs[0][1]


def test_turned_video_is_marked_as_it_will_be_seen(textured: Callable) -> None:
    shown = textured()
    filt = MARK.embedder(FrameGeometry(270, 480, rotation=90), PAYLOAD)
    stored = [np.ascontiguousarray(cv2.rotate(f, cv2.ROTATE_90_COUNTERCLOCKWISE)) for f in shown]
    seen = [cv2.rotate(filt(f), cv2.ROTATE_90_CLOCKWISE) for f in stored]
    evidence = MARK.detect((t / 24, f) for t, f in enumerate(seen))
    assert evidence.payload == f"{PAYLOAD:016x}"
    assert evidence.geometry["rotation"] == pytest.approx(0, abs=0.5)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="128 px"):
        MARK.embedder(FrameGeometry(640, 100), PAYLOAD)
    with pytest.raises(UnsupportedError, match="bit_depth"):
        MARK.embedder(FrameGeometry(640, 480, bit_depth=12), PAYLOAD)
    with pytest.raises(UsageError, match="64 bits"):
        MARK.embedder(FrameGeometry(640, 480), 1 << 64)
    with pytest.raises(UsageError, match="uint8"):
        MARK.embedder(FrameGeometry(640, 480), PAYLOAD)(np.zeros((480, 640), np.uint16))
