"""A PNG of samples while a model trains: a few frames for each prompt, and a tick for each fact that holds.

In: sampled clips and the scenes they should show. Out: one still picture in the run's folder, marked in its
metadata as made by a model. Previews are stills on purpose: a video leaves the kit through
`sorakit.publish` alone, which marks and signs it.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sorakit.contact_sheet import GAP, strip_of, write_png
from sorakit.train.evaluate import Sampled
from sorakit.types import Rgb
from sorakit.world.caption import caption
from sorakit.world.oracle import FACTS, score
from sorakit.world.scene import Scene

__all__ = ["draw_preview"]

_BACK, _CARD, _INK, _DIM = (241, 243, 246), (255, 255, 255), (27, 31, 36), (104, 112, 122)
_GOOD, _GOOD_BACK, _BAD, _BAD_BACK = (17, 120, 78), (225, 244, 234), (190, 38, 46), (252, 231, 231)
_CLIPS, _COLUMNS, _STILLS = 8, 2, 6
_PAD, _EDGE, _CHIP = 20, 28, 28


def draw_preview(sampled: Sampled, path: Path, title: str, about: str) -> Rgb:
    """Write the first eight of `sampled` to `path`; the picture `uint8 (H, W, 3)` comes back.

    Raises `OutputError` when it cannot be written.
    """
    pairs = list(zip(sampled.clips, sampled.scenes, strict=True))[:_CLIPS]
    cards = [_card(clip, scene) for clip, scene in pairs]
    columns = min(_COLUMNS, len(cards))
    rows = [cards[i : i + columns] for i in range(0, len(cards), columns)]
    width = columns * (max(c.width for c in cards) + _EDGE) + _EDGE
    height = 130 + sum(max(c.height for c in row) + _EDGE for row in rows)
    sheet = Image.new("RGB", (width, height), _BACK)
    _head(sheet, title, about, sampled)
    y = 130
    for row in rows:
        for i, card in enumerate(row):
            x = _EDGE + i * (cards[0].width + _EDGE)
            box = (x, y, x + card.width, y + max(c.height for c in row))
            ImageDraw.Draw(sheet).rounded_rectangle(box, 12, fill=_CARD)
            sheet.paste(card, (x, y), _rounded(card.size))
        y += max(c.height for c in row) + _EDGE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(sheet, path)
    return np.asarray(sheet)


def _head(sheet: Image.Image, title: str, about: str, sampled: Sampled) -> None:
    """Title, what it cost so far, and the mean over all prompts on the right."""
    pen = ImageDraw.Draw(sheet)
    pen.text((_EDGE, 24), title, fill=_INK, font=ImageFont.load_default(34))
    note = f"{about}. Training preview, frames made by AI."
    pen.text((_EDGE, 78), note, fill=_DIM, font=ImageFont.load_default(20))
    share = f"{100 * sampled.scores['all_facts']:.0f} %"
    right = sheet.width - _EDGE
    pen.text((right, 24), share, fill=_INK, font=ImageFont.load_default(34), anchor="ra")
    note = f"of {len(sampled.clips)} prompts obeyed in every fact"
    pen.text((right, 78), note, fill=_DIM, font=ImageFont.load_default(20), anchor="ra")


def _card(clip: Rgb, scene: Scene) -> Image.Image:
    """Frames, the prompt below them, and a chip for each fact."""
    strip = strip_of(clip, _STILLS)
    lines = _wrapped(caption(scene), strip.width)
    height = strip.height + 26 * len(lines) + _CHIP + 3 * _PAD + 6
    card = Image.new("RGB", (strip.width + 2 * _PAD, height), _CARD)
    card.paste(strip, (_PAD, _PAD))
    pen, y = ImageDraw.Draw(card), 2 * _PAD + strip.height - 6
    for line in lines:
        pen.text((_PAD, y), line, fill=_INK, font=ImageFont.load_default(19))
        y += 26
    scores, x = score(clip, scene), float(_PAD)
    for fact in FACTS:
        x += _chip(card, (x, y + 8), fact, scores[fact] == 1.0) + GAP
    return card


def _chip(card: Image.Image, at: tuple[float, float], fact: str, holds: bool) -> float:
    """A tick or a cross and the fact's name; the form tells them apart without the colour. Its width."""
    pen, font = ImageDraw.Draw(card), ImageFont.load_default(16)
    ink, back = (_GOOD, _GOOD_BACK) if holds else (_BAD, _BAD_BACK)
    x, y = at
    width = 30 + font.getlength(fact)
    pen.rounded_rectangle((x, y, x + width, y + _CHIP), _CHIP // 2, fill=back)
    mid = y + _CHIP / 2
    if holds:
        pen.line((x + 9, mid + 1, x + 12, mid + 5, x + 19, mid - 4), fill=ink, width=2, joint="curve")
    else:
        pen.line((x + 10, mid - 4, x + 18, mid + 4), fill=ink, width=2)
        pen.line((x + 10, mid + 4, x + 18, mid - 4), fill=ink, width=2)
    pen.text((x + 24, mid), fact, fill=ink, font=font, anchor="lm")
    return width


def _wrapped(text: str, width: int) -> list[str]:
    """`text` broken into lines of at most `width` px."""
    font, lines = ImageFont.load_default(19), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _rounded(size: tuple[int, int]) -> Image.Image:
    """A mask with round corners."""
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, size[0] - 1, size[1] - 1), 12, fill=255)
    return mask
