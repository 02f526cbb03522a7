"""VideoSeal and TrustMark from the user's own weights; the kit ships none of either.

In: a path. Out: a `Scheme`. VideoSeal (Fernandez et al. 2024, arXiv:2412.09492) is read as its published
TorchScript file with the methods `embed(pictures, bits)` and `detect(pictures)`; TrustMark (Bui et al. 2023,
arXiv:2311.18297) as a folder with `encoder.onnx` (picture, bits) and `decoder.onnx` (picture). TorchScript is
a program: give only files that you trust. No pickle is read.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from sorakit.errors import ModelError
from sorakit.robustness.schemes import RGB_BELOW_LUMA, Reading, Scheme, State, delivered_psnr, mixed
from sorakit.types import Rgb
from sorakit.video.convert import resize, rgb_to_frame
from sorakit.video.read import read_rgb

__all__ = ["ADAPTERS", "trustmark", "videoseal"]

Floats = npt.NDArray[np.float32]
Embed = Callable[[Rgb, Floats], Rgb]
"""One picture and bits `(1, K)` of 0 and 1, to the marked picture."""

Detect = Callable[[Rgb], Floats]
"""One picture to `K` values, above 0 for a 1."""


class Neural:
    """A scheme of two networks; its change is scaled until the PSNR is the wanted one."""

    def __init__(self, bits: int, embed: Embed, detect: Detect, frames: int | None) -> None:
        self.bits = bits
        self._embed, self._detect, self._frames = embed, detect, frames

    def _bits_of(self, payload: int) -> Floats:
        places = range(self.bits - 1, -1, -1)
        return np.array([[payload >> place & 1 for place in places]], np.float32)

    def tune(self, rgb: Rgb, payload: int, psnr: float) -> State:
        """See `Scheme`."""
        native = delivered_psnr(self._embed(rgb, self._bits_of(payload)), rgb)
        return {"share": 10 ** ((native - psnr + RGB_BELOW_LUMA) / 20)}

    def mark(self, pictures: Iterator[Rgb], payload: int, state: State) -> Iterator[av.VideoFrame]:
        """See `Scheme`."""
        bits = self._bits_of(payload)
        for rgb in pictures:
            yield rgb_to_frame(mixed(rgb, self._embed(rgb, bits), state["share"]))

    def read(self, path: Path, _state: State) -> Reading:
        """See `Scheme`: the sum of all frames' values decides each bit."""
        total = np.zeros(self.bits, np.float64)
        for _, rgb in read_rgb(path, max_frames=self._frames, threads=1):
            total += self._detect(rgb)
        return Reading(int("".join("1" if value > 0 else "0" for value in total), 2))


def videoseal(weights: Path | None, frames: int | None) -> Scheme:
    """VideoSeal from its TorchScript file; raises `ModelError` without it."""
    path = _there("videoseal", weights, "the TorchScript file y_256b_img.jit of its authors")
    try:
        import torch  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ModelError(f"VideoSeal needs {error.name}: pip install sorakit[gen]") from error
    try:
        model: Any = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
        bits = _count(model, torch)
    except (RuntimeError, AttributeError, ValueError) as error:
        raise ModelError(f"{path.name} is no TorchScript model with `embed` and `detect`: {error}") from error

    def tensor(rgb: Rgb) -> Any:
        return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))[None]).float() / 255

    def embed(rgb: Rgb, message: Floats) -> Rgb:
        with torch.inference_mode():
            out = model.embed(tensor(rgb), torch.from_numpy(message))[0].clamp(0, 1).numpy()
        return np.asarray(np.rint(out.transpose(1, 2, 0) * 255), dtype=np.uint8)

    def detect(rgb: Rgb) -> Floats:
        with torch.inference_mode():
            return np.asarray(model.detect(tensor(rgb))[0, 1:].numpy(), dtype=np.float32)

    return Neural(bits, embed, detect, frames)


def _count(model: Any, torch: Any) -> int:
    """Bits of the payload: the first value that `detect` gives is a mask."""
    with torch.inference_mode():
        return int(model.detect(torch.zeros(1, 3, 256, 256)).shape[1]) - 1


def trustmark(weights: Path | None, frames: int | None) -> Scheme:
    """TrustMark from a folder with its two ONNX networks; raises `ModelError` without them."""
    folder = _there("trustmark", weights, "a folder with its encoder.onnx and decoder.onnx")
    encoder, decoder = _session(folder / "encoder.onnx"), _session(folder / "decoder.onnx")
    inputs = {len(i.shape): i for i in encoder.get_inputs()}
    if set(inputs) != {2, 4}:
        raise ModelError(f"{folder.name}/encoder.onnx must take a picture (1, 3, S, S) and bits (1, K)")
    picture, secret = inputs[4], inputs[2]
    side, bits, seen = int(picture.shape[2]), int(secret.shape[1]), decoder.get_inputs()[0]

    def small(rgb: Rgb, size: int) -> Floats:
        square = resize(rgb, size, size).astype(np.float32) / 127.5 - 1
        return np.ascontiguousarray(square.transpose(2, 0, 1)[None])

    def embed(rgb: Rgb, message: Floats) -> Rgb:
        before = small(rgb, side)
        after = encoder.run(None, {picture.name: before, secret.name: message})[0]
        change = ((np.clip(after, -1, 1) - before)[0].transpose(1, 2, 0) * 127.5).astype(np.float32)
        return np.asarray(np.clip(np.rint(rgb + _enlarged(change, rgb)), 0, 255), dtype=np.uint8)

    def detect(rgb: Rgb) -> Floats:
        values = decoder.run(None, {seen.name: small(rgb, int(seen.shape[2]))})[0]
        return np.asarray(values, dtype=np.float32).reshape(-1)[:bits]

    return Neural(bits, embed, detect, frames)


def _enlarged(change: Floats, rgb: Rgb) -> Floats:
    size = (rgb.shape[1], rgb.shape[0])
    return np.asarray(cv2.resize(change, size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _there(name: str, path: Path | None, what: str) -> Path:
    if path is None or not path.exists():
        got = "none" if path is None else str(path)
        raise ModelError(f"{name} needs weights that you have, got {got}: give --plugin {name}=PATH, {what}")
    return path


def _session(path: Path) -> Any:
    try:
        import onnxruntime  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ModelError(f"ONNX weights need {error.name}: pip install sorakit[iw]") from error
    if not path.is_file():
        raise ModelError(
            f"there is no {path.name} in {path.parent}; TrustMark needs encoder.onnx and decoder.onnx"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no public base
        raise ModelError(f"{path.name} does not load as ONNX: {error}") from error


ADAPTERS: dict[str, Callable[[Path | None, int | None], Scheme]] = {
    "videoseal": videoseal,
    "trustmark": trustmark,
}
"""Adapters that the kit has itself, by the name that --plugin takes."""
