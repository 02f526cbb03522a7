"""Solutions of notebook 08: each section replaces the cell that checks the exercise it names."""


# %% 08.1
def my_iou(a, b):
    wide = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return wide * high / (sum(areas) - wide * high)


nb.check("08.1", my_iou)


# %% 08.2
def obedience(first, last, found):
    share = np.linspace(0, 1, len(found))[:, None]
    way = (1 - share) * np.array(first) + share * np.array(last)
    return np.mean([0 if f is None else iou(w, f) for w, f in zip(way, found, strict=True)])


nb.check("08.2", obedience)


# %% 08.3
def condition(noisy, clean, mask):
    shown = torch.where(mask[:, None, :, None, None] == 1, clean, noisy)
    return shown, mask.unflatten(1, (-1, 4))


nb.check("08.3", condition)
