"""Claim: no flipped byte of a published file leaves its credential trusted.

    python benchmarks/byte_flips.py --step 7

In: a clip that is made and published here. Out: for each region of the file, how many
flips of one random bit ended in which state. Every `--step`-th byte of the large regions is flipped, and
every byte of all others; with `--step 1` every byte of the file.
"""

import argparse
import random
import struct
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from common import commit, table, wilson

from sorakit.config import Settings
from sorakit.provenance.keys import create_dev_identity
from sorakit.provenance.trust import Trust, load_trust
from sorakit.provenance.verify import read_credential
from sorakit.publish import publish
from sorakit.types import Clip

STATES = ("trusted", "valid_untrusted", "tampered", "none", "error")


def main() -> None:
    """Flip, print the table, exit 1 when a flip was accepted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--step", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder) / "home", preset="ultrafast")
        out = Path(folder) / "published.mp4"
        make_published(out, settings)
        trust = load_trust(settings, dev=True)
        assert read_credential(out, trust).provenance.state == "trusted"
        sys.exit(1 if flip_all(out, trust, args) else 0)


def flip_all(out: Path, trust: Trust, args: argparse.Namespace) -> int:
    """All flips; returns how many were accepted."""
    data, rng = out.read_bytes(), random.Random(args.seed)  # noqa: S311 - no secret
    counts: dict[str, Counter[str]] = {}
    for name, start, end in regions(data):
        step = args.step if end - start > 20_000 else 1
        for at in range(start, end, step):
            mutant = bytearray(data)
            mutant[at] ^= 1 << rng.randrange(8)
            out.write_bytes(mutant)
            counts.setdefault(name, Counter())[read_credential(out, trust).provenance.state] += 1
    total, accepted = (sum(f(c) for c in counts.values()) for f in (Counter.total, lambda c: c["trusted"]))
    rows = [[name, c.total(), *(c[s] for s in STATES)] for name, c in counts.items()]
    print(table(["region", "flips", *STATES], rows))
    low, high = wilson(accepted, total)
    print(f"\naccepted as trusted: {accepted} of {total} (95 %: {low:.3%}–{high:.3%})")
    print(f"file of {len(data)} bytes, seed {args.seed}, step {args.step}, commit {commit()}")
    return accepted


def regions(data: bytes) -> Iterator[tuple[str, int, int]]:
    """(name, start, end): the boxes at the top; the C2PA box's header, statements, signature and padding."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        end = at + (size or len(data) - at)
        if kind == b"uuid":
            store = data.index(b"jumb", at) - 4
            signature = data.index(b"\xd2\x84", data.rindex(b"c2pa.signature", at, end))
            pad = data.index(b"cpad", signature) + 7  # "pad", then the head of its byte string
            empty = pad + len(data[pad:end]) - len(data[pad:end].lstrip(b"\0"))
            yield "C2PA box: header", at, store
            yield "C2PA box: claim and assertions", store, signature
            yield "C2PA box: signature", signature, pad
            yield "C2PA box: padding", pad, empty
            yield "C2PA box: signature", empty, end
        else:
            yield kind.decode("latin-1"), at, end
        at = end


def make_published(out: Path, settings: Settings) -> None:
    """Publish a clip as `out`, signed by a development identity that is made for it."""
    create_dev_identity(settings.keys_dir)
    publish(_clip(), out, settings=settings)


def _clip() -> Clip:
    """One second of a moving picture with detail."""
    import cv2  # noqa: PLC0415

    rng = np.random.default_rng(0)
    wide = sum(
        cv2.resize(rng.standard_normal((n, n, 3)), (400, 320), interpolation=cv2.INTER_CUBIC) / n**0.7
        for n in (4, 8, 16, 32, 64)
    )
    picture = np.clip(120 + 45 * wide / np.std(wide), 0, 255).astype(np.uint8)
    frames = [picture[i : i + 256, 2 * i : 2 * i + 320] for i in range(24)]
    return Clip(np.stack(frames), Fraction(24))


if __name__ == "__main__":
    main()
