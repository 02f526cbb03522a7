from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np
import pytest

from sorakit.errors import UsageError
from sorakit.types import FrameGeometry, WatermarkEvidence
from sorakit.watermark.base import PUBLIC_KEY, Watermark
from sorakit.watermark.gate import MAX_LOG10_P
from sorakit.watermark.video import FRAMES_WANTED, VideoWatermark

PAYLOAD = 0x1234567890ABCDEF
HEX = f"{PAYLOAD:016x}"
MARK = VideoWatermark()


def marked(frames: list[np.ndarray], **options: object) -> list[np.ndarray]:
    h, w = frames[0].shape
    filt = MARK.embedder(FrameGeometry(w, h), PAYLOAD, **options)  # type: ignore[arg-type]
    return [filt(f) for f in frames]


def detect(frames: Iterable[np.ndarray], **options: object) -> WatermarkEvidence:
    """As if read at 24 frames a second."""
    return MARK.detect(((t / 24, f) for t, f in enumerate(frames)), **options)  # type: ignore[arg-type]


def test_it_is_a_watermark() -> None:
    scheme: Watermark = MARK
    assert scheme.name == "io.github.sorakit.lattice.1"
    assert scheme.payload_bits == 64


def test_untouched_it_reads_from_twelve_frames_without_the_search(textured: Callable) -> None:
    evidence = detect(marked(textured(n=12)), thorough=False)
    assert evidence.found
    assert evidence.payload == HEX
    assert evidence.algorithm == MARK.name
    assert evidence.log10_p <= MAX_LOG10_P
    assert evidence.geometry == {"scale": 1.0, "rotation": pytest.approx(0), "mirrored": False}


def test_flat_sprites_at_256_px_read_after_coarse_quantisation(sprites: Callable) -> None:
    """JPEG quality 60 stands for an encoder's quantisation of flat areas."""
    frames = [
        cv2.imdecode(cv2.imencode(".jpg", f, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_GRAYSCALE)
        for f in marked(sprites())
    ]
    assert detect(frames).payload == HEX


def test_a_public_and_a_secret_key_share_a_clip(textured: Callable) -> None:
    secret = b"only the provider has this"
    frames = marked(textured(n=24), keys=(PUBLIC_KEY, secret))
    assert detect(frames).payload == detect(frames, key=secret).payload == HEX
    assert not detect(frames, key=b"neither").found


@pytest.mark.parametrize("keys", [(), (b"a", b"a"), (b"",)])
def test_keys_that_make_no_sense_are_refused(keys: tuple[bytes, ...]) -> None:
    with pytest.raises(UsageError, match="key"):
        MARK.embedder(FrameGeometry(480, 270), PAYLOAD, keys=keys)


def _spans(segments: list[dict]) -> list[tuple[str, str | None]]:
    return [(s["state"], s["payload"]) for s in segments]


def test_a_whole_marked_clip_is_one_marked_segment(textured: Callable) -> None:
    segments = detect(marked(textured(n=48))).segments
    assert _spans(segments) == [("marked", HEX)]
    assert segments[0]["start_ms"] == 0
    assert segments[0]["end_ms"] == 2000
    assert segments[0]["log10_p"] < -4


def test_an_unmarked_stretch_shows_where_it_was_spliced_in(textured: Callable) -> None:
    frames = marked(textured(n=36)) + textured(n=12, seed=5)
    segments = detect(frames).segments
    assert _spans(segments) == [("marked", HEX), ("unmarked", None)]
    assert segments[0]["end_ms"] == segments[1]["start_ms"] == 1500


def test_two_marked_clips_in_a_row_report_both(textured: Callable) -> None:
    other = 0x1FEDCBA987654321
    filt = MARK.embedder(FrameGeometry(480, 270), other)
    frames = marked(textured(n=24)) + [filt(f) for f in textured(n=24, seed=7)]
    evidence = detect(frames)
    assert evidence.found
    assert {s["payload"] for s in evidence.segments} == {HEX, f"{other:016x}"}
    assert [s["state"] for s in evidence.segments] in (["marked", "other"], ["other", "marked"])
    assert evidence.segments[1]["start_ms"] == 1000


def _resized(scale: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda f: cv2.resize(f, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _rotated(degrees: float) -> Callable[[np.ndarray], np.ndarray]:
    def turn(frame: np.ndarray) -> np.ndarray:
        h, w = frame.shape
        return cv2.warpAffine(frame, cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1), (w, h))

    return turn


GEOMETRY: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float, float, bool]] = {
    "half": (_resized(0.5), 1, 0, False),
    "double": (_resized(2), 1, 0, False),
    "mirrored": (lambda f: f[:, ::-1], 1, 0, True),
    "quarter turn": (lambda f: cv2.rotate(f, cv2.ROTATE_90_CLOCKWISE), 1, 90, False),
    "crop 80 %": (lambda f: f[27:243, 48:432], 1.25, 0, False),
    "corner 60 %": (lambda f: f[108:, 192:], 1.667, 0, False),
    "9:16 of it": (lambda f: f[:, 164:316], 270 / 152, 0, False),
    "5 degrees": (_rotated(-5), 1, 5, False),
    "letterbox": (
        lambda f: cv2.copyMakeBorder(f, 80, 80, 0, 0, cv2.BORDER_CONSTANT, value=16),
        0.628,
        0,
        False,
    ),
    "squeezed 3 %": (lambda f: cv2.resize(f, (466, 270), interpolation=cv2.INTER_AREA), 0.985, 0, False),
}


@pytest.mark.parametrize("name", GEOMETRY)
def test_geometry_is_undone_and_reported(textured: Callable, name: str) -> None:
    change, scale, rotation, mirrored = GEOMETRY[name]
    evidence = detect([np.ascontiguousarray(change(f)) for f in marked(textured(n=16))])
    assert evidence.payload == HEX
    assert evidence.geometry["scale"] == pytest.approx(scale, abs=0.02)
    assert evidence.geometry["rotation"] == pytest.approx(rotation, abs=0.6)
    assert evidence.geometry["mirrored"] is mirrored


@pytest.mark.parametrize(
    "change",
    [
        lambda f: cv2.convertScaleAbs(f, alpha=1.4, beta=-50),
        lambda f: cv2.convertScaleAbs(f, beta=30),
        lambda f: cv2.GaussianBlur(f, (0, 0), 1.5),
        lambda f: (255 * (f / 255.0) ** 1.5).astype(np.uint8),
        lambda f: np.clip(f + np.random.default_rng(0).normal(0, 10, f.shape), 0, 255).astype(np.uint8),
    ],
    ids=["contrast", "brightness", "blur", "gamma", "noise"],
)
def test_tone_blur_and_noise_do_not_matter(textured: Callable, change: Callable) -> None:
    assert detect([change(f) for f in marked(textured(n=16))]).payload == HEX


def test_unmarked_wrong_key_and_no_frames_find_nothing(textured: Callable, sprites: Callable) -> None:
    for evidence in (
        detect(textured()),
        detect(sprites()),
        detect(marked(textured()), key=b"another"),
        detect([]),
    ):
        assert not evidence.found
        assert evidence.payload is None
        assert evidence.log10_p == 0


@pytest.mark.parametrize("seed", range(6))
def test_stripes_noise_and_grids_find_nothing(seed: int) -> None:
    """Pictures that are periodic exactly like the lattice must not pass for it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:240, :320]
    kx, ky = rng.integers(2, 14, 2)
    wave = 128 + 50 * np.cos(2 * np.pi * (kx * x + ky * y) / 64) + 40 * np.cos(2 * np.pi * ky * x / 64)
    frames = [np.clip(wave + rng.normal(0, seed, wave.shape), 0, 255).astype(np.uint8) for _ in range(4)]
    assert not detect(frames).found


def test_it_stops_at_its_budget() -> None:
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield np.random.default_rng(taken).integers(0, 256, (128, 128), dtype=np.uint8)

    assert not detect(endless()).found
    assert taken == FRAMES_WANTED


@pytest.mark.parametrize("shape", [(16, 16), (20, 4000), (4000, 20), (17, 300)])
def test_odd_shapes_are_read_in_bounds(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    assert not detect([rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(2)]).found


def test_frames_of_changing_size_are_read(textured: Callable) -> None:
    frames = marked(textured(n=16))
    mixed = [
        f if i % 2 else cv2.resize(f, (240, 136), interpolation=cv2.INTER_AREA) for i, f in enumerate(frames)
    ]
    assert detect(mixed).payload == HEX


@pytest.mark.parametrize(
    "frame", [np.zeros((8, 8), np.uint8), np.zeros((64, 64), np.uint16), np.zeros((64, 64, 3), np.uint8)]
)
def test_what_is_no_luma_is_refused(frame: np.ndarray) -> None:
    with pytest.raises(UsageError, match="frames"):
        detect([frame])
