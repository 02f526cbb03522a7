"""The README's picture: run `sorakit demo`, then draw its `overview.svg` with Chromium as a PNG.

In: a folder that `sorakit demo` has filled (or none: then the demo runs first). Out: `docs/demo.png`.
Needs `chromium` on the path (Debian: apt-get install --no-install-recommends chromium fonts-dejavu-core).
Not a measurement; the decisions in the picture are those of the run, and a broken promise stops it.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from common import ROOT, commit

_QUIET = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars")


def main() -> int:
    """Run the command; 1 when the demo broke a promise, 2 when Chromium is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, help="folder of an earlier `sorakit demo`")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "demo.png")
    parser.add_argument("--scale", type=float, default=1.5, help="pixels of the PNG a pixel of the drawing")
    args = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.stderr.write("chromium is not installed; the picture is drawn with it\n")
        return 2
    with tempfile.TemporaryDirectory() as work:
        folder = args.demo or _demo(Path(work) / "demo")
        if folder is None:
            return 1
        draw(folder / "overview.svg", args.output, chromium, args.scale, Path(work))
    sys.stdout.write(f"{args.output}: {args.output.stat().st_size} bytes, commit {commit()}\n")
    return 0


def _demo(folder: Path) -> Path | None:
    """A fresh demo, or None when a check said something else than promised."""
    command = [
        sys.executable,
        "-c",
        "from sorakit.cli import main; main()",
        "demo",
        "-o",
        str(folder),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stderr or "the demo broke a promise\n")
        return None
    rows = json.loads(done.stdout)["rows"]
    sys.stdout.write("".join(f"{r['step']:15} {r['decision']}\n" for r in rows))
    return folder


def draw(svg: Path, out: Path, chromium: str, scale: float, work: Path) -> None:
    """Rasterise `svg` to the PNG `out` at its own size times `scale`."""
    root = ElementTree.fromstring(svg.read_text(encoding="utf-8"))  # noqa: S314 - our own drawing
    size = f"{root.get('width')},{root.get('height')}"
    page = work / "page.html"
    page.write_text(
        f'<!doctype html><meta charset="utf-8"><body style="margin:0">{svg.read_text(encoding="utf-8")}',
        encoding="utf-8",
    )
    command = [chromium, *_QUIET, f"--user-data-dir={work / 'profile'}", f"--window-size={size}"]
    command += [f"--force-device-scale-factor={scale}", "--default-background-color=00000000"]
    command += [f"--screenshot={out.absolute()}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    raise SystemExit(main())
