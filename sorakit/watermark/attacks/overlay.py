"""Things on top of the picture: a sticker, a logo, caption bars, subtitles, a border.

In: a picture `uint8 (H, W, 3)`. Out: one of the same size (`caption_above`: taller). What is drawn has
nothing of the marked picture in it.
"""

import itertools

import cv2
import numpy as np

from sorakit.types import Rgb
from sorakit.watermark.attacks.base import Strength
from sorakit.watermark.attacks.stream import Change, picture_attack

__all__ = ["ATTACKS"]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LINES = ("you will not believe this", "wait for it", "and there it is", "like and subscribe")
_CHANGE = 48  # frames a subtitle stays


def _write(rgb: Rgb, text: str, middle: tuple[int, int], height: float, ink: int = 255) -> None:
    """Outlined text of `height` px around a point, made to fit the width."""
    scale = max(0.2, height / 22)
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, 1)
    scale = min(scale, scale * 0.94 * rgb.shape[1] / max(1, width))
    (width, tall), _ = cv2.getTextSize(text, _FONT, scale, 1)
    at = (middle[0] - width // 2, middle[1] + tall // 2)
    thick = max(1, round(scale * 1.6))
    edge = 255 - ink
    cv2.putText(rgb, text, at, _FONT, scale, (edge, edge, edge), thick + 2, cv2.LINE_AA)
    cv2.putText(rgb, text, at, _FONT, scale, (ink, ink, ink), thick, cv2.LINE_AA)


def _sticker(share: float, rng: np.random.Generator) -> Change:
    """An opaque disc with a face that covers `share` of the picture, where the dice say."""
    y, x = rng.uniform(0.2, 0.8, 2)

    def change(rgb: Rgb) -> Rgb:
        out = rgb.copy()
        h, w = out.shape[:2]
        radius = max(2, round(float(np.sqrt(share * h * w / np.pi))))
        at = (int(w * x), int(h * y))
        cv2.circle(out, at, radius, (250, 205, 40), -1, cv2.LINE_AA)
        for side in (-1, 1):
            eye = (at[0] + side * radius // 3, at[1] - radius // 4)
            cv2.circle(out, eye, max(1, radius // 8), (40, 30, 20), -1, cv2.LINE_AA)
        cv2.ellipse(out, at, (radius // 2, radius // 2), 0, 20, 160, (40, 30, 20), max(1, radius // 12))
        return out

    return change


def _logo(opacity: float, rng: np.random.Generator) -> Change:
    """A translucent block with letters in a corner, a fifth of the width."""
    bottom, right = rng.integers(0, 2, 2)

    def change(rgb: Rgb) -> Rgb:
        h, w = rgb.shape[:2]
        tall, wide, gap = max(4, h // 10), max(8, w // 5), max(2, h // 40)
        y, x = (h - tall - gap if bottom else gap), (w - wide - gap if right else gap)
        block = np.full((tall, wide, 3), (200, 40, 60), np.uint8)
        _write(block, "CHANNEL", (wide // 2, tall // 2), tall * 0.5)
        out = rgb.copy()
        part = out[y : y + tall, x : x + wide]
        part[:] = cv2.addWeighted(part, 1 - opacity, block, opacity, 0)
        return out

    return change


def _caption_bars(share: float, _rng: np.random.Generator) -> Change:
    """Opaque bars over top and bottom that take `share` of the height together, with text."""

    def change(rgb: Rgb) -> Rgb:
        out = rgb.copy()
        h, w = out.shape[:2]
        bar = max(2, round(h * share / 2))
        for start, text in ((0, _LINES[0]), (h - bar, _LINES[1])):
            out[start : start + bar] = 0
            _write(out, text, (w // 2, start + bar // 2), bar * 0.5)
        return out

    return change


def _caption_above(share: float, _rng: np.random.Generator) -> Change:
    """A white field with text above the picture, which stays whole."""

    def change(rgb: Rgb) -> Rgb:
        bar = max(2, round(rgb.shape[0] * share))
        out = np.concatenate([np.full((bar, rgb.shape[1], 3), 255, np.uint8), rgb])
        _write(out, _LINES[0], (rgb.shape[1] // 2, bar // 2), bar * 0.35, ink=0)
        return out

    return change


def _subtitles(share: float, _rng: np.random.Generator) -> Change:
    """A line of outlined text near the bottom that changes every 48 frames; `share`: its height."""
    count = itertools.count()

    def change(rgb: Rgb) -> Rgb:
        out = rgb.copy()
        h, w = out.shape[:2]
        _write(out, _LINES[next(count) // _CHANGE % len(_LINES)], (w // 2, int(h * 0.9)), h * share)
        return out

    return change


def _border(share: float, _rng: np.random.Generator) -> Change:
    """A plain frame over all four edges."""

    def change(rgb: Rgb) -> Rgb:
        out = rgb.copy()
        edge = max(1, round(min(out.shape[:2]) * share))
        out[:edge], out[-edge:], out[:, :edge], out[:, -edge:] = 240, 240, 240, 240
        return out

    return change


ATTACKS = (
    picture_attack(
        "sticker", "overlay", "an opaque disc over 8 % of it", _sticker,
        Strength(0.01, 0.08, 0.5, "of the area"), crf=23,
    ),
    picture_attack(
        "logo", "overlay", "a translucent logo in a corner", _logo, Strength(0.1, 0.7, 1, "opacity"), crf=23
    ),
    picture_attack(
        "caption_bars", "overlay", "opaque bars over top and bottom, 20 % together", _caption_bars,
        Strength(0.05, 0.2, 0.6, "of the height"), crf=23,
    ),
    picture_attack(
        "caption_above", "overlay", "a white field with text above it", _caption_above,
        Strength(0.05, 0.2, 0.6, "of the height"), crf=23,
    ),
    picture_attack(
        "subtitles", "overlay", "outlined text near the bottom", _subtitles,
        Strength(0.02, 0.06, 0.15, "of the height"), crf=23,
    ),
    picture_attack(
        "border", "overlay", "a plain frame over the edges", _border,
        Strength(0.01, 0.05, 0.25, "of the short side"), crf=23,
    ),
)  # fmt: skip
