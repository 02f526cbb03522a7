"""The model card of a trained model: data, compute, scores and limits, filled in from what was measured.

In: the recipe, the run's trainer with its ledger, and scores. Out: Markdown. What nobody measured stays an
open line that says so; a card never gets a number that no run produced.
"""

import json
from pathlib import Path
from typing import Any

from sorakit.errors import UsageError
from sorakit.model_info import ModelInfo
from sorakit.train.ledger import WORLD, Ledger
from sorakit.train.recipe import Recipe
from sorakit.train.trainer import Trainer

__all__ = ["card", "read_scores", "write_card"]

_FACTS = ("all_facts", "colour", "shape", "size", "motion", "count", "background", "texture", "camera", "cut")
_MOST_BYTES = 1 << 20
_OPEN = "**Not measured yet.**"
_STEPS = {"euler": "Euler steps", "stochastic": "steps with new noise at each"}


def write_card(
    path: Path, info: ModelInfo, recipe: Recipe, trainer: Trainer, scores: dict[str, Any] | None = None
) -> None:
    """Write the card of `trainer`'s averaged model to `path`."""
    pair = trainer.ema.model
    parameters = sum(p.numel() for part in (pair.dit, pair.text) for p in part.parameters())
    path.write_text(
        card(info, recipe, trainer.ledger, steps=trainer.step, parameters=parameters, scores=scores),
        encoding="utf-8",
    )


def card(
    info: ModelInfo,
    recipe: Recipe,
    ledger: Ledger,
    *,
    steps: int,
    parameters: int,
    scores: dict[str, Any] | None = None,
) -> str:
    """The card's Markdown; `scores`: the object of `sorakit bench generate --json`, None where unmeasured."""
    parts = [
        _title(info, recipe, parameters),
        _data(recipe, ledger),
        _training(recipe, steps),
        _compute(ledger),
        _scores(scores),
        _limits(info),
    ]
    return "\n\n".join(parts) + "\n"


def read_scores(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; raises `UsageError` when it is none, or has no `n` and `all_facts`."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path} is larger than {_MOST_BYTES} bytes; no score file is")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"the scores {path} cannot be read: {error}") from error
    if not isinstance(found, dict) or not {"n", "all_facts"} <= found.keys():
        raise UsageError(f"{path} must hold the object that `sorakit bench generate --json` prints")
    return found


def _title(info: ModelInfo, recipe: Recipe, parameters: int) -> str:
    frames, height, width = recipe.shape
    return (
        f"# {info.name} {info.version}\n\n"
        f"Text to video: {recipe.about or 'sprites'}. Usual clip: {frames} frames of {height} × {width} px. "
        f"{parameters / 1e6:.2f} M parameters, stored as float16 safetensors. Licence: {info.licence}.\n\n"
        f"At most {info.sprites} sprite(s) a shot and {info.shots} shot(s); sizes {', '.join(info.sizes)}; "
        f"backgrounds {', '.join(info.textures)}; camera moves: {'yes' if info.camera else 'no'}; "
        f"given frames: {'yes' if info.given_frames else 'no'}. Anything else is refused with a hint."
    )


def _data(recipe: Recipe, ledger: Ledger) -> str:
    space = recipe.space
    held = "Combinations that `is_held_out` names are not in it." if space.combinations == "seen" else ""
    if ledger.data != [WORLD]:
        return (
            f"## Data\n{ledger.clips:,} clips drawn from: {'; '.join(ledger.data)}.\n\n"
            "**To be filled in:** whose clips these are, under which licence, and whether people are in them."
        )
    return (
        f"## Data\nRendered by `sorakit.world` while training (recipe `{recipe.name}`): "
        f"{ledger.clips:,} clips, none twice, no outside data and no people. {held}".rstrip()
    )


def _training(recipe: Recipe, steps: int) -> str:
    model = ", ".join(f"{k} {v}" for k, v in sorted(recipe.model.items())) or "the defaults of `VideoDiT`"
    clips = recipe.batch * recipe.accumulate
    return (
        f"## Model and training\n- Video DiT: {model}.\n"
        f"- {steps:,} steps of about {clips} clips, Muon and AdamW at {recipe.lr:g}, "
        f"{'bfloat16 products over float32 weights' if recipe.bf16 else 'float32'}, average over steps with "
        f"decay {recipe.ema:g}, seed {recipe.seed}.\n"
        f"- Sampling: {recipe.steps} {_STEPS[recipe.solver]}, shift {recipe.shift:g}, guidance "
        f"{recipe.guidance:g} where σ ≥ {recipe.guidance_low:g}."
    )


def _compute(ledger: Ledger) -> str:
    rows = [
        f"- {ledger.tflop:,.1f} TFLOP of matrix multiplies, forward and backward.",
        f"- {ledger.cpu:,.0f} CPU-seconds, {ledger.wall:,.0f} seconds of wall time.",
        f"- About {ledger.kwh:.4f} kWh: an estimate, {ledger.watts_per_core:g} W assumed for each busy core, "
        "plus a GPU's power where its driver reports it; memory, power supply and cooling are not in it.",
    ]
    if ledger.start:
        rows.insert(0, f"- Begun from the weights of {ledger.start}, whose own cost is not in these figures.")
    for m in ledger.machines:
        versions = ", ".join(f"{k} {v}" for k, v in m.versions.items())
        rows.append(
            f"- From step {m.from_step:,}: {m.device}, {m.processes} process(es), {m.system}; {versions}."
        )
    if not ledger.machines:
        rows.append("- Machine and library versions were not recorded.")
    return "## Compute\n" + "\n".join(rows)


def _scores(scores: dict[str, Any] | None) -> str:
    if scores is None:
        return (
            f"## Scores\n{_OPEN} Run `sorakit bench generate --model FOLDER --json > scores.json`, then "
            "export again with `--scores scores.json`."
        )
    about = ", ".join(f"{k} {scores[k]}" for k in ("n", "seed", "steps", "guidance") if k in scores)
    rows = ["| fact | share | 95 % |", "|---|---|---|"]
    for fact in _FACTS:
        if fact in scores:
            low, high = scores.get(f"{fact}_ci", (None, None))
            interval = "" if low is None else f"{low:.3f}–{high:.3f}"
            rows.append(f"| {fact.replace('_', ' ')} | {scores[fact]:.3f} | {interval} |")
    return (
        f"## Scores\n`sorakit bench generate`: {about}. Facts are read from pixels by the oracle.\n\n"
        + "\n".join(rows)
    )


def _limits(info: ModelInfo) -> str:
    return (
        "## Limits\n"
        "- It knows the closed vocabulary of `sorakit.world.caption` alone.\n"
        "- Seeds repeat exactly on one machine and library version; others may differ in the last bit.\n"
        f"- Other clip sizes, longer clips and held-out combinations: {_OPEN}"
    )
