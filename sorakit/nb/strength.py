"""Turn the strength of the mark, and see what it costs the picture and how long it lasts: widget or call.

In: a `Clip` in memory. Out: a `StrengthLab`; a notebook shows two sliders and three pictures (as it was,
marked, and the difference, amplified), a terminal a line. All of it happens in memory: no file is made.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from sorakit.errors import SorakitError, UsageError
from sorakit.nb.card import environment
from sorakit.nb.pictures import data_uri, jpeg
from sorakit.nb.shown import Shown
from sorakit.types import Clip, Luma, Rgb, WatermarkEvidence
from sorakit.video.convert import frame_to_rgb, rgb_to_frame, stored_luma
from sorakit.video.roundtrip import compress, planes_of
from sorakit.watermark.attacks.forgery import marked
from sorakit.watermark.payload import new_payload
from sorakit.watermark.video import VideoWatermark

__all__ = ["Marking", "StrengthLab"]

PSNR = (38.0, 45.0, 55.0)
"""Lowest, usual and highest strength that can be asked for, dB of luma; less is stronger."""
CRF = (18, 28, 45)
"""Finest, usual and coarsest upload."""
GAIN = 20
MAX_FRAMES = 24


@dataclass(frozen=True, slots=True)
class Marking:
    """One marked clip and what was read after an upload; notebooks show the pictures.

    `asked`, `psnr`: dB asked for and measured on luma, infinite for no change. `crf`: of the H.264 upload,
    None for none. `written`: the payload, 16 hex digits. `found`: the library's evidence. `pictures`: a frame
    before and after, and the difference `GAIN` times, around grey; each `uint8 (H, W, 3)`.
    """

    asked: float
    psnr: float
    crf: int | None
    written: str
    found: WatermarkEvidence
    pictures: tuple[Rgb, Rgb, Rgb] = field(repr=False)

    @property
    def right(self) -> bool:
        """Whether the payload that was written came back."""
        return self.found.payload == self.written

    @property
    def words(self) -> str:
        """Strength, damage and result in a line."""
        upload = "no upload" if self.crf is None else f"H.264 at CRF {self.crf}"
        read = f"the mark reads, log10 p {self.found.log10_p:.1f}" if self.right else "the mark does not read"
        return f"{self.psnr:.1f} dB, {upload}: {read}"

    def _repr_html_(self) -> str:
        names = ("as it was", f"marked, {self.psnr:.1f} dB", f"the difference, {GAIN} times")
        shown = Markup()
        for picture, name in zip(self.pictures, names, strict=True):
            template = environment().get_template("view.html.j2")
            uri = data_uri(jpeg(picture, 92))
            shown += Markup(template.render(kind="strip", text=name, caption=name, uri=uri))  # noqa: S704 - escaped there
        return f'<div role="status"><p><strong>{escape(self.words)}</strong></p>{shown}</div>'

    def __repr__(self) -> str:
        return self.words


class StrengthLab(Shown):
    """A widget that marks `clip` as strong as asked and reads the mark after an upload; or `lab.run(45, 28)`.

    `tried`: all markings so far. Takes the clip's first 24 frames; its sides must be even and 128 px or more.

    >>> lab = StrengthLab(clip)  # doctest: +SKIP
    >>> lab.run(45, crf=28).right  # doctest: +SKIP
    True
    """

    def __init__(self, clip: Clip) -> None:
        """Raises `UsageError` for a clip that is too small."""
        height, width = clip.frames.shape[1:3]
        if min(height, width) < 128 or height % 2 or width % 2:
            raise UsageError(
                f"`clip` must have even sides of 128 px or more, got {width}×{height}; enlarge it first"
            )
        self._frames = clip.frames[:MAX_FRAMES]
        self._fps = max(1, round(clip.fps))
        self.tried: list[Marking] = []

    def run(self, psnr: float = PSNR[1], crf: int | None = CRF[1]) -> Marking:
        """Mark at about `psnr` dB of luma, send it through H.264 at `crf` unless None, read.

        Raises `UsageError` outside of 38 to 55 dB and CRF 18 to 45.
        """
        if not PSNR[0] <= psnr <= PSNR[-1]:
            raise UsageError(f"`psnr` must be {PSNR[0]:g} to {PSNR[-1]:g} dB, got {psnr:g}")
        if crf is not None and not CRF[0] <= crf <= CRF[-1]:
            raise UsageError(f"`crf` must be {CRF[0]} to {CRF[-1]}, or None for no upload, got {crf}")
        payload = new_payload()
        plain = [rgb_to_frame(f) for f in self._frames]
        before = [stored_luma(f).copy() for f in plain]
        after = list(marked(iter(plain), payload, psnr, count=len(plain)))
        lumas = [stored_luma(f).copy() for f in after]
        rgb = [frame_to_rgb(f) for f in after]
        arrived: Iterable[Luma] = (
            lumas if crf is None else planes_of(compress(rgb, crf=crf, fps=self._fps))[0]
        )
        found = VideoWatermark().detect(((i / self._fps, y) for i, y in enumerate(arrived)), thorough=False)
        middle = len(rgb) // 2
        pictures = (self._frames[middle], rgb[middle], _difference(before[middle], lumas[middle]))
        done = Marking(psnr, _psnr(before, lumas), crf, f"{payload:016x}", found, pictures)
        self.tried.append(done)
        return done

    def __repr__(self) -> str:
        return (
            f"StrengthLab: lab.run(PSNR, CRF) with PSNR {PSNR[0]:g} to {PSNR[-1]:g} dB and CRF {CRF[0]} to "
            f"{CRF[-1]} or None; {len(self.tried)} tried"
        )

    def widget(self) -> Any:
        """Sliders for strength and upload, and the result below: an `ipywidgets.VBox`.

        Tab moves between them, arrow keys slide; the result follows when a slider is let go.
        """
        import ipywidgets  # noqa: PLC0415 - an extra; `run` works without it

        wide = ipywidgets.Layout(width="26rem", max_width="100%")
        common = {"continuous_update": False, "layout": wide, "style": {"description_width": "9rem"}}
        strength = ipywidgets.FloatSlider(
            PSNR[1],
            min=PSNR[0],
            max=PSNR[-1],
            step=0.5,
            description="Strength, dB",
            readout_format=".1f",
            **common,
        )
        upload = ipywidgets.IntSlider(CRF[1], min=CRF[0], max=CRF[-1], description="Upload, CRF", **common)
        result = ipywidgets.HTML()
        earlier = ipywidgets.HTML()

        def turned(_: Any = None) -> None:
            try:
                result.value = self.run(strength.value, upload.value)._repr_html_()
            except SorakitError as e:  # shown where the reader looks
                result.value = f'<p role="alert">{escape(str(e))}</p>'
            earlier.value = _table(self.tried[-6:])

        strength.observe(turned, "value")
        upload.observe(turned, "value")
        turned()
        row = ipywidgets.HBox([strength, upload], layout=ipywidgets.Layout(flex_flow="row wrap"))
        return ipywidgets.VBox([row, result, earlier])


def _table(tried: list[Marking]) -> str:
    rows = "".join(
        f"<tr><td>{m.psnr:.1f}</td><td>{'–' if m.crf is None else m.crf}</td>"
        f"<td>{'yes' if m.right else 'no'}</td><td>{m.found.log10_p:.1f}</td></tr>"
        for m in tried
    )
    head = "".join(f"<th scope='col'>{h}</th>" for h in ("PSNR, dB", "CRF", "reads", "log10 p"))
    body = f"<caption>the last tries</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<table style="border-collapse:separate;border-spacing:1rem 0">{body}</table>'


def _difference(before: Luma, after: Luma) -> Rgb:
    change = after.astype(np.float32) - before
    grey = np.clip(128 + GAIN * change, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _psnr(before: list[Luma], after: list[Luma]) -> float:
    pairs = zip(before, after, strict=True)
    error = float(np.mean([np.mean((a.astype(np.float32) - b) ** 2) for a, b in pairs]))
    return 20 * math.log10(255) - 10 * math.log10(error) if error else math.inf
