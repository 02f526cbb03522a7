"""Hard pairs for the detector: each real clip beside its round trip through our own autoencoder.

In: a folder of clips (`--data`) and the features' cache (`--cache`). Out: in the cache, a variant `coded` of
each real clip: the canonical window, encoded and decoded by `sorakit/weights/autoencoder`, as features.
Training on them as generated clips asks for traces of a decoder where nothing else differs. Prints n and CPU
seconds.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from common import ROOT, commit

from detectors.cache import path_of
from detectors.clip import pack, read_squares, unpack
from detectors.dataset import read_dataset
from detectors.describe import describe
from detectors.splits import final_set
from sorakit.model.vae import VideoVAE
from sorakit.types import Rgb
from sorakit.video.convert import array_to_rgb, resize, rgb_to_array

SIDE, GROUP = 256, 4


def coded(vae: VideoVAE, frames: tuple[Rgb, ...]) -> tuple[Rgb, ...]:
    """Frames at 256 px after the autoencoder; whole groups of four."""
    whole = len(frames) // GROUP * GROUP
    small = np.stack([resize(f, SIDE, SIDE) for f in frames[:whole]])
    x = torch.from_numpy(rgb_to_array(small))[None]
    with torch.no_grad():
        y = vae.decode(vae.encode(x))[0].float().numpy()
    return tuple(array_to_rgb(y))


def main() -> None:
    """Make what is not in the cache yet."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--cache", type=Path, required=True)
    options.add_argument("--n", type=int, default=1000)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    vae = VideoVAE.from_pretrained(ROOT / "sorakit/weights/autoencoder", low_cpu_mem_usage=False).eval()
    items = read_dataset(chosen.data)
    real = [i for i, new in zip(items, final_set(items), strict=True) if i.label == "real" and not new]
    start, done = time.process_time(), 0
    for item in real[: chosen.n]:
        path = path_of(chosen.cache, item.sha256, "coded")
        if not path.exists():
            frames = coded(vae, read_squares(item.path).frames)
            np.savez(path, values=describe(unpack(pack(frames))).values)
            done += 1
    print(f"n = {done} pairs made of {len(real)}, {time.process_time() - start:.0f} CPU s, {commit()}")


if __name__ == "__main__":
    main()
