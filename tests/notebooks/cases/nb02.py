"""Answers to notebook 02."""

import numpy as np

from sorakit.world import parse, read
from sorakit.world.scene import COLOURS


def _facts(sentence):
    shot = parse(sentence).shots[0]
    sprites = [(s.size, s.colour, s.shape, s.motion) for s in shot.sprites]
    return {"sprites": sprites, "texture": shot.texture, "background": shot.background}


def _one_word_motions(sentence):
    found = _facts(sentence)
    return found | {"sprites": [(*s[:3], s[3].split()[0]) for s in found["sprites"]]}


def _first_sprite_only(sentence):
    found = _facts(sentence)
    return found | {"sprites": found["sprites"][:1]}


def _texture_as_background(sentence):
    return _facts(sentence) | {"background": sentence.split(" on a ")[1].split()[0]}


def _always_plain(sentence):
    return _facts(sentence) | {"texture": "plain"}


def _colour_first(sentence):
    found = _facts(sentence)
    return found | {"sprites": [(s[1], s[0], *s[2:]) for s in found["sprites"]]}


def _drift(frames):
    (sprite,) = read(frames).shots[0].sprites.values()
    return sprite.centre[-1] - sprite.centre[0]


def _name(dx, dy, least=0.15):
    if max(abs(dx), abs(dy)) < least:
        return "stays still"
    if abs(dx) > abs(dy):
        return "moves right" if dx > 0 else "moves left"
    return "moves down" if dy > 0 else "moves up"


def _motion(frames):
    return _name(*_drift(frames))


def _y_upwards(frames):
    dx, dy = _drift(frames)
    return _name(dx, -dy)


def _backwards(frames):
    return _name(*-_drift(frames))


def _swapped(frames):
    return _name(*_drift(frames)[::-1])


def _never_still(frames):
    return _name(*(_drift(frames) + 1e-9), least=0)


def _dot(frames):
    (colour,) = read(frames).shots[0].sprites
    changed = frames.copy()
    changed[:, :4, :4] = 255 * np.array(COLOURS["green" if colour != "green" else "magenta"])
    return changed


def _nothing(frames):
    return frames


def _noise(frames):
    return np.random.default_rng(0).integers(0, 255, frames.shape).astype(np.uint8)


def _brighter(frames):
    return np.clip(frames.astype(int) + 12, 0, 255).astype(np.uint8)


def _backwards_in_time(frames):
    return frames[::-1]


def _floats(frames):
    return frames / 255


def _line(frames):
    changed = frames.copy()
    changed[:, :, 16] = 255 - changed[:, :, 16]  # one column of 32 is more than 3 %
    return changed


RIGHT = {"02.1": (_facts,), "02.2": (_motion,), "02.3": (_dot,)}

WRONG = {
    "02.1": [
        (_one_word_motions,),
        (_first_sprite_only,),
        (_texture_as_background,),
        (_always_plain,),
        (_colour_first,),
        (lambda sentence: sentence.split(),),
    ],
    "02.2": [(_y_upwards,), (_backwards,), (_swapped,), (_never_still,), (lambda frames: "left",)],
    "02.3": [(_nothing,), (_noise,), (_brighter,), (_backwards_in_time,), (_floats,), (_line,)],
}
