"""The heat map of a measurement: attacks down, schemes across, each cell its share of exact recoveries.

In: `Results`. Out: a PNG. Colours run from pale to deep blue, so that they also read in grey and without
colour vision; the number stands in each cell, so that colour is never the only sign.
"""

from pathlib import Path
from typing import Any

from sorakit.errors import ModelError
from sorakit.robustness.results import Cell, Results
from sorakit.video._encode import new_file

__all__ = ["draw", "write"]

_PAGE, _INK, _DIM, _LINE = (255, 255, 255), (28, 32, 38), (108, 114, 124), (222, 226, 232)
_PALE, _DEEP = (236, 241, 248), (16, 72, 140)
_NONE = (247, 247, 247)
_LABEL, _CELL, _ROW, _HEAD, _PAD = 330, 190, 40, 196, 36
_TEXT, _SMALL, _TITLE = 22, 19, 34
_WORDS = {
    "crf": "CRF",
    "h264": "H.264",
    "h265": "H.265",
    "av1": "AV1",
    "vp9": "VP9",
    "gif": "GIF",
    "jpeg": "JPEG",
}


def draw(results: Results, title: str, note: str) -> Any:
    """The picture, a `PIL.Image`; raises `ModelError` without Pillow."""
    try:
        from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ModelError(f"drawing the heat map needs {error.name}: pip install pillow") from error
    width = max(_LABEL + _CELL * len(results.schemes) + 2 * _PAD, 900)
    height = _HEAD + _ROW * (len(results.attacks) + 1) + 20 + 2 * _PAD
    sheet = Image.new("RGB", (width, height), _PAGE)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default
    pen.text((_PAD, 28), title, fill=_INK, font=font(_TITLE))
    pen.text((_PAD, 78), "Share of clips whose payload came back exactly", fill=_DIM, font=font(_TEXT))
    for column, scheme in enumerate(results.schemes):
        _column_head(pen, font, results, scheme, _PAD + _LABEL + column * _CELL)
    y = _HEAD
    for attack in results.attacks:
        pen.text((_PAD + _LABEL - 18, y + _ROW / 2), _name(attack), fill=_INK, font=font(_TEXT), anchor="rm")
        for column, scheme in enumerate(results.schemes):
            _cell(pen, font(_TEXT), results.cells.get((attack, scheme)), _PAD + _LABEL + column * _CELL, y)
        y += _ROW
    y += 16
    pen.line((_PAD, y, width - _PAD, y), fill=_LINE, width=2)
    pen.text((_PAD + _LABEL - 18, y + _ROW / 2 + 4), "mean", fill=_INK, font=font(_TEXT), anchor="rm")
    for column, scheme in enumerate(results.schemes):
        x = _PAD + _LABEL + column * _CELL + _CELL / 2
        text = f"{results.mean(scheme):.1%}"
        pen.text((x, y + _ROW / 2 + 4), text, fill=_INK, font=font(_TEXT + 2), anchor="mm")
    pen.text((_PAD, height - _PAD - 8), note, fill=_DIM, font=font(_SMALL))
    return sheet


def _column_head(pen: Any, font: Any, results: Results, scheme: str, x: int) -> None:
    quality = results.quality.get(scheme, {})
    pen.text((x + _CELL / 2, 142), scheme, fill=_INK, font=font(_TEXT), anchor="mm")
    if "psnr_rgb_median" in quality:
        text = f"{quality['psnr_rgb_median']:.1f} dB"
        pen.text((x + _CELL / 2, 170), text, fill=_DIM, font=font(_SMALL), anchor="mm")


def _cell(pen: Any, font: Any, cell: Cell | None, x: int, y: int) -> None:
    box = (x + 2, y + 2, x + _CELL - 3, y + _ROW - 3)
    middle = (x + _CELL / 2, y + _ROW / 2)
    if cell is None:
        pen.rounded_rectangle(box, 6, fill=_NONE)
        pen.text(middle, "–", fill=_DIM, font=font, anchor="mm")
        return
    share = cell.share
    colour = tuple(round(a + (b - a) * share) for a, b in zip(_PALE, _DEEP, strict=True))
    pen.rounded_rectangle(box, 6, fill=colour)
    ink = (255, 255, 255) if share > 0.45 else _INK
    pen.text(middle, f"{share:.0%}", fill=ink, font=font, anchor="mm")


def _name(attack: str) -> str:
    """An attack's name as people write it.

    >>> _name("h264_crf28"), _name("crop_80")
    ('H.264 CRF 28', 'crop 80')
    """
    words = []
    for word in attack.split("_"):
        head = word.rstrip("0123456789") if word.startswith("crf") else word
        words.append(_WORDS.get(head, head) + (f" {word[len(head) :]}" if head != word else ""))
    return " ".join(words)


def write(sheet: Any, path: Path) -> Path:
    """Write or replace the PNG, whole or not at all."""
    with new_file(path) as part:
        sheet.save(part, format="PNG", optimize=True)
    return path
