"""The caption grammar: `caption(scene)` and its exact inverse `parse(text)`.

    scene  := shot [", cut to" shot]
    shot   := sprite ["and" sprite] "on a" [texture] background "background" ["," camera]
    sprite := "a" size colour shape motion

The vocabulary is closed and ordered: a word's place is its token id, so words are only ever appended.
"""

import difflib
import re

import numpy as np
import numpy.typing as npt

from sorakit.errors import UsageError
from sorakit.world.scene import (
    BACKGROUNDS,
    CAMERAS,
    COLOURS,
    MOTIONS,
    SHAPES,
    SIZES,
    TEXTURES,
    Scene,
    Shot,
    Sprite,
)

__all__ = ["EXAMPLE", "MAX_TOKENS", "VOCABULARY", "caption", "encode", "parse", "words"]

EXAMPLE = "a big red circle bounces on a navy background"

MAX_TOKENS = 48
"""Room for the longest caption: two shots of two sprites with textures and camera moves, 47 words."""

_MAX_CHARS = 1000


def _vocabulary() -> tuple[str, ...]:
    grammar = ["<pad>", "<unk>", "a", "and", "on", "background", ",", "cut", "to"]
    facts = [*COLOURS, *SHAPES, *SIZES, *BACKGROUNDS, *TEXTURES[1:]]
    phrases = [w for phrase in (*MOTIONS, *CAMERAS) for w in phrase.split()]
    return tuple(dict.fromkeys([*grammar, *facts, *phrases]))


VOCABULARY = _vocabulary()
"""Token id → word; 0 is padding (and, alone, the empty prompt), 1 any unknown word."""

_MEANT = {
    "purple": "magenta", "pink": "magenta", "violet": "magenta", "turquoise": "cyan", "teal": "cyan",
    "lime": "green", "gold": "yellow", "brown": "orange", "crimson": "red", "grey": "gray", "ball": "circle",
    "disc": "circle", "disk": "circle", "dot": "circle", "round": "circle", "box": "square", "cube": "square",
    "rectangle": "square", "plus": "cross", "x": "cross", "pyramid": "triangle", "little": "small",
    "tiny": "small", "large": "big", "huge": "big", "giant": "big", "static": "still", "stands": "stays",
    "jumps": "bounces", "hops": "bounces", "circles": "orbits", "rotates": "orbits", "expands": "grows",
    "goes": "moves", "flies": "moves", "slides": "moves", "upwards": "up", "downwards": "down",
}  # fmt: skip
"""What people write → the nearest word in meaning; only for the hint, a prompt is never changed."""

_IDS = {w: i for i, w in enumerate(VOCABULARY)}


def words(text: str) -> list[str]:
    """Lower-case words and commas; a full stop at the end is dropped."""
    if len(text) > _MAX_CHARS:
        raise UsageError(f"a prompt has at most {_MAX_CHARS} characters, got {len(text)}; shorten it")
    return re.findall(r"[^\s,]+|,", text.lower().strip().rstrip("."))


def encode(text: str, length: int = 32) -> npt.NDArray[np.int64]:
    """Token ids `(length,)`, padded with 0; raises `UsageError` on unknown words or too many.

    >>> encode("a red circle", 4).tolist() == [VOCABULARY.index(w) for w in ("a", "red", "circle")] + [0]
    True
    """
    found = words(text)
    if len(found) > length:
        raise UsageError(f"a prompt has at most {length} words, got {len(found)}; for example: {EXAMPLE}")
    _check_known(found)
    return np.array([_IDS[w] for w in found] + [0] * (length - len(found)), np.int64)


def caption(scene: Scene) -> str:
    """The one sentence that names every fact of `scene`."""
    return ", cut to ".join(_shot_caption(s) for s in scene.shots)


def _shot_caption(shot: Shot) -> str:
    sprites = " and ".join(f"a {s.size} {s.colour} {s.shape} {s.motion}" for s in shot.sprites)
    texture = "" if shot.texture == "plain" else shot.texture + " "
    camera = f", {shot.camera}" if shot.camera else ""
    return f"{sprites} on a {texture}{shot.background} background{camera}"


def parse(text: str) -> Scene:
    """The scene that `text` describes; `caption(parse(text))` gives `text` back.

    Raises `UsageError` with the nearest known words, or with what was expected where.

    >>> parse("a big red circle bounces on a navy background").shots[0].sprites[0].motion
    'bounces'
    """
    found = words(text)
    _check_known(found)
    reader = _Reader(found)
    shots = [_read_shot(reader)]
    while reader.take(",", "cut", "to"):
        shots.append(_read_shot(reader))
        if len(shots) > 2:
            break
    if reader.rest:
        reader.fail("the end, or “, cut to”")
    return Scene(tuple(shots))


class _Reader:
    """Takes words off the front of a sentence."""

    def __init__(self, found: list[str]) -> None:
        self.done: list[str] = []
        self.rest = found

    def take(self, *expected: str) -> bool:
        """Take `expected` if they come next."""
        n = len(expected)
        if tuple(self.rest[:n]) != expected:
            return False
        self.done, self.rest = self.done + self.rest[:n], self.rest[n:]
        return True

    def need(self, *expected: str) -> None:
        """Take `expected`, or raise `UsageError`."""
        if not self.take(*expected):
            self.fail("“" + " ".join(expected) + "”")

    def choice(self, what: str, known: tuple[str, ...]) -> str:
        """Take one of the phrases `known`, or raise `UsageError`."""
        for phrase in known:
            if self.take(*phrase.split()):
                return phrase
        self.fail(f"a {what} ({', '.join(known)})")
        raise AssertionError("unreachable")

    def fail(self, expected: str) -> None:
        """Raise `UsageError`: what stands where something else was expected."""
        got = " ".join(self.rest[:2]) or "the end"
        after = f" after “{' '.join(self.done[-4:])}”" if self.done else ""
        raise UsageError(f"expected {expected}{after}, got “{got}”; for example: {EXAMPLE}")


def _read_shot(reader: _Reader) -> Shot:
    sprites = [_read_sprite(reader)]
    while reader.take("and") and len(sprites) < 3:
        sprites.append(_read_sprite(reader))
    reader.need("on", "a")
    texture = next((t for t in TEXTURES[1:] if reader.take(t)), "plain")
    background = reader.choice("background colour", tuple(BACKGROUNDS))
    reader.need("background")
    camera = next((c for c in CAMERAS if c and reader.take(",", *c.split())), "")
    return Shot(tuple(sprites), background, texture, camera)


def _read_sprite(reader: _Reader) -> Sprite:
    reader.need("a")
    size = reader.choice("size", tuple(SIZES))
    colour = reader.choice("colour", tuple(COLOURS))
    shape = reader.choice("shape", SHAPES)
    return Sprite(size, colour, shape, reader.choice("motion", MOTIONS))


def _check_known(found: list[str]) -> None:
    unknown = [w for w in found if w not in _IDS or w.startswith("<")]
    if not unknown:
        return
    hints = []
    for word in dict.fromkeys(unknown[:5]):
        near = [_MEANT[word]] if word in _MEANT else _spelled_like(word)
        hints.append(f"“{word[:30]}”" + (f" (nearest: {', '.join(near)})" if near else ""))
    raise UsageError(
        f"the model does not know {', '.join(hints)}. It knows the colours {', '.join(COLOURS)}; "
        f"the shapes {', '.join(SHAPES)}; the sizes {', '.join(SIZES)}; the motions {', '.join(MOTIONS)}; "
        f"the backgrounds {', '.join(BACKGROUNDS)}. For example: {EXAMPLE}"
    )


def _spelled_like(word: str) -> list[str]:
    return difflib.get_close_matches(word, VOCABULARY[2:], n=3, cutoff=0.6)
