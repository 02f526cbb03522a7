"""One PNG of measured clips, failures first: frames, the prompt, and what the oracle read where it differs.

In: `Outcome`s as they are measured. Out: a PNG that says on its face and in its metadata that a model made
the frames. It holds stills to look at a measurement; videos leave through `sorakit.publish` alone.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from sorakit.errors import OutputError, UsageError
from sorakit.fidelity import Outcome
from sorakit.prompts import GROUPS
from sorakit.types import Rgb, SourceType
from sorakit.world.caption import caption
from sorakit.world.oracle import FACTS, GATE, ShotReading, read
from sorakit.world.scene import Shot

__all__ = ["GAP", "Gallery", "check_picture", "draw", "strip_of", "write_png"]

Words = list[tuple[str, bool]]
"""Words, and whether each is as the prompt wants it."""

_BACK, _CARD, _INK, _DIM = (244, 245, 247), (255, 255, 255), (28, 32, 38), (112, 118, 128)
_GOOD, _BAD, _HELD = (22, 128, 84), (200, 40, 48), (160, 96, 0)
_STILLS, _SIDE, _COLUMNS, _PAD, _LINE = 5, 128, 3, 24, 32
_TEXT = 23

GAP = 6
"""Pixels between the frames of a strip."""

_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{kind}"/>'
    "</rdf:RDF></x:xmpmeta>"
)


@dataclass(slots=True)
class Gallery:
    """Collects at most `size` clips to show: of each prompt one, a failure where it has one.

    A quarter of the places is kept for clips that obey, so that a weak model's successes are seen too.
    """

    size: int = 24
    failed: dict[int, Outcome] = field(default_factory=dict)
    obeyed: dict[int, Outcome] = field(default_factory=dict)
    seen: int = 0
    missed: int = 0

    def __call__(self, outcome: Outcome) -> None:
        """Take note of a clip; `measure(visit=gallery)` calls this."""
        failure = outcome.scores["all_facts"] < 1
        self.seen += 1
        self.missed += failure
        shelf = self.failed if failure else self.obeyed
        if len(shelf) < self.size:
            shelf.setdefault(outcome.prompt, outcome)

    def chosen(self) -> list[Outcome]:
        """The clips to show, failures first."""
        obeyed = [o for i, o in self.obeyed.items() if i not in self.failed]
        room = self.size - min(len(obeyed), self.size // 4)
        failed = list(self.failed.values())[:room]
        return failed + obeyed[: self.size - len(failed)]


def draw(gallery: Gallery, title: str) -> Image.Image:
    """The sheet, as wide as three clips of five frames; `title` heads it.

    Raises `UsageError` when the gallery is empty.
    """
    clips = gallery.chosen()
    if not clips:
        raise UsageError("no clip was measured, so there is nothing to draw; measure at least one")
    cards = [_card(o) for o in clips]
    columns = min(_COLUMNS, len(cards))
    rows = [cards[i : i + columns] for i in range(0, len(cards), columns)]
    heights = [max(c.height for c in row) + 16 for row in rows]  # room for round corners
    width = max(columns * (cards[0].width + _PAD) + _PAD, 1100)
    sheet = Image.new("RGB", (width, 150 + sum(heights) + _PAD * len(rows)), _BACK)
    pen = ImageDraw.Draw(sheet)
    pen.text((_PAD + 8, 26), title, fill=_INK, font=ImageFont.load_default(36))
    shown = "Failures first. " if gallery.missed else ""
    note = (
        f"{gallery.missed} of {gallery.seen} clips miss a fact. {shown}"
        "Grey: the prompt. Below it: what the oracle read, underlined where it differs. Frames made by AI."
    )
    pen.text((_PAD + 8, 84), note, fill=_DIM, font=ImageFont.load_default(_TEXT))
    y = 140
    for row, height in zip(rows, heights, strict=True):
        for i, card in enumerate(row):
            frame = (_PAD + i * (card.width + _PAD), y)
            box = (*frame, frame[0] + card.width, y + height)
            pen.rounded_rectangle(box, 14, fill=_CARD)
            sheet.paste(card, (frame[0], y + 8))
        y += height + _PAD
    return sheet


def write_png(sheet: Image.Image, path: Path) -> None:
    """Write `sheet` whole or not at all; raises `OutputError` when it cannot be written."""
    about = PngInfo()
    about.add_itxt("XML:com.adobe.xmp", _XMP.format(kind=SourceType.GENERATED))
    about.add_text("Software", "sorakit bench generate")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".sorakit-", suffix=".png")
        os.close(handle)
        part = Path(name)
        try:
            sheet.save(part, pnginfo=about, optimize=True)
            part.chmod(0o644)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; choose another file") from error


def check_picture(path: Path) -> None:
    """Raise `UsageError` early when `path` cannot become a PNG."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"the picture must end in .png, got {path.name!r}")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"{path} is a folder or lies in none; name a file in a folder that exists")


def _card(outcome: Outcome) -> Image.Image:
    """One clip: its frames, the prompt, and either that it obeys or what was read instead."""
    strip = strip_of(outcome.frames)
    obeys = outcome.scores["all_facts"] == 1
    lines = _lines([(w, True) for w in caption(outcome.scene).split()], strip.width)
    found = [] if obeys else _lines(_read_words(outcome), strip.width)
    height = 2 * _PAD + strip.height + _LINE * (1 + len(lines) + len(found)) + (0 if obeys else 6)
    card = Image.new("RGB", (strip.width + 2 * _PAD, height), _CARD)
    card.paste(strip, (_PAD, _PAD - 8))
    pen, font = ImageDraw.Draw(card), ImageFont.load_default(_TEXT)
    y = _PAD + strip.height + 6
    colour = _GOOD if obeys else _BAD
    pen.ellipse((_PAD, y + 7, _PAD + 14, y + 21), fill=colour)
    pen.text((_PAD + 24, y), _head(outcome.scores), fill=colour, font=font)
    if GROUPS["held_out"](outcome.scene):
        pen.text((_PAD + strip.width, y), "held out", fill=_HELD, font=font, anchor="ra")
    for line in lines:
        y += _LINE
        pen.text((_PAD, y), " ".join(w for w, _ in line), fill=_DIM, font=font)
    y += 6
    for line in found:
        y += _LINE
        _write_line(pen, (_PAD, y), line)
    return card


def _head(scores: Mapping[str, float]) -> str:
    wrong = [f for f in FACTS if scores[f] < 1]
    if not wrong:
        return "shows every fact"
    return "misses " + ", ".join(wrong) if len(wrong) <= 4 else f"misses {len(wrong)} of {len(FACTS)} facts"


def _write_line(pen: ImageDraw.ImageDraw, at: tuple[int, int], line: Words) -> None:
    """Words after one another; wrong ones are red and underlined, for those who do not see red."""
    font, x = ImageFont.load_default(_TEXT), float(at[0])
    for word, right in line:
        pen.text((x, at[1]), word, fill=_INK if right else _BAD, font=font)
        if not right:
            pen.line((x, at[1] + 27, x + font.getlength(word), at[1] + 27), fill=_BAD, width=2)
        x += font.getlength(word + " ")


def strip_of(frames: Rgb, stills: int = _STILLS) -> Image.Image:
    """Evenly spread frames, first to last, enlarged by a whole factor so that pixels stay pixels."""
    places = np.linspace(0, len(frames) - 1, min(stills, len(frames))).round().astype(int)
    factor = max(1, round(_SIDE / min(frames.shape[1:3])))
    large = frames[places].repeat(factor, 1).repeat(factor, 2)  # (stills, H, W, 3)
    _, height, width, _ = large.shape
    strip = Image.new("RGB", (len(large) * (width + GAP) - GAP, height), _CARD)
    for i, still in enumerate(large):
        strip.paste(Image.fromarray(np.ascontiguousarray(still)), (i * (width + GAP), 0))
    return strip


def _read_words(outcome: Outcome) -> Words:
    """The oracle's reading of all shots in the caption's order."""
    shots = read(outcome.frames).shots
    words: Words = []
    for i in range(max(len(shots), len(outcome.scene.shots))):
        if i:
            words.append(("| cut to", i < min(len(shots), len(outcome.scene.shots))))
        if i >= len(shots):
            words.append(("nothing", False))
        elif i >= len(outcome.scene.shots):
            words.append(("another shot", False))
        else:
            words += _shot_words(shots[i], outcome.scene.shots[i])
    return words


def _shot_words(got: ShotReading, wanted: Shot) -> Words:
    words: Words = []
    for i, sprite in enumerate(wanted.sprites):
        words += [("and", True)] if i else []
        found = got.sprites.get(sprite.colour)
        if found is None or found.iou < GATE:
            fit = "" if found is None else f" (outline fits {found.iou:.2f}, needs {GATE:g})"
            words.append((f"no clear {sprite.colour} sprite{fit}", False))
            continue
        for name in ("size", "colour", "shape", "motion"):
            words.append((getattr(found, name), getattr(found, name) == getattr(sprite, name)))
    extra = sorted(set(got.sprites) - {s.colour for s in wanted.sprites})
    words += [(f"and something {colour}", False) for colour in extra]
    words.append(("on", True))
    for name in ("texture", "background"):
        words.append((getattr(got, name), getattr(got, name) == getattr(wanted, name)))
    if got.camera or wanted.camera:
        words.append((got.camera or "camera stays", got.camera == wanted.camera))
    return words


def _lines(words: Words, width: int) -> list[Words]:
    """Words broken into lines of at most `width` px."""
    font = ImageFont.load_default(_TEXT)
    parts = [(part, right) for text, right in words for part in text.split()]
    lines: list[Words] = [[]]
    for part in parts:
        text = " ".join(w for w, _ in [*lines[-1], part])
        if lines[-1] and font.getlength(text) > width:
            lines.append([])
        lines[-1].append(part)
    return lines
