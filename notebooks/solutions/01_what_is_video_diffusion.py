"""Solutions of notebook 01: each section replaces the cell that checks the exercise it names."""


# %% 01.1
def mix(clean, noise, sigma):
    """z for each clip of a batch, at its own level."""
    s = sigma.reshape(-1, *[1] * (clean.ndim - 1))  # (B, 1, …): one level for all numbers of a clip
    return (1 - s) * clean + s * noise


nb.check("01.1", mix)


# %% 01.2
def velocity(kind, output, noisy, sigma):
    """The velocity that an output of this kind stands for."""
    if kind == "x":
        return (noisy - output) / sigma
    if kind == "eps":
        return (output - noisy) / (1 - sigma)
    return output


nb.check("01.2", velocity)


# %% 01.3
def lost(patches, width):
    """Share of the variance that a linear code of `width` numbers loses, 0 to 1."""
    values = torch.linalg.eigvalsh(torch.cov(patches.T))  # the mean is taken off by `cov`; ascending
    return values[:-width].sum() / values.sum()


nb.check("01.3", lost)
