"""Feature families, one a file. `FAMILIES` names them; `hand_features` computes all that need no network."""

from collections.abc import Callable, Iterable

from detectors.clip import Canonical
from detectors.features.coherence import coherence
from detectors.features.colour import colour
from detectors.features.flow import flow
from detectors.features.neighbours import neighbours
from detectors.features.noise import noise
from detectors.features.richmodel import richmodel
from detectors.features.shared import Named, Pictures, pictures
from detectors.features.spectrum import spectrum
from detectors.features.trajectory import detail_path, picture_path

__all__ = ["FAMILIES", "HAND", "WORDS", "family_of", "hand_features"]

HAND: tuple[Callable[[Pictures], Named], ...] = (
    spectrum,
    neighbours,
    richmodel,
    noise,
    flow,
    picture_path,
    detail_path,
    colour,
    coherence,
)

WORDS = {
    "spectrum": "how fine detail falls off with frequency",
    "neighbours": "relations between neighbouring pixels",
    "richmodel": "patterns in the finest differences between pixels",
    "noise": "noise: its level, and how it follows light, time and colour",
    "flow": "motion, and what is left after following it",
    "path": "how straight and even the clip moves through spaces of descriptions",
    "colour": "colour, contrast and tone",
    "coherence": "how detail renews itself over time and place",
    "network": "textures and content, as a network for photographs sees them",
}
"""Families in plain words."""

FAMILIES = tuple(WORDS)


def family_of(name: str) -> str:
    """The family of a feature: its name up to the first underscore.

    >>> family_of("noise_level")
    'noise'
    """
    return name.partition("_")[0]


def hand_features(clip: Canonical, families: Iterable[Callable[[Pictures], Named]] = HAND) -> Named:
    """All features but the network's, or those of some families, by name, in a fixed order."""
    shared = pictures(clip)
    out: Named = {}
    for family in families:
        out |= family(shared)
    return out
