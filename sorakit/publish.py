"""The one door out: watermark, encode, label, sign, read back, register, rename.

In: a `Clip` from a sampler, or any video file. Out: a file that carries a signed C2PA manifest and an
invisible mark, and a registry row that ties the two. All work happens in a hidden folder beside the output;
the registry row, with the final file's hash, is committed before the rename. So whatever stops the process,
an output file is always whole and registered; a failure that Python sees also leaves no row behind.
"""

import math
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from sorakit.config import Settings
from sorakit.enrol import record_of, register_and_move
from sorakit.errors import OutputError, ProvenanceError, WatermarkError
from sorakit.place import check_output, workplace
from sorakit.provenance.inputs import look_at
from sorakit.provenance.labels import LabelPlan, aigc_label, parse_schemes, plan_labels, read_aigc
from sorakit.provenance.manifest import ManifestSpec, build_manifest
from sorakit.provenance.prompts import prompt_digest
from sorakit.provenance.sign import SigningSession, signing_session
from sorakit.provenance.trust import Trust
from sorakit.provenance.verify import Credential, read_credential
from sorakit.registry.fingerprint import fingerprint_file
from sorakit.types import Clip, Generation, Ingredient, Progress, SourceType
from sorakit.video.guard import prescan, run_guarded
from sorakit.video.read import read_luma, read_rgb
from sorakit.video.write import EncodeSettings, enlarge, geometry_of_clip, write_clip
from sorakit.watermark.keyring import marking_keys, secret_keys
from sorakit.watermark.payload import new_payload
from sorakit.watermark.reading import reads_under
from sorakit.watermark.video import FRAMES_WANTED, VideoWatermark

__all__ = ["Published", "check_labels", "check_output", "publish"]

STEPS = ("mark", "read the mark", "sign", "read the credential", "register", "rename", "confirm")
"""The steps in order, each reported to `progress` with 0.0 as it begins."""

_THUMBNAIL_SIDE = 320


@dataclass(frozen=True, slots=True)
class Published:
    """What left the kit. `psnr`: luma PSNR of the mark before encoding, dB."""

    path: Path
    sha256: str
    manifest_id: str
    payload: str
    psnr: float
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The object that `sorakit mark --json` prints."""
        return {
            "file": str(self.path),
            "sha256": self.sha256,
            "manifest_id": self.manifest_id,
            "payload": self.payload,
            "psnr": round(self.psnr, 2),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class _Marked:
    payload: str
    psnr: float
    duration: float
    notes: tuple[str, ...] = ()
    kept_label: dict[str, Any] | None = None


def publish(
    source: Clip | Path,
    output: Path,
    *,
    source_type: SourceType = SourceType.GENERATED,
    generation: Generation | None = None,
    disclose_prompt: bool = False,
    labels: str | None = None,
    ingredients: Sequence[Ingredient] = (),
    overwrite: bool = False,
    settings: Settings | None = None,
    session: SigningSession | None = None,
    progress: Progress | None = None,
) -> Published:
    """Mark, sign and register `source`, and put it at `output` in one atomic step.

    `source_type` and `generation` say what a *file* is and what made it; a `Clip` brings its own.
    `labels`: laws whose visible labels it shall bear (`"eu,cn,ca"`), None: as the settings say.
    `ingredients`: files it was made from, besides those that a `Clip` names itself.
    `session`: the signer of many files, from `signing_session`; else the settings' signer is opened for this
    one.
    Raises one of the kit's errors; then no output file and no registry row exist.

    >>> publish(Path("clip.mp4"), Path("marked.mp4"))  # doctest: +SKIP
    """
    settings = settings or Settings()
    settings = settings if labels is None else settings.model_copy(update={"labels": labels})
    report = progress or (lambda step, share: None)
    used = [*(source.ingredients if isinstance(source, Clip) else ()), *ingredients]
    check_output(output, overwrite=overwrite, source=source, others=[i.path for i in used])
    check_labels(None, settings)
    made_from = look_at(used, settings.limits)
    unique_id = str(uuid.uuid4())
    keys = marking_keys(settings)  # once: a key made meanwhile is for the next video
    with _session(session, settings) as signing, workplace(output) as work:
        marked_path, signed = work / f"marked{output.suffix}", work / f"signed{output.suffix}"
        report("mark", 0.0)
        if isinstance(source, Clip):
            generation, source_type, parent = source.generation, _type_of(source, ingredients), None
            plan = plan_labels(settings.labels, source_type)
            marked = _mark_clip(source, marked_path, unique_id, settings, report, plan=plan, keys=keys)
        else:
            parent = source
            plan = plan_labels(settings.labels, source_type)
            marked = _mark_file(source, marked_path, unique_id, settings, report, plan=plan, keys=keys)
        report("read the mark", 0.0)
        _must_read_back(marked_path, marked.payload, keys)
        report("sign", 0.0)
        seen = fingerprint_file(marked_path)
        spec = ManifestSpec(
            title=output.name,
            kind="marked" if parent else "generated",
            unique_id=unique_id,
            source_type=source_type,
            generation=generation,
            payload_hex=marked.payload,
            algorithm=VideoWatermark().name,
            prompt_digest=_digest(settings, generation),
            disclose_prompt=disclose_prompt,
            fingerprint=seen.binding,
            provider=settings.provider,
            labels=plan.assertion(marked.duration, marked.kept_label),
            ingredients=made_from,
            training=settings.training,
            training_info=settings.training_info,
            oversight=settings.oversight,
        )
        picture = _thumbnail(marked_path)
        sources = [*([] if parent is None else [parent]), *(i.path for i in made_from)]
        done = signing.sign(marked_path, signed, build_manifest(spec), thumbnail=picture, ingredients=sources)
        report("read the credential", 0.0)
        credential = _must_verify(signed, marked.payload)
        record = record_of(spec, credential, done.store, seen, signed)
        marked_path.unlink()
        register_and_move(
            record,
            signed,
            output,
            settings,
            report,
            labels=spec.labels,
            overwrite=overwrite,
            sidecar=done.sidecar,
        )
    return Published(
        output,
        record.file_sha256,
        record.manifest_id,
        marked.payload,
        marked.psnr,
        marked.notes + done.notes,
    )


@contextmanager
def _session(session: SigningSession | None, settings: Settings) -> Iterator[SigningSession]:
    """The given session, which stays open, or one for a single file."""
    if session is not None:
        yield session
        return
    # `_must_verify` reads the signed file again as a stranger: no need to hash it once more before that.
    with signing_session(settings, check_hash=False) as own:
        yield own


def _type_of(clip: Clip, more: Sequence[Ingredient]) -> SourceType:
    """A clip that goes on from another video is partly that video's."""
    edited = any(i.relationship == "parentOf" for i in (*clip.ingredients, *more))
    return SourceType.EDITED if edited else SourceType.GENERATED


def check_labels(labels: str | None, settings: Settings | None = None) -> tuple[str, ...]:
    """The laws that `publish` will label for, before any work is done. Raises `UsageError`.

    >>> check_labels("cn,eu")
    ('eu', 'cn')
    """
    return parse_schemes(labels if labels is not None else (settings or Settings()).labels)


def _mark_clip(
    clip: Clip,
    out: Path,
    unique_id: str,
    settings: Settings,
    report: Progress,
    *,
    plan: LabelPlan,
    keys: tuple[bytes, ...],
) -> _Marked:
    payload, clip = new_payload(), enlarge(clip)
    psnr = write_clip(
        clip,
        out,
        luma=VideoWatermark().embedder(
            geometry_of_clip(clip), payload, keys=keys, psnr=settings.psnr, frames=len(clip.frames)
        ),
        settings=EncodeSettings(crf=settings.crf, preset=settings.preset, codec=settings.codec),
        metadata=plan.tags({}) | aigc_label(settings.provider, unique_id),
        progress=report,
        stamps=plan.stamps,
    )
    return _Marked(f"{payload:016x}", psnr or math.inf, clip.duration)


def _mark_file(
    source: Path,
    out: Path,
    unique_id: str,
    settings: Settings,
    report: Progress,
    *,
    plan: LabelPlan,
    keys: tuple[bytes, ...],
) -> _Marked:
    limits = settings.limits
    prescan(source, limits)
    info = run_guarded(
        "sorakit.video.probe:probe_task",
        {
            "path": str(source.absolute()),
            "max_pixels": limits.max_pixels,
            "max_duration": limits.max_duration,
        },
        timeout=limits.probe_seconds,
        memory_bytes=limits.memory_bytes,
    )
    tags = info["metadata"]
    earlier = read_aigc(tags)
    answer = run_guarded(
        "sorakit.watermark.apply:mark_file_task",
        {
            "src": str(source.absolute()),
            "dst": str(out.absolute()),
            "payload": f"{new_payload():016x}",
            "psnr": settings.psnr,
            "keys": [key.hex() for key in keys],
            "secret_keys": secret_keys(settings),
            "crf": settings.crf,
            "preset": settings.preset,
            "codec": settings.codec,
            "metadata": plan.tags(tags) | aigc_label(settings.provider, unique_id, earlier=earlier),
            "stamps": [s.to_json() for s in plan.stamps],
        },
        timeout=120 + limits.transcode_factor * float(info.get("duration") or 0),
        memory_bytes=limits.memory_bytes,
        on_progress=report,
    )
    notes = [f"left out: {what}" for what in answer["dropped"]]
    if answer["was_marked"]:
        notes.append("the input carried a mark already; its id was kept")
    if earlier:
        notes.append("the input carried an AIGC label already; it was kept")
    duration = float(answer["duration"])
    return _Marked(str(answer["payload"]), float(answer["psnr"]), duration, tuple(notes), earlier)


def _must_read_back(path: Path, payload: str, keys: tuple[bytes, ...]) -> None:
    """The mark has to be readable in the very file that leaves, under every key it was made with."""
    if not reads_under(keys, read_luma(path, max_frames=FRAMES_WANTED), payload):
        raise WatermarkError(
            "the watermark does not read back from the encoded video (too dark, flat or short to carry it); "
            "use a longer or more detailed clip, or a lower --psnr"
        )


def _must_verify(path: Path, payload: str) -> Credential:
    """Read the signed file as a stranger would, who trusts nobody: all hashes and signatures must hold."""
    credential = read_credential(path, Trust())
    if credential.provenance.state not in ("trusted", "valid_untrusted"):
        raise ProvenanceError(
            f"the signed file does not verify: {'; '.join(credential.provenance.problems)}; "
            "nothing was written"
        )
    if (VideoWatermark().name, payload) not in credential.soft_bindings:
        raise ProvenanceError(
            "the signed file's soft binding is not the mark in its picture; nothing was written"
        )
    return credential


def _digest(settings: Settings, generation: Generation | None) -> str | None:
    if generation is None or generation.prompt is None:
        return None
    return prompt_digest(settings.keys_dir, generation.prompt)


def _thumbnail(path: Path) -> bytes:
    """The first frame as a small JPEG."""
    _, frame = next(iter(read_rgb(path, max_frames=1, max_side=_THUMBNAIL_SIDE)))
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not ok:
        raise OutputError("the thumbnail could not be encoded")
    return data.tobytes()
