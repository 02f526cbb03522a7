import importlib.util
import subprocess
import sys
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from sorakit.errors import ModelError, UnsupportedError, UsageError
from sorakit.watermark.imwatermark import METHODS, ImWatermark, Method

installed = (
    importlib.util.find_spec("imwatermark") is not None and importlib.util.find_spec("pywt") is not None
)
needs_iw = pytest.mark.skipif(not installed, reason="the `iw` extra is not installed")
PAYLOAD = 0xDEADBEEF


@needs_iw
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the library's own
@pytest.mark.parametrize("method", ["dwtDctSvd", "rivaGan"])
def test_untouched_frames_read_back(textured: Callable, method: Method) -> None:
    scheme = ImWatermark(method)
    frame = cv2.cvtColor(cv2.GaussianBlur(textured(n=1)[0], (0, 0), 1.5), cv2.COLOR_GRAY2RGB)
    marked = scheme.embedder(PAYLOAD)(frame)
    assert marked.shape == frame.shape
    assert marked.dtype == np.uint8
    assert 10 * np.log10(255**2 / np.mean((marked.astype(float) - frame) ** 2)) > 30
    bits = bin(scheme.detect([marked]) ^ PAYLOAD).count("1")
    assert bits <= 2


@needs_iw
def test_misuse_is_refused() -> None:
    with pytest.raises(UsageError, match="method"):
        ImWatermark("magic")  # type: ignore[arg-type]
    scheme = ImWatermark("dwtDct")
    with pytest.raises(UsageError, match="32 bits"):
        scheme.embedder(1 << 32)
    with pytest.raises(UnsupportedError, match="65536 px"):
        scheme.embedder(1)(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(UsageError, match="at least one frame"):
        scheme.detect([])


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imwatermark", None)
    for method in METHODS:
        with pytest.raises(ModelError, match=r"sorakit\[iw\]"):
            ImWatermark(method)


def test_the_core_imports_neither_it_nor_torch() -> None:
    code = (
        "import sys, sorakit.watermark.video, sorakit.watermark.attacks, sorakit.watermark.imwatermark; "
        "sys.exit('imwatermark' in sys.modules or 'torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
