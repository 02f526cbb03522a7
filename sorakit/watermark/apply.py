"""Mark a whole video file: the task that `publish` runs in its guarded child.

In: paths, a fresh payload, key and encoder settings. Out: the marked, still unsigned file and what became of
it. A file that already carries a readable mark keeps that mark's payload: existing marks are not removed, and
two different payloads on one picture would leave neither readable.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sorakit.types import LumaFilter, Progress
from sorakit.video.probe import VideoInfo, probe
from sorakit.video.stamp import Stamp
from sorakit.video.transcode import require_markable, transcode
from sorakit.video.write import EncodeSettings
from sorakit.watermark.base import PUBLIC_KEY
from sorakit.watermark.reading import read_file
from sorakit.watermark.video import VideoWatermark

__all__ = ["existing_payload", "mark_file_task"]


def existing_payload(path: Path, duration: float, secret: Sequence[dict[str, str]] = ()) -> int | None:
    """The payload that a file carries already, or None; a secret key's counts before the public one's."""
    found = read_file(path, duration, secret)
    return int(found.payload, 16) if found.found and found.payload else None


def mark_file_task(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Transcode `src` to `dst` with visible labels, then the mark; audio and frame times stay as they are."""
    src, dst = Path(request["src"]), Path(request["dst"])
    progress("look for a mark", 0.0)
    info = probe(src)
    require_markable(info, src.name)  # before any search in its pixels
    present = existing_payload(src, info.duration, request.get("secret_keys", ()))
    keys = tuple(bytes.fromhex(k) for k in request.get("keys", ())) or (PUBLIC_KEY,)
    payload = int(request["payload"], 16) if present is None else present

    def make_luma(info: VideoInfo) -> LumaFilter:
        return VideoWatermark().embedder(
            info.geometry, payload, keys=keys, psnr=request["psnr"], frames=info.frame_count
        )

    report = transcode(
        src,
        dst,
        make_luma=make_luma,
        settings=EncodeSettings(
            crf=request["crf"], preset=request["preset"], codec=request.get("codec", "auto")
        ),
        progress=progress,
        metadata=request["metadata"],
        stamps=tuple(Stamp.from_json(s) for s in request.get("stamps", ())),
    )
    return {
        "payload": f"{payload:016x}",
        "was_marked": present is not None,
        "frames": report.frames,
        "duration": report.duration,
        "psnr": report.luma_psnr,
        "dropped": list(report.dropped),
    }
