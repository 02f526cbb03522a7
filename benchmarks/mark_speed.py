"""How much longer marking a file takes than only re-encoding it, and how much memory it needs.

In: size and length of a made clip. Out: a table of wall time, CPU time and peak memory of a plain PyAV
transcode and of `sorakit.video.transcode` with the watermark, alternating, each in a process of its own, and
the ratio of the medians. Run `python benchmarks/mark_speed.py --seconds 60 --rounds 3` on an idle machine.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import cv2
import numpy as np

from sorakit.types import LumaFilter
from sorakit.video.probe import VideoInfo
from sorakit.video.transcode import transcode
from sorakit.video.write import EncodeSettings


def make_source(path: Path, width: int, height: int, seconds: float, fps: int = 30) -> None:
    """A camera moving over detail at many scales, with sensor noise, as x264 `veryfast` CRF 18."""
    rng = np.random.default_rng(1)
    total = np.zeros((height + 400, width + 400, 3), np.float32)
    for octave in range(2, 9):
        n = 2**octave
        grid = rng.standard_normal((n, n, 3)).astype(np.float32)
        total += cv2.resize(grid, (width + 400, height + 400), interpolation=cv2.INTER_CUBIC) / n**0.7
    canvas = np.clip(120 + 45 * total / total.std(), 0, 255)
    noise = [rng.normal(0, 2, (height, width, 1)).astype(np.float32) for _ in range(5)]
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options={"crf": "18", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        for i in range(round(seconds * fps)):
            x, y = round(200 + 190 * np.sin(i / 60)), round(200 + 190 * np.cos(i / 47))
            picture = canvas[y : y + height, x : x + width] + noise[i % 5]
            frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="rgb24")
            container.mux(video.encode(frame.reformat(format="yuv420p")))
        container.mux(video.encode(None))


def plain(source: Path, target: Path, settings: EncodeSettings) -> None:
    """The shortest PyAV transcode with the same settings."""
    with av.open(str(source)) as inside, av.open(str(target), "w") as outside:
        old = inside.streams.video[0]
        old.thread_type = "AUTO"
        options = {"crf": str(settings.crf), "preset": settings.preset}
        new = outside.add_stream("libx264", rate=old.average_rate, options=options)
        new.width, new.height, new.pix_fmt = old.width, old.height, old.pix_fmt
        new.codec_context.time_base = old.time_base
        new.codec_context.gop_size = round(settings.key_seconds * old.average_rate)
        for frame in inside.decode(old):
            frame.pict_type = 0
            outside.mux(new.encode(frame))
        outside.mux(new.encode(None))


def watermark(info: VideoInfo) -> LumaFilter:
    """The kit's own mark, with an arbitrary payload."""
    from sorakit.watermark.video import VideoWatermark  # noqa: PLC0415 — not needed by the plain run

    return VideoWatermark().embedder(info.geometry, 0x0123456789ABCDEF)


def run_once(how: str, source: Path, target: Path, settings: EncodeSettings) -> None:
    """One measurement, printed as JSON; the parent starts a process for each."""
    wall, cpu = time.perf_counter(), time.process_time()
    if how == "plain":
        plain(source, target, settings)
    else:
        transcode(source, target, make_luma=watermark, settings=settings)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall": wall, "cpu": cpu, "mb": usage.ru_maxrss / 1024, "size": target.stat().st_size}))


def compare(folder: Path, args: argparse.Namespace) -> None:
    """Alternate the two ways and print the table."""
    source = folder / "source.mp4"
    make_source(source, args.width, args.height, args.seconds)
    results: dict[str, list[dict[str, float]]] = {"plain": [], "marked": []}
    for _ in range(args.rounds):
        for how, found in results.items():
            command = [
                sys.executable,
                __file__,
                "--once",
                how,
                "--source",
                str(source),
                "--preset",
                args.preset,
            ]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found.append(json.loads(out))
    print(
        f"{args.width}×{args.height}, {args.seconds:g} s, preset {args.preset}, {args.rounds} rounds, medians"
    )
    print(f"{'':8}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}{'file kB':>9}")
    middle = {
        how: {key: statistics.median(r[key] for r in found) for key in found[0]}
        for how, found in results.items()
    }
    for how, m in middle.items():
        print(f"{how:8}{m['wall']:9.1f}{m['cpu']:9.1f}{m['mb']:9.0f}{m['size'] / 1000:9.0f}")
    ratio = {key: middle["marked"][key] / middle["plain"][key] for key in middle["plain"]}
    print(f"{'ratio':8}{ratio['wall']:9.2f}{ratio['cpu']:9.2f}{ratio['mb']:9.2f}{ratio['size']:9.3f}")


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--once", choices=["plain", "marked"], help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if args.once:
            run_once(args.once, args.source, Path(name) / "out.mp4", EncodeSettings(18, args.preset))
        else:
            compare(Path(name), args)


if __name__ == "__main__":
    main()
