"""Does a stripped video find its credential again, and only its own?

    python benchmarks/recovery.py --work FOLDER [--clips 40] [--split held-out|dev] [--seed 0] [--json]

The whole path with a fresh registry: publish a clip, do to it what platforms do (remux, H.264 CRF 28, social
upload), check what is left. Once more through `sorakit serve`'s application as a stranger with an empty home.
Then what must not match: each clip's mark put onto another clip, and every pair of different videos among the
registered fingerprints and the attacked copies. Clips of at most 540 lines, one half of the sources (the
other half is for development). Results are kept in FOLDER, a clip a line: a run that was stopped goes on
there. At the default 40 clips some 30 CPU minutes.
"""

import argparse
import csv
import json
import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
from common import ROOT, commit, table, wilson

from sorakit.check import check
from sorakit.config import Settings
from sorakit.errors import SorakitError
from sorakit.provenance.keys import DEV_FILE, create_dev_identity
from sorakit.provenance.trust import Trust
from sorakit.publish import publish
from sorakit.registry.fingerprint import MATCH_THRESHOLD, Fingerprint, fingerprint_file, similarity
from sorakit.registry.repo import Registry
from sorakit.robustness.clips import pick
from sorakit.types import Verdict
from sorakit.video.transcode import transcode
from sorakit.video.write import EncodeSettings
from sorakit.watermark.attacks import apply
from sorakit.watermark.video import VideoWatermark

ATTACKS = {"remux": 1.0, "h264_crf28": 0.98, "social_upload": 0.95}
"""Attack to target."""

RESOLVED = "h264_crf28, by a resolver"
MAX_SIDE = 540


def chosen(data: Path, split: str, n: int, seed: int) -> list[Path]:
    """`n` clips of one half of the sources, at most `MAX_SIDE` lines."""
    with (data / "manifest.csv").open(newline="") as f:
        small = {
            data / r["path"] for r in csv.DictReader(f) if min(int(r["width"]), int(r["height"])) <= MAX_SIDE
        }
    fits = [p for p in pick(data, split, 10**6, seed) if p in small]
    return sorted(random.Random(seed).sample(fits, min(n, len(fits))))  # noqa: S311  a sample of clips


def short(path: Path) -> str:
    """A clip's folder and name, as rows have them."""
    return "/".join(path.parts[-2:])


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """The application over the publisher's registry, on a free port."""
    import uvicorn  # noqa: PLC0415

    from sorakit.api.app import create_app  # noqa: PLC0415

    with Registry(settings.database_url, read_only=True) as registry:
        config = uvicorn.Config(
            create_app(registry, settings=settings), port=0, log_level="error", lifespan="off", ws="none"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.05)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def told(verdict: Verdict) -> dict[str, Any]:
    """What one check found, short enough to keep."""
    e = verdict.evidence
    return {
        "decision": str(verdict.decision),
        "mark": e.watermark.payload,
        "state": e.recovery.state,
        "manifest": e.recovery.manifest_id,
        "similarity": e.recovery.similarity,
        "problems": e.recovery.problems + ([e.error] if e.error else []),
    }


def one(clip: Path, other: Path, work: Path, home: Settings) -> dict[str, Any]:
    """All of one clip: published, attacked, checked; its mark copied onto `other`, checked."""
    stranger = Settings(home=work / "stranger")
    name = "-".join(clip.parts[-2:]).rsplit(".", 1)[0]
    published, attacked = work / f"{name}.mp4", work / "attacked.mp4"
    row: dict[str, Any] = {"clip": short(clip), "other": short(other)}
    try:
        done = publish(clip, published, settings=home, overwrite=True)
    except SorakitError as e:
        return row | {"refused": str(e)}
    row |= {"manifest": done.manifest_id, "payload": done.payload, "psnr": done.psnr, "prints": {}}
    for name in ATTACKS:
        apply(name, published, attacked)
        row[name] = told(check(attacked, trust=Trust(), settings=home))
        row["prints"][name] = fingerprint_file(attacked).data
        if name == "h264_crf28":
            with serving(home) as url:
                row[RESOLVED] = told(check(attacked, trust=Trust(), settings=stranger, resolvers=[url]))
    transcode(
        other,
        attacked,
        make_luma=lambda info: VideoWatermark().embedder(info.geometry, int(done.payload, 16), psnr=40.0),
        settings=EncodeSettings(crf=home.crf, preset="veryfast"),
    )
    row["copied"] = told(check(attacked, trust=Trust(), settings=home))
    with serving(home) as url:
        row["copied, by a resolver"] = told(
            check(attacked, trust=Trust(), settings=stranger, resolvers=[url])
        )
    attacked.unlink()
    published.unlink()
    return row


def run(clips: list[Path], work: Path) -> list[dict[str, Any]]:
    """The rows of all clips; those that `work` holds already are not done again."""
    work.mkdir(parents=True, exist_ok=True)
    home, kept = Settings(home=work / "home", preset="veryfast"), work / "rows.jsonl"
    if not (home.keys_dir / DEV_FILE).exists():
        create_dev_identity(home.keys_dir)
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    finished = {r["clip"] for r in rows}
    for k, clip in enumerate(clips):
        if short(clip) in finished:
            continue
        other = next(c for c in clips[k + 1 :] + clips[:k] if c.parent != clip.parent)
        start = time.process_time()
        rows.append(one(clip, other, work, home))
        with kept.open("a") as f:
            f.write(json.dumps(rows[-1]) + "\n")
        sys.stderr.write(
            f"{k + 1} of {len(clips)}: {rows[-1]['clip']}, {time.process_time() - start:.0f} s\n"
        )
    return [r for r in rows if r["clip"] in set(map(short, clips))]


def crossed(rows: list[dict[str, Any]], home: Settings, data: Path, seed: int, most: int) -> list[float]:
    """Similarity of registered fingerprints to other videos' attacked copies, `most` drawn pairs."""
    with (data / "manifest.csv").open(newline="") as f:
        parents = {short(Path(r["path"])): r["parent"] or r["sha256"] for r in csv.DictReader(f)}
    with Registry(home.database_url) as registry:
        known = {r["clip"]: record.fingerprint for r in rows if (record := registry.get(r["manifest"]))}
    pairs = [
        (known[a["clip"]], Fingerprint(b["prints"][attack]))
        for a in rows
        for b in rows
        for attack in ATTACKS
        if parents[a["clip"]] != parents[b["clip"]]
    ]
    drawn = random.Random(seed).sample(pairs, min(most, len(pairs)))  # noqa: S311
    return [similarity(x, y) for x, y in drawn if x is not None]


def summarise(rows: list[dict[str, Any]], scores: list[float], args: argparse.Namespace) -> dict[str, Any]:
    """The figures."""
    done = [r for r in rows if "refused" not in r]
    out: dict[str, Any] = {"commit": commit(), "split": args.split, "seed": args.seed, "n": len(done)}
    out["refused"] = [{k: r[k] for k in ("clip", "refused")} for r in rows if "refused" in r]
    for name in (*ATTACKS, RESOLVED):
        hits = sum(r[name]["state"] == "recovered" and r[name]["manifest"] == r["manifest"] for r in done)
        marks = sum(r[name]["mark"] == r["payload"] for r in done)
        out[name] = {"recovered": hits, "ci": wilson(hits, len(done)), "mark read": marks}
    kinds = (*ATTACKS, RESOLVED)
    out["other's manifest"] = sum(r[k]["manifest"] not in (None, r["manifest"]) for r in done for k in kinds)
    for kind in ("copied", "copied, by a resolver"):
        carried = [r for r in done if r[kind]["mark"] == r["payload"]]
        borrowed = sum(r[kind]["state"] == "recovered" for r in carried)
        out[kind] = {"n": len(carried), "borrowed": borrowed, "ci": wilson(borrowed, len(carried))}
    matched = sum(s >= MATCH_THRESHOLD for s in scores)
    out["pairs"] = {"n": len(scores), "matched": matched, "ci": wilson(matched, len(scores))}
    out["pairs"]["highest"] = max(scores, default=None)
    return out


def show(s: dict[str, Any]) -> None:
    """The tables for people."""
    print(f"recovery, {s['n']} {s['split']} clips, seed {s['seed']}, commit {s['commit']}")
    lines = []
    for name in (*ATTACKS, RESOLVED):
        low, high = s[name]["ci"]
        target = f"{ATTACKS[name]:.0%}" if name in ATTACKS else "-"
        share = f"{s[name]['recovered']}/{s['n']} ({low:.1%} - {high:.1%})"
        lines.append([name, share, s[name]["mark read"], target])
    print(table(["after", "recovered (95 % interval)", "mark read", "target"], lines))
    lines = [["another clip's manifest", s["other's manifest"], s["n"] * (len(ATTACKS) + 1), "-"]]
    for name, count in (("copied", "borrowed"), ("copied, by a resolver", "borrowed"), ("pairs", "matched")):
        lines.append([name, s[name][count], s[name]["n"], f"{s[name]['ci'][1]:.2%}"])
    print(table(["must not match", "matches", "n", "at most (95 %)"], lines))
    for r in s["refused"]:
        print(f"not published: {r['clip']}: {r['refused']}")


def main() -> int:
    """Run, or go on, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "clips")
    parser.add_argument("--work", type=Path, required=True, help="results and the registry are kept here")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--pairs", type=int, default=3000)
    parser.add_argument("--split", choices=("held-out", "dev"), default="held-out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not (args.data / "manifest.csv").is_file():
        sys.exit(f"no manifest.csv in {args.data}: pass --data FOLDER")
    os.nice(5)
    cv2.setNumThreads(1)
    clips = chosen(args.data, args.split, args.clips, args.seed)
    rows = run(clips, args.work)
    done = [r for r in rows if "refused" not in r]
    scores = crossed(done, Settings(home=args.work / "home"), args.data, args.seed, args.pairs)
    summary = summarise(rows, scores, args)
    print(json.dumps(summary)) if args.json else show(summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
