"""How well the registry's fingerprint tells the same video from another one.

In: the clips of a folder with a `manifest.csv` (default `../shared/data/clips`), split by source into a
development half, on which `MATCH_THRESHOLD` was set, and a held-out half. Out: a table, or JSON with
`--json`: the share of attacked copies that still match, and of other videos that match, with 95 % Wilson
intervals. Each copy goes through a real H.264 encode. Only luma is used, as in the fingerprint itself.
"""

import argparse
import csv
import hashlib
import io
import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from common import commit, wilson

from sorakit.errors import SorakitError
from sorakit.registry.fingerprint import MATCH_THRESHOLD, Fingerprint, fingerprint, similarity
from sorakit.video.read import read_luma

Plane = npt.NDArray[np.uint8]
Frames = list[tuple[float, Plane]]

SECONDS_MAX_FRAMES = 72
SIDE = 360
SAMPLED = 48


def load(path: Path) -> Frames:
    """The first 72 frames at a short side of at most 360 px, even sizes."""
    frames: Frames = []
    for seconds, luma in read_luma(path):
        frames.append((seconds, np.asarray(_even(_short_side(luma, min(SIDE, *luma.shape))), np.uint8)))
        if len(frames) == SECONDS_MAX_FRAMES:
            break
    return frames


def encode(frames: Frames, crf: int) -> Frames:
    """Through x264 and back; the times stay."""
    store, back = io.BytesIO(), []
    height, width = (n - n % 2 for n in frames[0][1].shape)
    with av.open(store, "w", format="mp4") as out:
        options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
        stream: Any = out.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for _, luma in frames:
            grey = np.full((height * 3 // 2, width), 128, np.uint8)
            grey[:height] = luma[:height, :width]
            out.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="yuv420p")))
        out.mux(stream.encode(None))
    store.seek(0)
    with av.open(store, "r") as read:
        back = [np.asarray(f.to_ndarray()[: f.height], np.uint8) for f in read.decode(video=0)]
    return [(t, y) for (t, _), y in zip(frames, back, strict=True)]


def each(change: Callable[[Plane], Any]) -> Callable[[Frames], Frames]:
    """An attack on frames from one on a plane."""
    return lambda frames: [(t, np.ascontiguousarray(change(y), np.uint8)) for t, y in frames]


def cut(share_h: float, share_w: float, at: float = 0.5) -> Callable[[Plane], Plane]:
    """The part of a plane that is left by a crop; `at` 0 is top left, 1 bottom right."""

    def change(y: Plane) -> Plane:
        h, w = round(y.shape[0] * share_h), round(y.shape[1] * share_w)
        top, left = int((y.shape[0] - h) * at), int((y.shape[1] - w) * at)
        return y[top : top + h, left : left + w]

    return change


def reframe(y: Plane) -> Plane:
    """A 9:16 cut of full height."""
    return cut(1, min(1.0, y.shape[0] * 9 / 16 / y.shape[1]))(y)


def letterbox(y: Plane) -> Plane:
    """On a black square."""
    side = max(y.shape)
    square = np.full((side, side), 16, np.uint8)
    top, left = (side - y.shape[0]) // 2, (side - y.shape[1]) // 2
    square[top : top + y.shape[0], left : left + y.shape[1]] = y
    return square


def rotate(y: Plane) -> Any:
    """5 degrees, black corners."""
    h, w = y.shape
    return cv2.warpAffine(y, cv2.getRotationMatrix2D((w / 2, h / 2), 5, 1), (w, h))


def trim(frames: Frames) -> Frames:
    """One second from inside."""
    first, last = frames[0][0], frames[-1][0]
    start = first + max(0.0, last - first - 1) * 0.4
    return [(t - start, y) for t, y in frames if start <= t <= start + 1.02]


def social(frames: Frames) -> Frames:
    """5 % cropped away and brought to 480 lines."""
    return each(lambda y: _short_side(cut(0.95, 0.95)(y), 480))(frames)


def _short_side(y: Plane, side: int) -> Any:
    scale = side / min(y.shape)
    size = (round(y.shape[1] * scale), round(y.shape[0] * scale))
    return cv2.resize(y, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def _even(y: Plane) -> Plane:
    return y[: y.shape[0] // 2 * 2, : y.shape[1] // 2 * 2]


ATTACKS: dict[str, Callable[[Frames], Frames]] = {
    "untouched, CRF 18": lambda f: encode(f, 18),
    "CRF 40": lambda f: encode(f, 40),
    "half size": lambda f: encode(each(lambda y: _short_side(y, min(y.shape) // 2))(f), 23),
    "social upload (crop 5 %, 480p, CRF 30)": lambda f: encode(social(f), 30),
    "crop 80 %": lambda f: encode(each(cut(0.8, 0.8))(f), 23),
    "crop 80 %, a corner": lambda f: encode(each(cut(0.8, 0.8, 0.0))(f), 23),
    "mirror": lambda f: encode(each(lambda y: y[:, ::-1])(f), 23),
    "trim to 1 s": lambda f: encode(trim(f), 23),
    "letterbox to a square": lambda f: encode(each(letterbox)(f), 23),
    "rotate 5 degrees": lambda f: encode(each(rotate)(f), 23),
    "vertical reframe 9:16": lambda f: encode(each(reframe)(f), 23),
    "trim to 1 s, social upload": lambda f: encode(social(trim(f)), 30),
    "mirror, crop 90 %, CRF 28": lambda f: encode(each(lambda y: cut(0.9, 0.9)(y)[:, ::-1])(f), 28),
}


@dataclass(frozen=True)
class Subject:
    """One clip: its registered fingerprint, and those of its attacked copies by attack."""

    name: str
    source: str
    parent: str
    registered: Fingerprint
    copies: dict[str, Fingerprint]


def sprite(seed: int) -> Frames:
    """16 frames of 256 px: a disc, square or diamond that moves over faint stripes."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:256, :256]
    angle, period = rng.random() * np.pi, rng.integers(48, 112)
    phase = (xx * np.cos(angle) + yy * np.sin(angle)) * 2 * np.pi / period
    ground = 30 + 8 * rng.random() + 3 * np.sin(phase)
    radius, level, kind = rng.choice([36, 61]), rng.choice([90, 120, 150, 180, 210]), rng.integers(3)
    centre = rng.uniform(radius, 256 - radius, 2)
    step = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (0.7, 0.7), (-0.7, 0.7)][rng.integers(6)]) * 6
    frames: Frames = []
    for k in range(16):
        x, y = np.clip(centre + step * (k - 8), 0.6 * radius, 256 - 0.6 * radius)
        dx, dy = np.abs(xx - x), np.abs(yy - y)
        inside = [np.hypot(dx, dy) < radius, np.maximum(dx, dy) < 0.85 * radius, dx + dy < 1.1 * radius][kind]
        frames.append((k / 12, np.where(inside, level, ground).astype(np.uint8)))
    return frames


def subject(task: tuple[str, str, str, str]) -> Subject | None:
    """Fingerprints of one clip and its copies; None for a clip that cannot be read or has one frame."""
    cv2.setNumThreads(1)
    name, source, parent, path = task
    try:
        frames = sprite(int(path)) if source == "sprites" else load(Path(path))
    except SorakitError:
        return None
    if len(frames) < 2:
        return None
    copies = {label: _print(attack(frames)) for label, attack in ATTACKS.items()}
    return Subject(name, source, parent, _print(frames), copies)


def _print(frames: Frames) -> Fingerprint:
    picks = np.linspace(0, len(frames) - 1, min(SAMPLED, len(frames))).round().astype(int)
    return fingerprint(frames[i] for i in picks)


def compare(pair: tuple[Fingerprint, Fingerprint]) -> float:
    """`similarity`, for a pool."""
    cv2.setNumThreads(1)
    return similarity(*pair)


def tasks(folder: Path, split: str, count: int, seed: int) -> list[tuple[str, str, str, str]]:
    """Up to two clips a source of one half of the sources, and 12 sprite clips."""
    by_source: dict[str, list[dict[str, str]]] = {}
    with (folder / "manifest.csv").open(newline="") as f:
        for row in csv.DictReader(f):
            by_source.setdefault(row["generator_or_source"], []).append(row)
    rng = random.Random(seed)  # noqa: S311  a draw of clips, no secret
    half = [
        s
        for s in sorted(by_source)
        if int(hashlib.sha256(s.encode()).hexdigest(), 16) % 2 == (split == "dev")
    ]
    rng.shuffle(half)  # whole sources: two clips of one source are the hardest pairs
    chosen = [r for s in half for r in rng.sample(by_source[s], min(2, len(by_source[s])))]
    picked = [
        (r["path"], r["generator_or_source"], r["parent"] or r["sha256"], str(folder / r["path"]))
        for r in chosen[:count]
    ]
    base = 0 if split == "dev" else 1000
    return picked + [(f"sprite {base + k}", "sprites", str(base + k), str(base + k)) for k in range(12)]


def row(label: str, scores: list[float]) -> dict[str, Any]:
    """A line of the table."""
    hits = sum(s >= MATCH_THRESHOLD for s in scores)
    low, high = wilson(hits, len(scores))
    values = np.array(scores or [0.0])
    return {"pairs": label, "n": len(scores), "match": hits / max(1, len(scores)), "ci": [low, high]} | {
        "min": float(values.min()),
        "median": float(np.median(values)),
        "max": float(values.max()),
    }


def measure(
    folder: Path, *, split: str, clips: int, impostors: int, workers: int, seed: int
) -> list[dict[str, Any]]:
    """All rows."""
    with get_context("spawn").Pool(workers) as pool:
        found = [s for s in pool.imap(subject, tasks(folder, split, clips, seed), chunksize=2) if s]
        rows = []
        real = [s for s in found if s.source != "sprites"]
        for label in ATTACKS:
            scores = pool.map(compare, [(s.registered, s.copies[label]) for s in found], chunksize=8)
            rows.append(row(label, scores))
            sys.stderr.write(f"{label}\n")
        rng = random.Random(seed + 1)  # noqa: S311
        pairs = [(a, b) for a in found for b in found if a.parent != b.parent]
        kinds = {
            "another video": [p for p in pairs if p[0].source != p[1].source],
            "another video of the same source": [
                p for p in pairs if p[0].source == p[1].source and p[0] in real
            ],
            "another sprite clip": [p for p in pairs if p[0].source == p[1].source == "sprites"],
        }
        for kind, some in kinds.items():
            wanted = impostors if kind == "another video" else impostors // 8
            wanted *= bool(some)
            drawn = [
                (a.registered, b.copies[rng.choice(list(ATTACKS))]) for a, b in rng.choices(some, k=wanted)
            ]
            rows.append(row(kind, pool.map(compare, drawn, chunksize=16)))
    return rows


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    root = Path(__file__).resolve().parent.parent
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data" / "clips")
    parser.add_argument("--split", choices=("dev", "held-out"), default="held-out")
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--impostors", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not (args.data / "manifest.csv").is_file():
        sys.stderr.write(f"no manifest.csv in {args.data}; give a folder with --data\n")
        return 2
    rows = measure(
        args.data,
        split=args.split,
        clips=args.clips,
        impostors=args.impostors,
        workers=args.workers,
        seed=args.seed,
    )
    measured = commit()
    if args.json:
        print(
            json.dumps({"commit": measured, "split": args.split, "threshold": MATCH_THRESHOLD, "rows": rows})
        )
        return 0
    print(f"fingerprint, {args.split} sources, threshold {MATCH_THRESHOLD}, commit {measured}")
    print(f"{'pairs':42} {'n':>5} {'match':>7}  {'95 % interval':16} {'min':>5} {'med':>5} {'max':>5}")
    for r in rows:
        low, high = r["ci"]
        numbers = f"{r['min']:5.2f} {r['median']:5.2f} {r['max']:5.2f}"
        print(f"{r['pairs']:42} {r['n']:5} {r['match']:7.4f}  {low:.4f} - {high:.4f}  {numbers}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
