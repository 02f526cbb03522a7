"""One dial for the size of a model, and what a size costs, without allocating anything.

In: a depth, and the size of a clip. Out: the arguments of `VideoDiT`, or of the `VideoUNet` that costs as
much; parameters, operations and bytes. As in
nanochat (Karpathy 2025) everything follows from the depth. Small models are 32 features wide a block; beyond
12 blocks the width grows with the square of the depth, because depth pays only while the width keeps up with
it (Levine et al. 2020, arXiv:2006.12467) and wide products suit a GPU. Costs are read off the model itself,
built and run on PyTorch's meta device, whose tensors have shapes but no memory.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sorakit.errors import UsageError
from sorakit.model.dit import VideoDiT, forward_flops
from sorakit.model.unet import VideoUNet, unet_flops

__all__ = ["Cost", "Memory", "describe", "dit_config", "on_meta", "unet_like"]

_RATIO = 32
_WIDENS_FROM = 12
_DEEPEST = 64
_TEXT = 1024
"""Features of a text vector at most; no prompt encoder in use has need of more here."""

_LATENT = {"channels": 48, "patch": (1, 2, 2), "mean": 0.0, "std": 1.0}


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that training holds at once.

    `weights`: float32, and bfloat16 copies where these do the products. `optimiser`: Muon's momentum of the
    blocks' matrices, AdamW's two moments of the rest. `average`: the running mean of the weights.
    `activations`: kept for the backward pass with fused attention. `maps`: what attention written out, as on
    a CPU, keeps beside them.
    """

    weights: int
    gradients: int
    optimiser: int
    average: int
    activations: int
    maps: int

    @property
    def state(self) -> int:
        """All that does not depend on the clips."""
        return self.weights + self.gradients + self.optimiser + self.average

    @property
    def total(self) -> int:
        """State and activations, with fused attention."""
        return self.state + self.activations


@dataclass(frozen=True, slots=True)
class Cost:
    """What a model costs: `tokens` and operations (2 a multiply-add) a clip with its text, memory a batch."""

    parameters: int
    tokens: int
    forward_flops: int
    training_flops: int
    bf16: Memory
    fp32: Memory


def dit_config(depth: int, *, latent: bool = False) -> dict[str, Any]:
    """Arguments of the `VideoDiT` that is `depth` blocks deep, about 18 · depth · width² parameters.

    `latent`: for the autoencoder's 48 channels, each 4 × 8 × 8 pixels, instead of pixels.
    Raises `UsageError` unless 1 ≤ depth ≤ 64.

    >>> [dit_config(depth)["width"] for depth in (4, 6, 12, 24, 30)]
    [128, 192, 384, 1536, 2432]
    """
    if not 1 <= depth <= _DEEPEST:
        raise UsageError(f"`depth` must be 1 to {_DEEPEST}, got {depth}")
    wanted = _RATIO * depth * max(1.0, depth / _WIDENS_FROM)
    head = 32 if wanted < 512 else 64 if wanted < 1024 else 128
    heads = round(wanted / head)
    config = {
        "width": heads * head,
        "depth": depth,
        "heads": heads,
        "text_width": min(max(heads * head, 128), _TEXT),
        "joint_text": True,
        "given_frames": True,
    }
    return config | (_LATENT if latent else {})


def describe(
    config: Mapping[str, Any], shape: tuple[int, int, int], *, batch: int = 1, words: int = 8
) -> Cost:
    """What `VideoDiT(**config)` costs on clips of `shape` (T, H, W), in latents where it works on them.

    `batch` counts for the activations alone; `words` text vectors join the sequence if the model takes any.

    >>> cost = describe(dit_config(4), (16, 32, 32))
    >>> f"{cost.parameters / 1e6:.2f} M, {cost.training_flops / 1e9:.2f} GFLOP a clip"
    '1.50 M, 0.45 GFLOP a clip'
    """
    model = on_meta(config)
    words = words if model.text_tokens is not None else 0
    pt, ph, pw = model.patch
    tokens = (shape[0] // pt) * (shape[1] // ph) * (shape[2] // pw) + words
    flops = forward_flops(model, *shape, words=words)
    memory = {
        dtype: _memory(model, config, dtype, torch.Size((batch, model.channels, *shape)), words)
        for dtype in (torch.bfloat16, torch.float32)
    }
    return Cost(_count(model), tokens, flops, 3 * flops, memory[torch.bfloat16], memory[torch.float32])


def on_meta(config: Mapping[str, Any]) -> VideoDiT:
    """`VideoDiT(**config)` with shapes but no memory, of any size, in well under a second.

    >>> sum(p.numel() for p in on_meta(dit_config(30, latent=True)).parameters()) // 10**8
    32
    """
    with torch.device("meta"):
        model: VideoDiT = VideoDiT(**config)
    return model


def unet_like(dit: Mapping[str, Any], shape: tuple[int, int, int], words: int = 0) -> dict[str, Any]:
    """Arguments of the `VideoUNet` that costs what `VideoDiT(**dit)` costs on clips of `shape`, within 5 %.

    It has two resolutions, the lower about twice as wide. Raises `UsageError` when no U-Net costs as much.

    >>> unet_like({"width": 128, "depth": 4}, (16, 32, 32))["widths"]
    (56, 104)
    """
    model = on_meta(dit)
    words = words if model.text_tokens is not None else 0
    names = ("channels", "patch", "text_width", "joint_text", "given_frames", "prediction", "mean", "std")
    shared = {name: model.config[name] for name in names}
    wanted = forward_flops(model, *shape, words=words)

    def cost(fine: int, coarse: int) -> float:
        with torch.device("meta"):
            unet = VideoUNet(**shared, widths=(fine, coarse))
        return unet_flops(unet, *shape, words=words) / wanted

    above = 8 + 8 * bisect_left(range(8, 8 * model.width, 8), 1.0, key=lambda fine: cost(fine, 2 * fine))
    near = []
    for fine in (above - 8, above):
        choices = range(fine, 3 * fine, 8)
        at = bisect_left(choices, 1.0, key=partial(cost, fine))
        near += [
            (abs(w / fine - 2), fine, w) for w in choices[max(at - 1, 0) : at + 1] if _equal(cost(fine, w))
        ]
    if not near:
        raise UsageError(f"no U-Net costs {wanted} operations on {shape}; ask for a larger `dit` or clip")
    return shared | {"widths": min(near)[1:]}


def _equal(ratio: float) -> bool:
    return abs(ratio - 1) < 0.05


def _memory(
    model: VideoDiT, config: Mapping[str, Any], dtype: torch.dtype, clips: torch.Size, words: int
) -> Memory:
    """Every block keeps as much, so a model of one and one of two blocks tell for any depth."""
    one, two = (_kept(dict(config) | {"depth": depth}, dtype, clips, words) for depth in (1, 2))
    activations, maps = (a + (model.depth - 1) * (b - a) for a, b in zip(one, two, strict=True))
    copies = 2 if dtype == torch.bfloat16 else 0
    count = _count(model)
    matrices = sum(
        p.numel() for n, p in model.blocks.named_parameters() if p.ndim == 2 and "modulation" not in n
    )
    return Memory(
        weights=(4 + copies) * count,
        gradients=4 * count,  # bfloat16 ones are made float32 one by one, so both are never whole at once
        optimiser=4 * matrices + 8 * (count - matrices),
        average=4 * count,
        activations=activations,
        maps=maps,
    )


def _kept(config: Mapping[str, Any], dtype: torch.dtype, clips: torch.Size, words: int) -> tuple[int, int]:
    """Bytes that one forward pass keeps for the backward pass, and those of them in attention maps."""
    model = nn.ModuleList([on_meta(config)]).to(dtype)[0]
    B, heads, text = clips[0], config["heads"], config["text_width"]
    with _watch_saved(model) as kept:
        model(
            torch.empty(clips, dtype=dtype, device="meta"),
            torch.empty(B, device="meta"),
            torch.empty(B, words, text, dtype=dtype, device="meta"),
            torch.empty(B, text, dtype=dtype, device="meta"),
        )
    maps = sum(
        size
        for shape, size in kept.values()
        if len(shape) > 2 and shape[-1] == shape[-2] and shape[:-2].numel() == B * heads
    )
    return sum(size for _, size in kept.values()) - maps, maps


@contextmanager
def _watch_saved(model: nn.Module) -> Iterator[dict[int, tuple[torch.Size, int]]]:
    """Shape and bytes of each storage that autograd keeps within the block, the weights left out.

    A view keeps the whole storage that it looks at, so storages are counted, each once.
    """
    own = {p.untyped_storage()._cdata for p in model.parameters()}
    kept: dict[int, tuple[torch.Size, int]] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = (tensor.shape, storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield kept


def _count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
