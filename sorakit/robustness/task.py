"""What the guarded child does to one foreign file: read its credential, attack it, read its mark.

In: a request that was JSON. Out: a JSON object. Runs in `video.guard.run_guarded`.
"""

from pathlib import Path
from typing import Any

from sorakit.provenance.media import CARRIES_C2PA, sniff
from sorakit.provenance.trust import Trust
from sorakit.provenance.verify import read_credential
from sorakit.regenerate import install
from sorakit.types import Progress
from sorakit.video.probe import probe
from sorakit.video.read import read_luma
from sorakit.watermark.attacks import apply
from sorakit.watermark.video import FRAMES_WANTED, VideoWatermark

__all__ = ["attack_task", "look_task"]


def look_task(request: dict[str, Any], _progress: Progress) -> dict[str, Any]:
    """Whether `path` carries a credential and whose, whether it stands `beside` it, and how long it lasts."""
    path = Path(request["path"])
    said = read_credential(path, Trust()).provenance
    info = probe(path)
    return {
        "credential": said.state not in ("none", "error"),
        "signer": said.signer,
        "manifest_id": said.manifest_id,
        "beside": sniff(path) not in CARRIES_C2PA,
        "duration": info.duration,
    }


def attack_task(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Attack `src` into `dst`; with `read`, look for the mark in the result."""
    install()
    src, dst = Path(request["src"]), Path(request["dst"])
    others = [Path(p) for p in request["others"]]
    apply(
        request["name"], src, dst, request["strength"], request["seed"], others=others,
        progress=lambda step, share: progress(step, share * 0.9),
    )  # fmt: skip
    answer: dict[str, Any] = {"bytes": dst.stat().st_size}
    if request["read"]:
        progress("read the mark", 0.9)
        mark = VideoWatermark().detect(read_luma(dst, max_frames=FRAMES_WANTED))
        answer |= {"found": mark.found, "payload": mark.payload, "log10_p": mark.log10_p}
    return answer
