"""How long each notebook of the course takes from top to bottom, as shipped.

    python benchmarks/course_times.py [--only 04 11] [--runs 1] [--json]

Each runs by itself, in a kernel, a home and a folder of its own. Wall seconds of all of it, the kernel's
start included, on an idle machine: median and range. The target is 120 s a notebook on two cores.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import commit, table

from sorakit.nb.course import home, titles

HOMES = ("SORAKIT_HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "TMPDIR")


def seconds(name: str) -> float:
    """Wall time of one run; ends the program where the notebook fails."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        for part in HOMES:
            (base / part).mkdir()
        env = {k: v for k, v in os.environ.items() if not k.startswith("SORAKIT_")}
        env |= {part: str(base / part) for part in HOMES}
        command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--output", "ran"]
        command += ["--output-dir", folder, str(home() / "notebooks" / name)]
        start = time.perf_counter()
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        took = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{name} fails:\n{done.stderr[-2000:]}")
    return took


def main() -> None:
    """Read the options, run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="NN")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = []
    for number, name in titles().items():
        if args.only and number not in args.only:
            continue
        walls = [seconds(name) for _ in range(args.runs)]
        rows.append({"notebook": name, "n": args.runs, "median": statistics.median(walls), "walls": walls})
        print(f"{name}: {rows[-1]['median']:.0f} s", file=sys.stderr)
    if args.json:
        print(json.dumps({"commit": commit(), "rows": rows}))
        return
    total = sum(r["median"] for r in rows)
    lines = [
        [r["notebook"], r["n"], f"{r['median']:.0f}", f"{min(r['walls']):.0f}–{max(r['walls']):.0f}"]
        for r in rows
    ]
    print(f"commit {commit()}, {os.cpu_count()} cores\n")
    print(table(["notebook", "n", "median s", "range"], [*lines, ["all", "", f"{total:.0f}", ""]]))


if __name__ == "__main__":
    main()
