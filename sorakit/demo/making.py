"""How each step of the story gets its file: published, attacked, forged, or taken as it is.

In: a `Step` and the `Stage` with what earlier steps made. Out: a path. Files that are published go through
`sorakit.publish`; attacked and forged copies are test files under `attacks/`, made by the kit's attack suite
and its marking task, and never signed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sorakit.config import Settings
from sorakit.demo.story import Step
from sorakit.errors import UsageError
from sorakit.publish import Published, publish
from sorakit.types import Clip, Progress, SourceType
from sorakit.video.guard import run_guarded
from sorakit.watermark import attacks

__all__ = ["Sampler", "Stage", "make"]

Sampler = Callable[[str, int, Progress], Clip]
"""Prompt, seed and progress in, a clip out; `sorakit.generate` behind the command line."""


@dataclass(slots=True)
class Stage:
    """What the steps share while the story runs; `published` and `paths` fill up step by step."""

    folder: Path
    sample: Sampler
    prompt: str
    seed: int
    camera: Path | None
    settings: Settings
    published: dict[str, Published] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)


def make(step: Step, stage: Stage, progress: Progress) -> Path:
    """The file that `step` is about. Raises the kit's errors of publishing, reading and writing."""
    makers: dict[str, Callable[[Step, Stage, Progress], Path]] = {
        "generate": _generate,
        "mark": _mark,
        "attack": _attack,
        "copy mark": _copy_mark,
        "as it is": _as_it_is,
    }
    path = makers[step.how](step, stage, progress)
    stage.paths[step.key] = path
    return path


def _generate(step: Step, stage: Stage, progress: Progress) -> Path:
    clip = stage.sample(stage.prompt, stage.seed, progress)
    return _publish(clip, step, stage, progress)


def _mark(step: Step, stage: Stage, progress: Progress) -> Path:
    return _publish(_camera(stage), step, stage, progress)


def _publish(source: Clip | Path, step: Step, stage: Stage, progress: Progress) -> Path:
    done = publish(
        source,
        stage.folder / f"{step.key}.mp4",
        source_type=SourceType.GENERATED,
        overwrite=True,
        settings=stage.settings,
        progress=progress,
    )
    stage.published[step.key] = done
    return done.path


def _attack(step: Step, stage: Stage, _progress: Progress) -> Path:
    out = _test_file(step, stage)
    attacks.apply(str(step.attack), stage.paths[str(step.of)], out)
    return out


def _copy_mark(step: Step, stage: Stage, progress: Progress) -> Path:
    """Write another video's payload into the camera clip: the strongest forgery without the signing key."""
    source, settings = _camera(stage), stage.settings
    out = _test_file(step, stage)
    run_guarded(
        "sorakit.watermark.apply:mark_file_task",
        {
            "src": str(source.absolute()),
            "dst": str(out.absolute()),
            "payload": stage.published[str(step.of)].payload,
            "psnr": settings.psnr,
            "crf": settings.crf,
            "preset": settings.preset,
            "metadata": {},
        },
        timeout=120 + settings.limits.transcode_factor * 60,
        memory_bytes=settings.limits.memory_bytes,
        on_progress=progress,
    )
    return out


def _as_it_is(_step: Step, stage: Stage, _progress: Progress) -> Path:
    return _camera(stage)


def _test_file(step: Step, stage: Stage) -> Path:
    out = stage.folder / "attacks" / f"{step.key}.mp4"
    out.unlink(missing_ok=True)
    return out


def _camera(stage: Stage) -> Path:
    if stage.camera is None:
        raise UsageError("this step needs a camera clip and there is none; give one with --input FILE")
    return stage.camera
