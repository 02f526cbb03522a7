"""Begin a run from a finished model's weights instead of from noise.

In: a new run and a model's folder. Out: the run's networks, each tensor taken over where name and shape agree
(a model in latents takes all but the first and last layer of one in pixels). The optimisers begin anew, with
the recipe's warm-up.
"""

from pathlib import Path

import torch
from torch import nn

from sorakit.errors import ModelError, UsageError
from sorakit.generate import load_pipeline
from sorakit.model_info import load_info
from sorakit.train.trainer import Trainer

__all__ = ["start_from"]

_LEAST = 0.5
"""Share of the weights below which a start would be from noise in all but name."""


@torch.no_grad()
def start_from(trainer: Trainer, folder: Path) -> float:
    """Fill the networks and averages of a run that has made no step yet; the share of weights taken over.

    The ledger notes the model, whose own cost is not in it. Raises `ModelError` when the folder does not
    load, or when less than half of the run's weights are in it; `UsageError` for sharded networks.
    """
    if trainer.group.kind == "fsdp":
        raise UsageError("`--start` cannot fill sharded weights; make the first steps in one process")
    info, pipe = load_info(folder), load_pipeline(folder)
    parts: dict[str, nn.Module] = {"dit": pipe.transformer, "text": pipe.text_encoder}
    found = {f"{name}.{k}": v for name, part in parts.items() for k, v in part.state_dict().items()}
    own = trainer.pair.state_dict()
    fits = {k: v for k, v in own.items() if k in found and found[k].shape == v.shape}
    share: float = sum(t.numel() for t in fits.values()) / sum(t.numel() for t in own.values())
    if share < _LEAST:
        raise ModelError(
            f"only {100 * share:.0f} % of the weights of recipe `{trainer.recipe.name}` are in {folder}; "
            "start from a model of its width, depth and slots"
        )
    for name, tensor in fits.items():
        tensor.copy_(found[name])
    trainer.ema.model.load_state_dict(own)
    trainer.ledger.start = f"{info.name} {info.version}"
    return share
