"""What a sprite-world clip shows: words in, a checked `Scene` out, and seeded sampling of scenes.

A scene is one shot, or two with a cut between them. A shot holds one or two sprites (later ones lie in
front), a background with an optional faint texture, and a camera move that carries the texture. Sprite
motions are in frame coordinates, as if the camera followed the sprites.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from sorakit.errors import UsageError

__all__ = [
    "BACKGROUNDS",
    "CAMERAS",
    "COLOURS",
    "MOTIONS",
    "SHAPES",
    "SIZES",
    "TEXTURES",
    "Scene",
    "Shot",
    "Space",
    "Sprite",
    "cameras_for",
    "is_held_out",
    "sample_scene",
]

Colour = tuple[float, float, float]

COLOURS: Mapping[str, Colour] = MappingProxyType(
    {
        "red": (0.92, 0.15, 0.15),
        "green": (0.15, 0.80, 0.20),
        "blue": (0.20, 0.35, 1.00),
        "yellow": (0.97, 0.90, 0.15),
        "magenta": (0.90, 0.20, 0.85),
        "cyan": (0.15, 0.88, 0.92),
        "orange": (1.00, 0.55, 0.10),
        "white": (0.97, 0.97, 0.97),
    }
)
"""RGB in [0, 1]."""

SHAPES = ("circle", "square", "triangle", "cross")

SIZES: Mapping[str, float] = MappingProxyType({"small": 0.14, "medium": 0.185, "big": 0.24})
"""Radius as a share of the frame's short side; drawn with ± 6 %."""

MOTIONS = (
    "stays still",
    "moves left",
    "moves right",
    "moves up",
    "moves down",
    "orbits",
    "bounces",
    "grows",
)

BACKGROUNDS: Mapping[str, Colour] = MappingProxyType(
    {
        "black": (0.07, 0.07, 0.07),
        "navy": (0.07, 0.08, 0.34),
        "maroon": (0.34, 0.07, 0.10),
        "gray": (0.36, 0.36, 0.36),
    }
)

TEXTURES = ("plain", "striped", "checked", "dotted")

CAMERAS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "": (0, 0),
        "camera pans left": (1, 0),
        "camera pans right": (-1, 0),
        "camera tilts up": (0, 1),
        "camera tilts down": (0, -1),
    }
)
"""The way the texture goes in the frame, (x, y), y downwards: opposite to the camera."""


@dataclass(frozen=True, slots=True)
class Sprite:
    """One thing on screen, in the words of the caption."""

    size: str
    colour: str
    shape: str
    motion: str

    def __post_init__(self) -> None:
        """Refuse words that the world does not have."""
        _one_of("size", self.size, SIZES)
        _one_of("colour", self.colour, COLOURS)
        _one_of("shape", self.shape, SHAPES)
        _one_of("motion", self.motion, MOTIONS)


@dataclass(frozen=True, slots=True)
class Shot:
    """One or two sprites of different colours before a background; later sprites lie in front."""

    sprites: tuple[Sprite, ...]
    background: str
    texture: str = "plain"
    camera: str = ""

    def __post_init__(self) -> None:
        """Refuse what no picture could show, such as a camera move over a plain background."""
        _one_of("background", self.background, BACKGROUNDS)
        _one_of("texture", self.texture, TEXTURES)
        _one_of("camera", self.camera, CAMERAS)
        if len(self.sprites) not in (1, 2):
            raise UsageError(f"a shot shows 1 or 2 sprites, got {len(self.sprites)}")
        if len({s.colour for s in self.sprites}) < len(self.sprites):
            raise UsageError("two sprites of one shot need different colours; name another colour for one")
        if self.camera and self.camera not in cameras_for(self.texture):
            raise UsageError(
                f"`{self.camera}` cannot be seen on a {self.texture} background; use a dotted background"
            )


@dataclass(frozen=True, slots=True)
class Scene:
    """One shot, or two with a cut in the middle; a cut changes the background's colour."""

    shots: tuple[Shot, ...]

    def __post_init__(self) -> None:
        """Refuse more than two shots, and a cut that leaves the background as it was."""
        if len(self.shots) not in (1, 2):
            raise UsageError(f"a scene has 1 or 2 shots, got {len(self.shots)}")
        if len(self.shots) == 2 and self.shots[0].background == self.shots[1].background:
            raise UsageError("a cut must change the background's colour; name another for the second shot")


@dataclass(frozen=True, slots=True)
class Space:
    """Which scenes to draw, and how often: a recipe's share of the world.

    `combinations`: which sprites may appear: "all", only those "seen" in training, or only those "held_out"
    of it (see `is_held_out`).
    """

    sizes: tuple[str, ...] = ("small", "big")
    textures: tuple[str, ...] = TEXTURES
    two: float = 0.35
    camera: float = 0.2
    cut: float = 0.0
    combinations: Literal["all", "seen", "held_out"] = "all"

    def __post_init__(self) -> None:
        """Refuse a space without scenes."""
        for name, known in (("sizes", SIZES), ("textures", TEXTURES)):
            values = getattr(self, name)
            if not values or not set(values) <= set(known):
                raise UsageError(f"`{name}` must be one or more of {', '.join(known)}, got {values}")
        for name in ("two", "camera", "cut"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"`{name}` must be 0 to 1, got {getattr(self, name)}")


def is_held_out(colour: str, shape: str, motion: str) -> bool:
    """Whether no recipe trains on this combination: 16 of the 256, such as a magenta cross that bounces.

    Each pair of the three words is still seen in other combinations, so what a model shows of these tells
    whether it composes or remembers.

    >>> is_held_out("magenta", "cross", "bounces"), is_held_out("magenta", "cross", "orbits")
    (True, False)
    """
    place = (list(COLOURS).index(colour), SHAPES.index(shape), MOTIONS.index(motion))
    return (place[0] + 2 * place[1] + 3 * place[2]) % 16 == 12


def cameras_for(texture: str) -> tuple[str, ...]:
    """The camera moves that a texture makes visible; vertical stripes hide tilts."""
    moves = [c for c in CAMERAS if c]
    if texture == "plain":
        return ()
    return tuple(m for m in moves if "pans" in m) if texture == "striped" else tuple(moves)


def sample_scene(rng: np.random.Generator, space: Space) -> Scene:
    """Draw a scene of `space`.

    >>> scene = sample_scene(np.random.default_rng(0), Space(two=0.0))
    >>> len(scene.shots[0].sprites)
    1
    """
    first = _shot(rng, space, tuple(BACKGROUNDS))
    if rng.random() >= space.cut:
        return Scene((first,))
    others = tuple(b for b in BACKGROUNDS if b != first.background)
    return Scene((first, _shot(rng, space, others)))


def _shot(rng: np.random.Generator, space: Space, backgrounds: tuple[str, ...]) -> Shot:
    count = 2 if rng.random() < space.two else 1
    colours = rng.permutation(list(COLOURS))[:count]
    sizes = [_pick(rng, space.sizes) for _ in colours]
    if sizes == ["big", "big"]:  # two big sprites that go the same way would hide each other throughout
        sizes[1] = space.sizes[0]
    sprites = tuple(_sprite(rng, space, s, str(c)) for s, c in zip(sizes, colours, strict=True))
    texture = _pick(rng, space.textures)
    moves = cameras_for(texture)
    camera = _pick(rng, moves) if moves and rng.random() < space.camera else ""
    return Shot(sprites, _pick(rng, backgrounds), texture, camera)


def _sprite(rng: np.random.Generator, space: Space, size: str, colour: str) -> Sprite:
    while True:
        shape, motion = _pick(rng, SHAPES), _pick(rng, MOTIONS)
        if space.combinations == "all" or (space.combinations == "held_out") == is_held_out(
            colour, shape, motion
        ):
            return Sprite(size, colour, shape, motion)


def _pick(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]


def _one_of(what: str, got: str, known: Mapping[str, object] | tuple[str, ...]) -> None:
    if got not in known:
        names = ", ".join(k for k in known if k)
        raise UsageError(f"`{what}` must be one of: {names}; got {got!r}")
