"""What crosses module borders: clips on the way out, evidence and verdicts on the way in.

Frozen slotted dataclasses; `Verdict.to_json()` is the JSON line that `sorakit check --json` prints.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = [
    "Clip",
    "Decision",
    "DetectorEvidence",
    "Evidence",
    "FrameGeometry",
    "Generation",
    "Ingredient",
    "LabelEvidence",
    "Luma",
    "LumaFilter",
    "Progress",
    "ProvenanceEvidence",
    "RecoveryEvidence",
    "Rgb",
    "SourceType",
    "Verdict",
    "WatermarkEvidence",
]

Rgb = npt.NDArray[np.uint8]
"""Frames, `(T, H, W, 3)`, or one frame, `(H, W, 3)`; full-range RGB."""

Luma = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""One luma plane, `(H, W)`: `uint8`, or `uint16` for 10-bit video."""

LumaFilter = Callable[[Luma], Luma]
"""Maps a stored luma plane to a new one of the same shape and dtype; may keep state over frames."""

Progress = Callable[[str, float], None]
"""Called with the step's name and the share done, 0 to 1."""


class SourceType(StrEnum):
    """IPTC digital source types that `mark` can declare (http://cv.iptc.org/newscodes/digitalsourcetype/)."""

    GENERATED = "trainedAlgorithmicMedia"
    EDITED = "compositeWithTrainedAlgorithmicMedia"
    COMPOSITE = "compositeSynthetic"


class Decision(StrEnum):
    """What the evidence adds up to, strongest first (the default policy's order)."""

    TAMPERED = "tampered"
    CONFLICT = "conflict"
    AI_DECLARED = "ai_declared"
    AI_RECOVERED = "ai_recovered"
    AI_WATERMARKED = "ai_watermarked"
    AUTHENTIC_DECLARED = "authentic_declared"
    LIKELY_AI = "likely_ai"
    UNCERTAIN = "uncertain"
    NO_EVIDENCE = "no_evidence"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Generation:
    """How a clip was made; goes into the manifest (the prompt only as a salted HMAC unless disclosed)."""

    model: str
    version: str
    prompt: str | None = None
    seed: int | None = None
    licence: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ingredient:
    """A file that a video was made from; it goes into the manifest with its own credential, if it has one.

    `relationship`, C2PA's: a model was given it (`inputTo`), the video goes on from it or edits it
    (`parentOf`, one at most), it is placed in it (`componentOf`). `title`: what it is called in public; never
    the file's name, which is its owner's.
    """

    path: Path
    relationship: Literal["inputTo", "parentOf", "componentOf"] = "inputTo"
    title: str = "source file"


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A video in memory: `frames` is `uint8 (T, H, W, 3)` RGB at `fps` frames a second.

    `ingredients`: the files it was made from, for its manifest.
    """

    frames: Rgb
    fps: Fraction
    generation: Generation | None = None
    ingredients: tuple[Ingredient, ...] = ()

    def __post_init__(self) -> None:
        """Refuse anything but `uint8 (T, H, W, 3)` with at least one frame."""
        f = self.frames
        if f.dtype != np.uint8 or f.ndim != 4 or f.shape[-1] != 3 or 0 in f.shape:
            raise ValueError(f"`frames` must be uint8 (T, H, W, 3), got {f.dtype} {f.shape}")
        if self.fps <= 0:
            raise ValueError(f"`fps` must be positive, got {self.fps}")

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(len(self.frames) / self.fps)


@dataclass(frozen=True, slots=True)
class FrameGeometry:
    """How stored planes relate to what a viewer sees.

    `width`, `height`: the stored plane, px. `rotation`: degrees clockwise a player turns it for display
    (0, 90, 180, 270). `sar`: sample aspect ratio, stored pixel width / height. `bit_depth`: 8 or 10.
    `full_range`: luma spans 0–255 (else 16–235), scaled to the depth.
    """

    width: int
    height: int
    rotation: int = 0
    sar: Fraction = Fraction(1)
    bit_depth: int = 8
    full_range: bool = False

    @property
    def display_size(self) -> tuple[int, int]:
        """(width, height) in square pixels as a viewer sees it."""
        w, h = max(1, round(self.width * self.sar)), self.height
        return (h, w) if self.rotation in (90, 270) else (w, h)


@dataclass(frozen=True, slots=True)
class ProvenanceEvidence:
    """What the embedded C2PA manifest store says, and how far it can be believed.

    `generation`: the kit's own assertion (provider, system, model, seed, …), if the active manifest has one.
    `trust_list`: which list of anchors made the signer trusted (`name`, `source`, `imported`, `sha256`).
    `revocation`: what an OCSP answer says of the signer (`status` good, revoked, unknown or unavailable;
    `source` stapled or asked), where there is one. `time_stamp`: time of the signature (ISO 8601) by a
    time-stamping service whose stamp fits it, whoever that service is.
    """

    state: Literal["trusted", "valid_untrusted", "tampered", "none", "error"] = "none"
    signer: str | None = None
    claim_generator: str | None = None
    digital_source_type: str | None = None
    actions: list[str] = field(default_factory=list)
    ingredients: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    manifest_id: str | None = None
    declares_ai: bool = False
    declares_capture: bool = False
    generation: dict[str, Any] | None = None
    trust_list: dict[str, Any] | None = None
    revocation: dict[str, Any] | None = None
    time_stamp: str | None = None


@dataclass(frozen=True, slots=True)
class WatermarkEvidence:
    """What the invisible mark says. `log10_p` bounds the chance of this on unmarked video (0 = no evidence).

    `payload`: 16 hex digits when the mark decodes above its gate, else null. `geometry`: the undone
    `scale`, `rotation` (degrees), `mirrored`. `segments`: per-time evidence, ms. `keys`: which of "public"
    and "secret" read the payload; `key_id`: which secret key. `public_payload`: what the public mark says
    where the secret one says something else, for then it was overwritten.
    """

    found: bool = False
    algorithm: str | None = None
    payload: str | None = None
    log10_p: float = 0.0
    geometry: dict[str, Any] = field(default_factory=dict)
    segments: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    key_id: str | None = None
    public_payload: str | None = None


@dataclass(frozen=True, slots=True)
class RecoveryEvidence:
    """What the registry, or a resolver, returned for the mark, and whether its fingerprint matches here.

    `source`: "registry", or the address of the resolver that gave the manifest. `problems`: resolvers that
    did not answer, and manifests that did not count.
    """

    state: Literal["recovered", "no_match", "not_needed", "unavailable"] = "not_needed"
    manifest_id: str | None = None
    similarity: float | None = None
    manifest: dict[str, Any] | None = None
    source: str | None = None
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DetectorEvidence:
    """A classifier's calibrated opinion.

    `probability`: that the clip is synthetic, if a share `prior` of the clips in the queue is; null when the
    detector abstains without a score. `segments`: `start_ms`, `end_ms`, `score` of windows in time.
    `heatmap`: rows of scores over the picture, top left first, 0 to 1. `families`: which kinds of features
    spoke, the strongest first (`name`, `weight` as a signed logit, `words` in plain words). `nearest`:
    generators of the training clips that are most alike (`generator`, `share`), a hint that is right at a
    rate of `hit_rate`. `failed`: it crashed, ran out of time or memory, or raised; then `abstain`, without
    probability, and `model` is the name it is installed under.
    """

    probability: float | None
    label: Literal["likely_ai", "uncertain", "likely_real", "abstain"]
    model: str
    segments: list[dict[str, Any]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    prior: float | None = None
    heatmap: list[list[float]] | None = None
    families: list[dict[str, Any]] = field(default_factory=list)
    nearest: list[dict[str, Any]] = field(default_factory=list)
    failed: bool = False


@dataclass(frozen=True, slots=True)
class LabelEvidence:
    """Labels: the plain ones are easily written and easily removed, so a hint and no proof.

    `declared`: the visible labels that the embedded credential says were drawn; `visible`: whether it says
    so of any, None where no valid credential speaks. Nobody looks for them in the picture. `duties`: for each
    law what it asks for and whether this file meets it (`sorakit.moderation.duties`).
    """

    aigc: dict[str, Any] | None = None
    iptc: str | None = None
    visible: bool | None = None
    declared: dict[str, Any] | None = None
    duties: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All layers' findings on one file; the policy alone turns them into a decision."""

    file: str
    sha256: str | None
    provenance: ProvenanceEvidence = field(default_factory=ProvenanceEvidence)
    watermark: WatermarkEvidence = field(default_factory=WatermarkEvidence)
    recovery: RecoveryEvidence = field(default_factory=RecoveryEvidence)
    detector: DetectorEvidence | None = None
    labels: LabelEvidence = field(default_factory=LabelEvidence)
    in_registry: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Evidence, the decision a policy drew from it, and why.

    `action`: what the policy wants done (none, label, hold, reject); `review`: who is to look at it.
    """

    decision: Decision
    evidence: Evidence
    reasons: list[str]
    policy: str
    elapsed_ms: int
    action: str = "none"
    review: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The object that `sorakit check --json` prints, one a line."""
        body = asdict(self.evidence)
        head = {
            "file": body.pop("file"),
            "sha256": body.pop("sha256"),
            "decision": str(self.decision),
        }
        tail = {
            "reasons": self.reasons,
            "policy": self.policy,
            "action": self.action,
            "review": self.review,
            "elapsed_ms": self.elapsed_ms,
        }
        return head | body | tail
