"""Solutions of notebook 04: each section replaces the cell that checks the exercise it names."""


# %% 04.1
def start(block):
    nn.init.zeros_(block.modulation.weight)  # shift, scale and gate are 0 for every c,
    nn.init.zeros_(block.modulation.bias)  # yet the gates' own gradient is not
    return block


nb.check("04.1", start)


# %% 04.2
def turn_pairs(x, place):
    pairs = x.shape[-1] // 2
    angle = place[:, None] * 100.0 ** (-torch.arange(pairs) / pairs)  # (N, pairs)
    a, b = x[:, 0::2], x[:, 1::2]
    c, s = angle.cos(), angle.sin()
    return torch.stack([a * c - b * s, a * s + b * c], -1).flatten(1)


nb.check("04.2", turn_pairs)


# %% 04.3
def through_time(weights):
    t, h, w = weights.shape[2:5]
    patches = weights[..., -t * h * w :].reshape(*weights.shape[:5], t, h * w).sum(-1)
    patches = patches / patches.sum(-1, keepdims=True)  # (layers, heads, t, h, w, t)
    own = patches.diagonal(axis1=2, axis2=5)  # (layers, heads, h, w, t)
    return 1 - own.mean((2, 3, 4))


nb.check("04.3", through_time)
