"""A network for photographs as a describer: EfficientNet-lite0 in ONNX, run by onnxruntime on one thread.

In: a canonical clip. Out: the maps of the depths that are asked for, from which the place of a score in the
picture follows. Tan & Le, "EfficientNet" (ICML 2019); weights of TensorFlow's lite0, Apache-2.0.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from detectors.clip import Canonical, rgb_small
from detectors.features.shared import Floats
from sorakit.errors import ModelError

__all__ = ["DEPTHS", "SHA256", "run_backbone", "session"]

FILE = Path(__file__).parent / "models" / "efficientnet-lite0.onnx"
SHA256 = "f8859a77abc6b5be5775d641018393d25d525979b0b445e56d2b8e2297889857"


DEPTHS = ("early", "middle", "late", "top")
"""Stages with 24, 40, 112 and 1280 channels."""


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


def run_backbone(clip: Canonical, side: int, every: int, depths: Sequence[str] = DEPTHS) -> list[Floats]:
    """Every `every`-th frame at `side` px through the network: a map `(T, C, h, w)` for each of `depths`.

    One frame at a time, whose maps stay in the processor's cache.
    """
    rgb = rgb_small(clip, side, every)
    x = np.ascontiguousarray(rgb.transpose(0, 3, 1, 2)).astype(np.float32)
    x -= 127
    x /= 128
    maps = [session().run(list(depths), {"x": x[i : i + 1]}) for i in range(len(x))]
    return [np.concatenate(of_depth) for of_depth in zip(*maps, strict=True)]
