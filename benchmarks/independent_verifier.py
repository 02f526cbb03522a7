"""Claim: another C2PA verifier comes to the same findings on the same files.

    python benchmarks/independent_verifier.py --samples ../shared/data/c2pa --python OTHER/bin/python

In: a folder of C2PA samples, files published here and broken copies of them; the Python of an environment
that has PyPI's `encypher-c2pa` (its telemetry is turned off; it runs offline). Out: a table of both findings
a file, in common words: `none`, `intact` or `broken`. Trust is not compared: each has its own lists.
"""

import argparse
import json
import random
import subprocess
import tempfile
from pathlib import Path

from byte_flips import make_published
from common import commit, table, wilson

from sorakit.config import Settings
from sorakit.provenance.trust import Trust
from sorakit.provenance.verify import read_credential

OURS = {"trusted": "intact", "valid_untrusted": "intact", "tampered": "broken"}
OTHER = """
import json, sys, encypher_c2pa as e
for line in sys.stdin:
    path, parts = json.loads(line)
    try:
        r = e.verify(path, fragments=parts or None, telemetry=False, online=False, no_default_trust=True)
        valid = r["validation_state"] in ("Valid", "Trusted")
        state = "none" if not r["present"] else "intact" if valid else "broken"
    except Exception as error:
        state = f"error: {type(error).__name__}"
    print(json.dumps(state), flush=True)
"""


def main() -> None:
    """Ask both about every file and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("--python", required=True, help="of an environment with encypher-c2pa")
    parser.add_argument(
        "--broken", type=int, default=40, help="copies of a published file with a flipped bit"
    )
    args = parser.parse_args()
    rows, agreed = [], 0
    with tempfile.TemporaryDirectory() as folder:
        files = [*samples(args.samples), *published(Path(folder), args.broken)]
        theirs = ask_other(args.python, files)
        for (path, parts), other in zip(files, theirs, strict=True):
            state = read_credential(path, Trust(), fragments=tuple(parts)).provenance.state
            ours = OURS.get(state, state)
            agreed += ours == other
            name = path.name + " + fragment" * bool(parts)
            rows.append([name, ours, other, "" if ours == other else "DIFFER"])
    print(table(["file", "sorakit", "encypher-c2pa", ""], rows))
    low, high = wilson(agreed, len(rows))
    print(f"\nagree on {agreed} of {len(rows)} files (95 %: {low:.1%}–{high:.1%}); commit {commit()}")


def samples(folder: Path) -> list[tuple[Path, list[Path]]]:
    """Each sample alone, and the init segment with its fragment."""
    files = [p for p in sorted(folder.iterdir()) if p.suffix in (".mp4", ".mov", ".avi", ".jpg")]
    return [*((p, []) for p in files), (folder / "dashinit.mp4", [folder / "dash1.m4s"])]


def published(folder: Path, broken: int) -> list[tuple[Path, list[Path]]]:
    """A file published here, and copies of it with one bit flipped somewhere behind its first box."""
    whole = folder / "published.mp4"
    make_published(whole, Settings(home=folder / "home", preset="ultrafast"))
    data, rng = whole.read_bytes(), random.Random(1)  # noqa: S311 - no secret
    made: list[tuple[Path, list[Path]]] = [(whole, [])]
    for i in range(broken):
        copy, at = bytearray(data), rng.randrange(60, len(data))
        copy[at] ^= 1 << rng.randrange(8)
        path = folder / f"flip-{i:02}-at-{at}.mp4"
        path.write_bytes(copy)
        made.append((path, []))
    return made


def ask_other(python: str, files: list[tuple[Path, list[Path]]]) -> list[str]:
    """The other verifier's words for all files, from one process of its own."""
    lines = "".join(json.dumps([str(p), [str(f) for f in parts]]) + "\n" for p, parts in files)
    command = [python, "-c", OTHER]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True, timeout=600)
    return [json.loads(line) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    main()
