"""The demo's story as data: what is done to which video, and what the check then has to say.

Nothing here runs. A step's promise is the kit's claim; the scenario keeps it or the demo fails.
"""

from dataclasses import dataclass
from typing import Literal

from sorakit.types import Decision

__all__ = ["STEPS", "Step"]

How = Literal["generate", "mark", "attack", "copy mark", "as it is"]


@dataclass(frozen=True, slots=True)
class Step:
    """One video of the story.

    `of`: the step whose video this one is made from (None: the prompt, or the camera clip). `attack`: the
    name in `sorakit.watermark.attacks`. `promise`: the decision; `leads_to`: the step whose credential has to
    be the recovered one. `camera`: needs the camera clip.
    """

    key: str
    title: str
    told: str
    how: How
    promise: Decision
    of: str | None = None
    attack: str | None = None
    leads_to: str | None = None
    camera: bool = False


STEPS: tuple[Step, ...] = (
    Step(
        "generated",
        "Generated and published",
        "A model made this clip from the prompt. On its way out it was watermarked, signed and registered.",
        "generate",
        Decision.AI_DECLARED,
    ),
    Step(
        "stripped",
        "Metadata stripped",
        "The same pictures in a new file without any metadata, as many platforms do to every upload. "
        "The credential is gone.",
        "attack",
        Decision.AI_RECOVERED,
        of="generated",
        attack="remux",
        leads_to="generated",
    ),
    Step(
        "shared",
        "Re-encoded as a social upload",
        "Cropped by 5 %, scaled to 480 lines and compressed hard (CRF 30). The credential is gone and every "
        "pixel has changed.",
        "attack",
        Decision.AI_RECOVERED,
        of="generated",
        attack="social_upload",
        leads_to="generated",
    ),
    Step(
        "flipped",
        "One byte changed",
        "A single byte of the signed file was changed. The credential is still there and no longer fits.",
        "attack",
        Decision.TAMPERED,
        of="generated",
        attack="flip_byte",
    ),
    Step(
        "marked",
        "A file from elsewhere, marked",
        "A camera clip stands in for another tool's output: `sorakit mark` gave this existing file the same "
        "watermark, signature and registry entry.",
        "mark",
        Decision.AI_DECLARED,
        camera=True,
    ),
    Step(
        "marked-shared",
        "The marked file as a social upload",
        "The marked file after the same upload: cropped, scaled, compressed, all metadata gone.",
        "attack",
        Decision.AI_RECOVERED,
        of="marked",
        attack="social_upload",
        leads_to="marked",
        camera=True,
    ),
    Step(
        "copied",
        "Mark copied onto another video",
        "A forger wrote the generated clip's mark into the camera clip, at full strength and with the public "
        "key. The mark reads, but its credential belongs to other pictures.",
        "copy mark",
        Decision.AI_WATERMARKED,
        of="generated",
        camera=True,
    ),
    Step(
        "unmarked",
        "Never marked",
        "The camera clip as it came. Nothing is found, and nothing is claimed.",
        "as it is",
        Decision.NO_EVIDENCE,
        camera=True,
    ),
)
