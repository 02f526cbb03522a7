"""Solutions of notebook 09: each section replaces the cell that checks the exercise it names."""


# %% 09.1
def ratio(frames, seam):
    steps = np.abs(np.diff(frames.astype(int), axis=0)).mean((1, 2, 3))
    at = seam - 1
    around = np.concatenate([steps[max(at - 4, 0) : at], steps[at + 1 : at + 5]])
    return steps[at] / around.mean()


nb.check("09.1", ratio)


# %% 09.2
def join(first, second, overlap):
    weight = (np.arange(1, overlap + 1) / (overlap + 1))[:, None, None, None]
    faded = (1 - weight) * first[-overlap:] + weight * second[:overlap]
    return np.concatenate([first[:-overlap], faded.round().astype(np.uint8), second[overlap:]])


down = "a small magenta triangle moves down on a navy background"
taken = render(parse(down), seed=4).frames
(window,) = sampler.fill([down], [{0: taken[8:12]}], [7])
second = window[4:]
nb.check("09.2", join, taken, second)


# %% 09.3
def find_cut(frames):
    change = np.abs(np.diff(frames.astype(int), axis=0)).max(-1)  # (T - 1, H, W)
    typical = np.median(change, axis=(1, 2))  # half of the picture changes by at least this
    return int(typical.argmax()) + 1 if typical.max() > 20 else 0


nb.check("09.3", find_cut)
