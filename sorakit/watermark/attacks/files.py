"""Attacks on the file that leave the pictures' own data as it is: copy, remux, one flipped bit.

In: a file. Out: a file. `untouched` and `flip_byte` keep metadata and credential; `remux` loses both, as
platforms do.
"""

import shutil
from pathlib import Path

import av

from sorakit.watermark.attacks.base import Attack, Job
from sorakit.watermark.attacks.stream import comment

__all__ = ["ATTACKS", "flip_byte"]


def flip_byte(src: Path, dst: Path) -> None:
    """Copy with one bit inverted in the middle of the largest top-level box (the media data of an MP4).

    >>> flip_byte(Path("marked.mp4"), Path("flipped.mp4"))  # doctest: +SKIP
    """
    shutil.copyfile(src, dst)
    size = dst.stat().st_size
    with dst.open("r+b") as file:
        position, best = 0, (0, 0)
        while position + 8 <= size:
            file.seek(position)
            length = int.from_bytes(file.read(4), "big")
            if file.read(4) and length == 1:
                length = int.from_bytes(file.read(8), "big")
            length = length if 8 <= length <= size - position else size - position
            best = max(best, (length, position))
            position += length
        target = best[1] + best[0] // 2
        file.seek(target)
        value = file.read(1)
        file.seek(target)
        file.write(bytes([value[0] ^ 0x10]))


def _remux(job: Job) -> None:
    with (
        av.open(f"file:{job.src}", metadata_errors="ignore") as source,
        av.open(str(job.dst), "w") as target,
    ):
        wanted = [s for s in source.streams if s.type in ("video", "audio")]
        streams = {s.index: target.add_stream_from_template(s) for s in wanted}
        target.metadata["comment"] = comment(job.name)
        for packet in source.demux(wanted):
            if packet.size:  # in Matroska the first ones name no time of decoding; the muxer finds it
                packet.stream = streams[packet.stream_index]
                target.mux(packet)


ATTACKS = (
    Attack(
        "untouched", "file", "a copy", lambda job: (shutil.copyfile(job.src, job.dst), None)[1],
        keeps_credential=True,
    ),
    Attack("remux", "file", "same packets, fresh container, no metadata", _remux),
    Attack(
        "flip_byte", "file", "one bit of the media data inverted", lambda job: flip_byte(job.src, job.dst),
        keeps_credential=True,
    ),
)  # fmt: skip
