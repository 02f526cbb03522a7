"""A network for photographs as a describer: EfficientNet-lite0 in ONNX, run by onnxruntime on one thread.

In: a canonical clip. Out: channel means and deviations of four depths, and the maps from which a score's
place in the picture follows. Tan & Le, "EfficientNet" (ICML 2019); weights of TensorFlow's lite0, Apache-2.0.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.clip import Canonical, rgb_small
from detectors.features.shared import Floats
from sorakit.errors import ModelError

__all__ = ["SHA256", "Depths", "run_backbone", "session"]

FILE = Path(__file__).parent / "models" / "efficientnet-lite0.onnx"
SHA256 = "f8859a77abc6b5be5775d641018393d25d525979b0b445e56d2b8e2297889857"


@dataclass(frozen=True, slots=True, eq=False)
class Depths:
    """Maps `(T, C, h, w)` of the stages with 24, 40, 112 and 1280 channels."""

    early: Floats
    middle: Floats
    late: Floats
    top: Floats


@cache
def session() -> Any:
    """The network, loaded once; its file is hashed before any parser sees it.

    Raises `ModelError` when the file is missing or another, or onnxruntime is not installed.
    """
    try:
        data = FILE.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read {FILE.name}: {error.strerror}; reinstall sorakit") from error
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise ModelError(f"{FILE.name} is not the file that was shipped (SHA-256 differs); reinstall sorakit")
    try:
        import onnxruntime  # noqa: PLC0415 - 0.2 s that only a judged video should cost
    except ImportError as error:
        raise ModelError("the detector needs onnxruntime: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run_backbone(clip: Canonical, side: int, every: int) -> Depths:
    """Every `every`-th frame at `side` px through the network."""
    rgb = rgb_small(clip, side, every)
    x = np.ascontiguousarray(rgb.transpose(0, 3, 1, 2)).astype(np.float32)
    x -= 127
    x /= 128
    names = ["early", "middle", "late", "top"]
    maps: list[npt.NDArray[np.float32]] = session().run(
        names, {"x": x}
    )
    return Depths(*maps)
