"""Helpers for notebooks: look at videos, read a check's card, try attacks, check an exercise's answer.

Parts load when they are first used: the demo's guarded child takes the stills alone from here.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sorakit.nb.attention import AttentionMap
    from sorakit.nb.boxes import BoxDrawer, box_strip
    from sorakit.nb.capture import attention_weights
    from sorakit.nb.card import CredentialCard
    from sorakit.nb.clip_grid import grid
    from sorakit.nb.clock import seconds
    from sorakit.nb.costs import ThresholdCost
    from sorakit.nb.credential_lab import CredentialLab
    from sorakit.nb.exercise import check
    from sorakit.nb.lab import AttackLab
    from sorakit.nb.live import LiveCurve
    from sorakit.nb.noise import NoiseSlider
    from sorakit.nb.patches import PatchPicker
    from sorakit.nb.plot import style
    from sorakit.nb.reading import readings
    from sorakit.nb.review import ReviewQueue
    from sorakit.nb.strength import StrengthLab
    from sorakit.nb.studio import Studio
    from sorakit.nb.timeline import seam_strip
    from sorakit.nb.tree import ManifestTree
    from sorakit.nb.view import difference, show, side_by_side, strip

__all__ = [
    "AttackLab",
    "AttentionMap",
    "BoxDrawer",
    "CredentialCard",
    "CredentialLab",
    "LiveCurve",
    "ManifestTree",
    "NoiseSlider",
    "PatchPicker",
    "ReviewQueue",
    "StrengthLab",
    "Studio",
    "ThresholdCost",
    "attention_weights",
    "box_strip",
    "check",
    "difference",
    "grid",
    "readings",
    "seam_strip",
    "seconds",
    "show",
    "side_by_side",
    "strip",
    "style",
]

_HOME = {
    "AttackLab": "lab",
    "AttentionMap": "attention",
    "BoxDrawer": "boxes",
    "CredentialCard": "card",
    "CredentialLab": "credential_lab",
    "LiveCurve": "live",
    "ManifestTree": "tree",
    "NoiseSlider": "noise",
    "PatchPicker": "patches",
    "ReviewQueue": "review",
    "StrengthLab": "strength",
    "Studio": "studio",
    "ThresholdCost": "costs",
    "attention_weights": "capture",
    "box_strip": "boxes",
    "check": "exercise",
    "difference": "view",
    "grid": "clip_grid",
    "readings": "reading",
    "seam_strip": "timeline",
    "seconds": "clock",
    "show": "view",
    "side_by_side": "view",
    "strip": "view",
    "style": "plot",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
