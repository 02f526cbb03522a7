"""Claim: no mutated file crashes, hangs, or costs more than 2 s or 300 MB.

    python benchmarks/mutate_files.py --files 5000 --whole 200

In: seeds of eight containers, signed and unsigned, made here. Out: a table of outcomes and the worst costs,
and the seed and number of each file that broke a bound. Each mutated file goes through the pre-scan and
`inspect_file`, under the limits of the guarded child, in a worker that is killed when a file takes too long
and started anew when it dies; the last `--whole` files go through all of `check`, child included. A file's
cost is processor time, and the growth of the worker's peak memory over what it held before that file.
A changed file that still counts as trusted is a failure too.
"""

import argparse
import json
import os
import random
import resource
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import commit, table, wilson

from sorakit.check import check
from sorakit.config import Limits, Settings
from sorakit.errors import SorakitError
from sorakit.provenance.keys import create_dev_identity
from sorakit.provenance.trust import load_trust
from sorakit.types import Decision

MAX_SECONDS, MAX_MB, HANG = 2.0, 300, 10.0
PARTS = (
    "ftyp",
    "moov",
    "mdat",
    "uuid",
    "free",
    "jumb",
    "jumd",
    "cbor",
    "LIST",
    "C2PA",
    "caBX",
    "IDAT",
    "stsz",
)


@dataclass
class Outcome:
    """What one file did: its decision or error, processor seconds, peak MB over the worker's rest."""

    word: str
    seconds: float
    megabytes: float


def main() -> None:
    """Run, print the table, exit 1 when a bound was broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--whole", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="one number of a file, to see it again")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(json.loads(args.worker))
        return
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(1 if run(Path(folder), args) else 0)


def run(folder: Path, args: argparse.Namespace) -> int:
    """All files; returns how many broke a bound."""
    settings = Settings(home=folder / "home", preset="ultrafast")
    create_dev_identity(settings.keys_dir)
    seeds = make_seeds(folder, settings)
    worker = Worker({"trust": load_trust(settings, dev=True).to_json()})
    words: Counter[str] = Counter()
    worst, bad = {"seconds": 0.0, "megabytes": 0.0}, []
    numbers = range(args.files) if args.only is None else [args.only]
    for i in numbers:
        path = folder / "mutant"
        name, how = write_mutant(path, seeds, args.seed, i)
        whole = i >= args.files - args.whole
        found = whole_check(path, settings) if whole else worker.inspect(path)
        words[found.word] += 1
        worst = {k: max(v, getattr(found, k)) for k, v in worst.items()}
        if found.word == "trusted" and path.read_bytes() != seeds[name]:
            found.word = "changed, yet trusted"
        failed = found.word in ("crash", "hang", "changed, yet trusted")
        if failed or found.seconds > MAX_SECONDS or found.megabytes > MAX_MB:
            bad.append((i, name, how, found))
            print("BAD", i, name, how, found, flush=True)
        if i % 250 == 249:
            print(f"{i + 1} files, {dict(words)}, worst {worst}", file=sys.stderr, flush=True)
    worker.end()
    n = len(list(numbers))
    low, high = wilson(len(bad), n)
    print(table(["outcome", "files"], words.most_common()))
    print(f"\nbroke a bound: {len(bad)} of {n} (95 %: {low:.2%}–{high:.2%})")
    print(f"{args.whole} of them through all of `check`, seed {args.seed}")
    print(f"worst: {worst['seconds']:.2f} s processor time, {worst['megabytes']:.0f} MB; commit {commit()}")
    return len(bad)


# --- seeds -----------------------------------------------------------------------------------------------


def make_seeds(folder: Path, settings: Settings) -> dict[str, bytes]:
    """Small files of eight containers, each signed where C2PA embeds, and unsigned."""
    import cv2  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (9, 16, 3), np.uint8)
    frames = np.stack(
        [np.roll(cv2.resize(noise, (128, 96), interpolation=cv2.INTER_CUBIC), 2 * i, 1) for i in range(8)]
    )
    made: dict[str, Path] = {}
    for name, codec in (("mp4", "libx264"), ("mov", "libx264"), ("avi", "mpeg4"), ("webm", "libvpx-vp9")):
        made[name] = _video(folder / f"seed.{name}", frames, codec)
    for name in ("jpeg", "png", "webp", "gif"):
        path = folder / f"seed.{name}"
        Image.fromarray(frames[0]).save(
            path, name.upper(), **({"quality": 80} if name in ("jpeg", "webp") else {})
        )
        made[name] = path
    seeds = {name: path.read_bytes() for name, path in made.items()}
    for name, path in made.items():
        if name != "webm":
            seeds[name + " signed"] = _signed(path, settings)
    return seeds


def _video(path: Path, frames: Any, codec: str) -> Path:
    import av  # noqa: PLC0415

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=12)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def _signed(path: Path, settings: Settings) -> bytes:
    """`path` signed by the development identity; straight through c2pa-python where the kit signs none."""
    import io  # noqa: PLC0415

    from c2pa import Builder, C2paSignerInfo, Signer  # noqa: PLC0415

    from sorakit.provenance.context import safe_context  # noqa: PLC0415
    from sorakit.provenance.keys import load_identity  # noqa: PLC0415
    from sorakit.provenance.manifest import ManifestSpec, build_manifest  # noqa: PLC0415
    from sorakit.provenance.media import sniff  # noqa: PLC0415
    from sorakit.provenance.sign import SIGNABLE, sign  # noqa: PLC0415

    if path.suffix in SIGNABLE:
        signed = path.with_name("signed" + path.suffix)
        sign(
            path,
            signed,
            build_manifest(ManifestSpec("a", "generated", "id")),
            load_identity(settings.keys_dir),
        )
        return signed.read_bytes()
    identity, mime, out = load_identity(settings.keys_dir), str(sniff(path)), io.BytesIO()
    definition = build_manifest(ManifestSpec("a", "generated", "id")) | {"format": mime}
    info = C2paSignerInfo(b"es256", identity.chain_pem, identity.key_pem, None)
    with (
        safe_context() as context,
        Signer.from_info(info) as signer,
        Builder(definition, context=context) as builder,
    ):
        builder.sign(signer, mime, io.BytesIO(path.read_bytes()), out)
    return out.getvalue()


# --- mutations -------------------------------------------------------------------------------------------


def write_mutant(path: Path, seeds: dict[str, bytes], seed: int, number: int) -> tuple[str, str]:
    """Write mutant `number` of the run `seed`; returns its seed file's name and what was done to it."""
    rng = random.Random(f"{seed}:{number}")  # noqa: S311 - no secret
    names = sorted(seeds)
    name = names[number % len(names)]
    data, done = bytearray(seeds[name]), []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        how = rng.choice(list(MUTATIONS))
        data = MUTATIONS[how](data, rng, seeds)[: 8 << 20]
        done.append(how)
    path.write_bytes(data)
    return name, "+".join(done)


def _flip(data: bytearray, rng: random.Random, _: dict[str, bytes]) -> bytearray:
    for _i in range(rng.choice((1, 1, 4, 32, 256))):
        if data:
            data[_place(data, rng)] ^= 1 << rng.randrange(8)
    return data


def _cut(data: bytearray, rng: random.Random, _: dict[str, bytes]) -> bytearray:
    return data[: rng.randrange(len(data) + 1)]


def _hole(data: bytearray, rng: random.Random, _: dict[str, bytes]) -> bytearray:
    at = _place(data, rng)
    del data[at : at + rng.choice((1, 3, 8, 64, 4096))]
    return data


def _length(data: bytearray, rng: random.Random, _: dict[str, bytes]) -> bytearray:
    """Overwrite a length field, or what could be one."""
    at = max(0, _tag(data, rng) - 4)
    value = rng.choice(
        (0, 1, 7, 8, 16, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, len(data), rng.randrange(1 << 32))
    )
    data[at : at + 4] = struct.pack(rng.choice((">I", "<I")), value)
    return data


def _giant(data: bytearray, rng: random.Random, _: dict[str, bytes]) -> bytearray:
    at = max(0, _tag(data, rng) - 4)
    data[at : at + 4] = b"\0\0\0\1"
    data[at + 8 : at + 8] = struct.pack(">Q", rng.choice((16, 1 << 40, (1 << 64) - 1, len(data), 1 << 63)))
    return data


def _double(data: bytearray, rng: random.Random, _: dict[str, bytes]) -> bytearray:
    """Repeat a stretch, a box where there is one."""
    a, b = _box(data, rng)
    return data[:b] + data[a:b] * rng.choice((1, 2, 50)) + data[b:]


def _swap(data: bytearray, rng: random.Random, _: dict[str, bytes]) -> bytearray:
    (a, b), (c, d) = sorted((_box(data, rng), _box(data, rng)))
    return data if c < b else data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _splice(data: bytearray, rng: random.Random, seeds: dict[str, bytes]) -> bytearray:
    """Put a box, or a manifest store, of another file in."""
    other = bytearray(seeds[rng.choice(sorted(seeds))])
    a, b = _store(other) if rng.random() < 0.5 else _box(other, rng)
    at = _place(data, rng) if rng.random() < 0.5 else _box(data, rng)[0]
    return data[:at] + other[a:b] + data[at:]


def _noise(data: bytearray, rng: random.Random, _: dict[str, bytes]) -> bytearray:
    at = _place(data, rng)
    n = rng.choice((4, 16, 200))
    data[at : at + n] = rng.randbytes(n)
    return data


MUTATIONS: dict[str, Callable[[bytearray, random.Random, dict[str, bytes]], bytearray]] = {
    "flip": _flip, "cut": _cut, "hole": _hole, "length": _length, "giant": _giant,
    "double": _double, "swap": _swap, "splice": _splice, "noise": _noise,
}  # fmt: skip


def _place(data: bytearray, rng: random.Random) -> int:
    """Anywhere; half the time where the structure is: near the start, or in the store."""
    if not data:
        return 0
    a, b = rng.choice(((0, len(data)), (0, len(data)), (0, min(len(data), 600)), _store(data)))
    return rng.randrange(a, max(b, a + 1)) % len(data)


def _tag(data: bytearray, rng: random.Random) -> int:
    found = [at for part in PARTS if (at := data.find(part.encode(), rng.randrange(max(1, len(data))))) >= 0]
    return rng.choice(found) if found else _place(data, rng)


def _box(data: bytearray, rng: random.Random) -> tuple[int, int]:
    at = max(0, _tag(data, rng) - 4)
    size = int.from_bytes(data[at : at + 4], "big")
    return (
        (at, at + size) if 8 <= size <= len(data) - at else (at, min(len(data), at + rng.randrange(1, 400)))
    )


def _store(data: bytearray) -> tuple[int, int]:
    at = data.find(b"jumb")
    return (max(0, at - 4), min(len(data), at + 16_000)) if at >= 0 else (0, len(data))


# --- measuring -------------------------------------------------------------------------------------------


class Worker:
    """A process that inspects files one after another; a new one takes over when it dies or hangs."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self._setup = json.dumps(setup)
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, __file__, "--worker", self._setup]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def inspect(self, path: Path) -> Outcome:
        """The outcome of one file."""
        p = self._process
        assert p.stdin is not None and p.stdout is not None
        p.stdin.write(str(path).encode() + b"\n")
        p.stdin.flush()
        ready, _, _ = select.select([p.stdout], [], [], 60)  # wall time: a busy machine is not a hang
        line = p.stdout.readline() if ready else b""
        if line:
            return Outcome(**json.loads(line))
        p.kill()
        code = p.wait()
        self._process = self._start()
        hung = not ready or code == -signal.SIGXCPU
        return Outcome("hang" if hung else "crash", HANG if hung else 0.0, 0.0)

    def end(self) -> None:
        """Stop the process."""
        self._process.kill()
        self._process.wait()


def work(setup: dict[str, Any]) -> None:
    """The worker's side: limits as in the guarded child, then one line out for each line in."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    limits = Limits()
    warm_up()
    bound_memory(limits.memory_bytes)
    for line in sys.stdin:
        out.write(json.dumps(vars(inspect_one(Path(line.strip()), setup["trust"], limits))) + "\n")


def inspect_one(path: Path, trust: dict[str, Any], limits: Limits) -> Outcome:
    """Pre-scan and inspect one file in this process."""
    from sorakit.inspect_file import inspect_file  # noqa: PLC0415
    from sorakit.video.guard import prescan  # noqa: PLC0415

    request = {
        "path": str(path),
        "trust": trust,
        "max_pixels": limits.max_pixels,
        "max_duration": limits.max_duration,
    }
    before, used = peak_reset(), time.process_time()
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + HANG) + 1, hard))
    try:
        prescan(path, limits)
        word = str(inspect_file(request, lambda *_: None)["provenance"]["state"])
    except SorakitError as e:
        word = type(e).__name__
    except MemoryError:
        word = "MemoryError"
    return Outcome(word, time.process_time() - used, (peak() - before) / 1024)


def warm_up() -> None:
    """Import what a file may need, so that no file pays for it."""
    import sorakit.inspect_file  # noqa: F401, PLC0415


def bound_memory(extra: int) -> None:
    """The guarded child's limit: `extra` bytes of address space beyond what is taken now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + extra
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def peak_reset() -> int:
    """Let the kernel count the peak anew, and return the memory in use now, KiB (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return peak()  # without it the peak is over all files so far: an upper bound
    return _status("VmRSS")


def peak() -> int:
    """Peak resident memory since the last reset, KiB."""
    return _status("VmHWM")


def _status(name: str) -> int:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(name))
    return int(line.split()[1])


def whole_check(path: Path, settings: Settings) -> Outcome:
    """All of `check`; processor time and peak are the guarded child's, start-up included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    verdict = check(path, settings=settings)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    word = "check: " + str(verdict.decision)
    if verdict.decision is Decision.ERROR and "crash" in str(verdict.evidence.error):
        word = "crash"
    return Outcome(word, used, after.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
