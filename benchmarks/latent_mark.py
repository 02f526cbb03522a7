"""The mark in the initial noise: read after the way out and after attacks, by whom not, and at what cost.

    python benchmarks/latent_mark.py [--model full-world-64] [--n 16] [--keys 1000] [--fidelity 128] [--json]

Clips of fresh prompts ("measure" stream) are sampled from marked noise at the model's own steps and guidance,
and inverted without guidance, with the prompt and without. Columns: signs right in all cells; payload exact
where nothing is known (64 bits, gate 1e-9); found where the payload is known (prompt and seed), same gate.
"Float" is the sampler's output before any decoder or rounding, "published" the lattice mark and H.264 CRF 18
at 256 px, brought back to the model's size by area; attacks are encoded once more. Wrong keys read the first
clip's noise, found from the float and from the file. Fidelity compares all facts on equal prompts and
seeds with marked and with plain noise (paired, 95 % by normal approximation).
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from common import commit, table, wilson

from sorakit.config import Settings
from sorakit.generate import load_info, load_pipeline, seeded
from sorakit.latent_mark import basis_of, marked_noise, noise_of_latents, payload_for
from sorakit.model_info import model_folder
from sorakit.prompts import fresh_scenes
from sorakit.types import Clip, Rgb
from sorakit.video.read import read_clip
from sorakit.video.write import EncodeSettings, enlarge, geometry_of_clip, write_clip
from sorakit.watermark.latent import read_noise
from sorakit.watermark.payload import new_payload
from sorakit.watermark.video import VideoWatermark
from sorakit.world.caption import caption
from sorakit.world.oracle import score

KEY = bytes(range(32))
BATCH = 8


def through(clip: Rgb, folder: Path, *, crf: int = 18, size: int = 0, blur: float = 0.0) -> Rgb:
    """The published file, attacked, and brought back to the model's size."""
    settings, large = Settings(), enlarge(Clip(clip, Fraction(12)))
    path = folder / "a.mp4"
    mark = VideoWatermark().embedder(geometry_of_clip(large), new_payload(), psnr=settings.psnr)
    write_clip(large, path, luma=mark, settings=EncodeSettings(crf=settings.crf, preset=settings.preset))
    frames = read_clip(path).frames
    if crf != 18 or size or blur:
        changed = np.stack([attack(frame, size, blur) for frame in frames])
        write_clip(Clip(changed, Fraction(12)), path, settings=EncodeSettings(crf=crf, preset="medium"))
        frames = read_clip(path).frames
    H, W = clip.shape[1:3]
    return np.stack([cv2.resize(f, (W, H), interpolation=cv2.INTER_AREA) for f in frames])


def attack(frame: Rgb, size: int, blur: float) -> Rgb:
    """One frame made smaller or blurred."""
    if size:
        frame = cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(frame, (0, 0), blur) if blur else frame


WAYS: dict[str, Callable[[Rgb, Path], Rgb]] = {
    "8-bit frames": lambda clip, _: clip,
    "published": through,
    "published, CRF 28": lambda clip, at: through(clip, at, crf=28),
    "published, half size": lambda clip, at: through(clip, at, size=128),
    "published, blur 2": lambda clip, at: through(clip, at, blur=2.0),
}


def sample(pipe: Any, info: Any, prompts: list[str], noise: Any, kind: str = "latent") -> Any:
    """Clips from noise, or from seeds."""
    given = {"latents": noise} if isinstance(noise, torch.Tensor) else {"generator": noise}
    return pipe(
        prompts, num_inference_steps=info.steps, guidance_scale=info.guidance,
        guidance_interval=(info.guidance_low, 1.0), output_type=kind, **given,
    ).frames  # fmt: skip


def measure(pipe: Any, info: Any, n: int, keys: int) -> dict[str, Any]:
    """Every way, with the prompt and without."""
    prompts = [caption(s) for s in fresh_scenes(info, n, 2026, "all", "measure")]
    basis, rows = basis_of(pipe), dict[str, list[tuple[float, bool, bool, bool]]]()
    kept: list[Any] = []
    for first in range(0, n, BATCH):
        part = prompts[first : first + BATCH]
        known = [payload_for(KEY, first + i, p) for i, p in enumerate(part)]
        noise = torch.cat(
            [marked_noise(pipe, info.usual, known[i], KEY, first + i) for i in range(len(part))]
        )
        true = [basis.to_cells(z[None]) for z in noise]
        latents = sample(pipe, info, part, noise)
        clips = pipe.canvas.to_rgb(pipe.canvas.decode(latents))
        ways: dict[str, torch.Tensor] = {"float": latents}
        with tempfile.TemporaryDirectory() as folder:
            for name, way in WAYS.items():
                ways[name] = pipe.canvas.encode(
                    np.stack([way(c, Path(folder)) for c in clips]), torch.device("cpu")
                )
        for name, latent in ways.items():
            for told, words in (("prompt", part), ("none", [""] * len(part))):
                found = noise_of_latents(pipe, latent, prompts=words, steps=info.steps)
                for i, z in enumerate(found):
                    cells = basis.to_cells(z[None])
                    if first == 0 and i == 0:
                        kept.append(cells)
                    rows.setdefault(f"{name} / {told}", []).append(judge(cells, true[i], known[i], basis))
        print(f"{min(n, first + BATCH)} of {n}", flush=True)
    wrong = [
        read_noise(c, k.to_bytes(32, "little"), weights=basis.weights)
        for c in (kept[0], kept[4])
        for k in range(1, keys // 2 + 1)
    ]
    result = {
        name: {
            "signs": float(np.mean([r[0] for r in got])),
            "exact": sum(r[1] for r in got), "known": sum(r[2] for r in got),
            "wrong": sum(r[3] for r in got), "n": len(got),
        }
        for name, got in rows.items()
    }  # fmt: skip
    return {"ways": result, "wrong_keys": {"n": len(wrong), "found": sum(w.found for w in wrong),
            "least_log10_p": min(w.log10_p for w in wrong)}}  # fmt: skip


def judge(cells: Any, true: Any, payload: int, basis: Any) -> tuple[float, bool, bool, bool]:
    """Signs right; exact when unknown; found when known; another payload decoded."""
    blind = read_noise(cells, KEY, weights=basis.weights)
    known = read_noise(cells, KEY, weights=basis.weights, expected=payload)
    exact = blind.payload == f"{payload:016x}"
    return float(np.mean((cells > 0) == (true > 0))), exact, known.found, blind.found and not exact


def fidelity(pipe: Any, info: Any, n: int) -> dict[str, Any]:
    """All facts with marked noise and with plain noise, and their paired difference."""
    scenes = fresh_scenes(info, n, 4711, "all", "measure")
    got: list[tuple[float, float]] = []
    for first in range(0, n, BATCH):
        part = scenes[first : first + BATCH]
        prompts = [caption(s) for s in part]
        noise = torch.cat([
            marked_noise(pipe, info.usual, payload_for(KEY, first + i, p), KEY, first + i)
            for i, p in enumerate(prompts)
        ])  # fmt: skip
        marked = sample(pipe, info, prompts, noise, "np")
        plain = sample(pipe, info, prompts, [seeded(first + i) for i in range(len(part))], "np")
        got += [
            (score(a, s)["all_facts"], score(b, s)["all_facts"])
            for a, b, s in zip(marked, plain, part, strict=True)
        ]
    pairs = np.array(got)
    gap = pairs[:, 0] - pairs[:, 1]
    half = 1.96 * float(gap.std(ddof=1)) / len(gap) ** 0.5
    mean = [float(x) for x in pairs.mean(0)]
    return {"n": n, "marked": mean[0], "plain": mean[1], "difference": float(gap.mean()), "half": half}


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="full-world-64")
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--fidelity", type=int, default=128)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    start, folder = time.process_time(), model_folder(args.model)
    info, pipe = load_info(folder), load_pipeline(folder, solver="euler")
    result = measure(pipe, info, args.n, args.keys)
    result["fidelity"] = fidelity(pipe, info, args.fidelity) if args.fidelity else None
    result |= {"model": args.model, "cells": int(np.prod(pipe.canvas.shape(info.usual))), "commit": commit()}
    result["cpu_s"] = round(time.process_time() - start)
    if args.json:
        print(json.dumps(result))
        return
    rows = []
    for name, r in result["ways"].items():
        ends = [wilson(r[k], r["n"]) for k in ("exact", "known")]
        shares = [
            f"{r[k]}/{r['n']} [{a:.2f}, {b:.2f}]" for k, (a, b) in zip(("exact", "known"), ends, strict=True)
        ]
        rows.append([name, f"{r['signs']:.4f}", *shares, r["wrong"]])
    print(table(["way / told", "signs right", "64 bits exact", "known payload found", "wrong"], rows))
    print({k: v for k, v in result.items() if k != "ways"})


if __name__ == "__main__":
    main()
