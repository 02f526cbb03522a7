"""What signing and verifying cost beside C2PA's own work, on files of 2, 20 and 170 MB, in one run.

Raw: c2pa-python with the same settings (every byte hashed, the result read back), stream to stream, without
anything else. Ours: `sign` (names and kinds checked, the file's type bound, flushed to the disk, put in place
in one step) and `read_credential` (all rules of `sorakit.provenance.verify`), in this process. The start of a
guarded child, in which `check` verifies, is measured by itself. Raw and ours take turns, file by file.

    python benchmarks/sign_speed.py --n 15
    python benchmarks/sign_speed.py --n 3 --sizes 2 20 --profile

The script makes its own files, without a network. `cpu`: CPU seconds of this process, over raw's.
"""

import argparse
import cProfile
import os
import pstats
import resource
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from c2pa import Builder, C2paSignerInfo, Reader
from c2pa import Signer as NativeSigner
from common import commit, median_interval, table

from sorakit.config import Settings
from sorakit.provenance.context import safe_context
from sorakit.provenance.keys import Identity, create_dev_identity
from sorakit.provenance.manifest import ManifestSpec, build_manifest
from sorakit.provenance.sign import SigningSession, sign
from sorakit.provenance.trust import Trust
from sorakit.provenance.verify import read_credential
from sorakit.video.guard import run_guarded

SPEC = ManifestSpec("a.mp4", "generated", "id", payload_hex="1f00000000000001", algorithm="a.b.c")


def make_file(path: Path, megabytes: float) -> Path:
    """An MP4 of noise: one encoded stretch of it, its packets repeated until the size is reached."""
    base = path.with_name("stretch.mp4")
    if not base.exists():
        _encode_noise(base)
    with av.open(str(base)) as source, av.open(str(path), "w", options={"movflags": "+faststart"}) as out:
        track = out.add_stream_from_template(source.streams.video[0])
        packets = [p for p in source.demux(video=0) if p.size]
        size = sum(p.size for p in packets)
        span = sum(p.duration or 0 for p in packets)
        for turn in range(max(1, round(megabytes * 1e6 / size))):
            for p in packets:
                copy = av.Packet(bytes(p))
                copy.stream, copy.time_base, copy.is_keyframe = track, p.time_base, p.is_keyframe
                copy.pts, copy.dts = (p.pts or 0) + turn * span, (p.dts or 0) + turn * span
                copy.duration = p.duration
                out.mux(copy)
    return path


def _encode_noise(path: Path) -> None:
    rng = np.random.default_rng(1)
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream(
            "libx264", rate=Fraction(24), options={"preset": "ultrafast", "crf": "20", "bf": "0"}
        )
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        for i in range(16):
            pixels = rng.integers(0, 256, (360, 640, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, 24)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))


def raw_sign(src: Path, dst: Path, identity: Identity, manifest: dict[str, Any]) -> None:
    """c2pa-python alone."""
    info = C2paSignerInfo(b"es256", identity.chain_pem, identity.key_pem, None)
    with (
        safe_context() as context,
        NativeSigner.from_info(info) as signer,
        Builder(manifest | {"format": "video/mp4"}, context=context) as builder,
        src.open("rb") as source,
        dst.open("w+b") as out,
    ):
        builder.sign(signer, "video/mp4", source, out)


def raw_verify(path: Path) -> None:
    """c2pa-python alone."""
    with safe_context() as context, Reader(path, context=context) as reader:
        reader.json()


def publish_sign(src: Path, dst: Path, identity: Identity, manifest: dict[str, Any]) -> None:
    """As `publish` signs: the hash is not read back at once, since it reads the whole file afterwards."""
    with SigningSession(identity, check_hash=False) as session:
        session.sign(src, dst, manifest)


def child_start() -> None:
    """A guarded child that loads C2PA and looks at nothing."""
    limits = Settings().limits
    run_guarded(
        "sorakit.provenance.inputs:look_task",
        {"paths": []},
        timeout=limits.check_seconds,
        memory_bytes=limits.memory_bytes,
    )


def timed(n: int, tasks: dict[str, Callable[[], None]]) -> dict[str, tuple[list[float], list[float]]]:
    """(wall, CPU seconds) of each task, n times each, taking turns; one round before is not counted.

    The disk is at rest before each: what one task left to be written is not the next one's to wait for.
    """
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in tasks}
    for turn in range(n + 1):
        for name, task in tasks.items():
            os.sync()
            wall, cpu = time.perf_counter(), time.process_time()
            task()
            if turn:
                found[name][0].append(time.perf_counter() - wall)
                found[name][1].append(time.process_time() - cpu)
    return found


def rows_of(folder: Path, size: float, n: int, identity: Identity) -> list[list[object]]:
    """One row a comparison."""
    src, out, signed = make_file(folder / "in.mp4", size), folder / "out.mp4", folder / "signed.mp4"
    manifest = build_manifest(SPEC)
    sign(src, signed, manifest, identity)
    found = timed(
        n,
        {
            "raw sign": lambda: raw_sign(src, out, identity, manifest),
            "sign": lambda: sign(src, out, manifest, identity) and None,
            "sign (publish)": lambda: publish_sign(src, out, identity, manifest),
            "raw verify": lambda: raw_verify(signed),
            "verify": lambda: read_credential(signed, Trust()) and None,
        },
    )
    rows: list[list[object]] = []
    for name, of in (("sign", "raw sign"), ("sign (publish)", "raw sign"), ("verify", "raw verify")):
        wall, cpu = found[name]
        ratio = [a / b for a, b in zip(wall, found[of][0], strict=True)]
        middle, low, high = median_interval(ratio)
        used = median_interval(cpu)[0] / max(1e-9, median_interval(found[of][1])[0])
        raw, own = (1000 * median_interval(w)[0] for w in (found[of][0], wall))
        rows.append(
            [f"{src.stat().st_size / 1e6:.1f} MB", name, f"{raw:.0f} ms", f"{own:.0f} ms",
             f"{middle:.2f} ({low:.2f}–{high:.2f})", f"{used:.2f}"]
        )  # fmt: skip
    return rows


def profile(folder: Path, size: float, identity: Identity) -> None:
    """What Python spends its time on in one signature and one check."""
    src, out = make_file(folder / "in.mp4", size), folder / "out.mp4"
    with cProfile.Profile() as seen:
        sign(src, out, build_manifest(SPEC), identity)
        read_credential(out, Trust())
    pstats.Stats(seen).sort_stats("cumulative").print_stats(25)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n", type=int, default=15, help="times each")
    parser.add_argument("--sizes", type=float, nargs="+", default=[2, 20, 170], help="MB")
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        identity = create_dev_identity(folder / "keys")
        rows = [row for size in asked.sizes for row in rows_of(folder, size, asked.n, identity)]
        if asked.profile:
            profile(folder, asked.sizes[-1], identity)
        start = timed(asked.n, {"start": child_start})["start"][0]
    print(f"commit {commit()}, n = {asked.n} each, medians, 95 % interval of the ratio's median")
    print(table(["file", "what", "raw", "ours", "wall, ours/raw", "cpu, ours/raw"], rows))
    print(
        "a guarded child's start: {:.0f} ms ({:.0f}–{:.0f})".format(
            *(1000 * x for x in median_interval(start))
        )
    )
    print(f"most memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


if __name__ == "__main__":
    main()
