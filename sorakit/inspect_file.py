"""What the guarded child reads from one foreign file: credential, mark, labels, hash, fingerprint.

In: a request that was JSON. Out: a JSON object; `Findings` is its typed form on the other side.
Runs in the child process of `video.guard.run_guarded`, never in the process that holds keys or a registry.
"""

import hashlib
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sorakit.errors import ModelError, UsageError
from sorakit.provenance.labels import read_aigc
from sorakit.provenance.trust import Trust
from sorakit.provenance.verify import read_credential
from sorakit.registry.fingerprint import Fingerprint, fingerprint_file
from sorakit.types import DetectorEvidence, LabelEvidence, Progress, ProvenanceEvidence, WatermarkEvidence
from sorakit.video.probe import probe
from sorakit.watermark.reading import read_file

__all__ = ["Findings", "inspect_file", "opinion_from_json", "run_detector"]


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything the child found; validated again by the parent, since the child read hostile bytes."""

    sha256: str
    provenance: ProvenanceEvidence = field(default_factory=ProvenanceEvidence)
    watermark: WatermarkEvidence = field(default_factory=WatermarkEvidence)
    labels: LabelEvidence = field(default_factory=LabelEvidence)
    store_sha256: str | None = None
    soft_bindings: list[tuple[str, str]] = field(default_factory=list)
    signer_chain: list[str] = field(default_factory=list)
    fingerprint: Fingerprint | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form."""
        out: dict[str, Any] = _FINDINGS.dump_python(self, mode="json")
        return out

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Findings":
        """Parse and validate the child's answer."""
        return _FINDINGS.validate_python(data)


def inspect_file(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Read all evidence that one file carries in itself."""
    path = Path(request["path"])
    progress("credential", 0.0)
    fragments = tuple(Path(p) for p in request.get("fragments") or ())
    credential = read_credential(path, Trust.from_json(request["trust"]), fragments=fragments)
    path = Path(request.get("pictures") or path)  # an init segment alone has no pictures
    info = probe(path, max_pixels=request["max_pixels"], max_duration=request["max_duration"])
    progress("watermark", 0.2)
    mark = WatermarkEvidence()
    seen = None
    if info.kind == "video":
        mark = read_file(path, info.duration, request.get("secret_keys", ()))
    if info.kind == "video" and (mark.found or request.get("fingerprint")):
        progress("fingerprint", 0.8)
        seen = fingerprint_file(path)
    with Path(request["path"]).open("rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    said = replace(credential.provenance, generation=credential.generation)
    valid = said.state in ("trusted", "valid_untrusted")
    declared = credential.labels if valid else None
    labels = LabelEvidence(
        aigc=read_aigc(info.metadata),
        iptc=said.digital_source_type,
        visible=bool(declared and declared["visible"]) if valid and credential.generation else None,
        declared=declared,
    )
    return Findings(
        sha256=digest,
        provenance=said,
        watermark=mark,
        labels=labels,
        store_sha256=credential.store_sha256,
        soft_bindings=credential.soft_bindings,
        signer_chain=credential.signer_chain,
        fingerprint=seen,
    ).to_json()


def run_detector(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Let one installed detector judge one file; foreign code, away from keys and registry."""
    progress("detector", 0.0)
    points = {p.value: p for p in entry_points(group="sorakit.detectors", name=request["name"])}
    if len(points) != 1:
        offered = ", ".join(points) or "no package"
        raise UsageError(f"one package must offer the detector {request['name']!r}, got {offered}")
    (point,) = points.values()
    return asdict(point.load()().detect(Path(request["path"])))


def opinion_from_json(data: dict[str, Any]) -> DetectorEvidence:
    """Parse and validate what `run_detector` answered. Raises `ModelError` for what is no evidence."""
    try:
        return _OPINION.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ModelError(f"its answer is no evidence: `{where}`: {first['msg']}") from error


_FINDINGS = TypeAdapter(Findings)
_OPINION = TypeAdapter(DetectorEvidence)
