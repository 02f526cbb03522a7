"""Solutions of notebook 07: each section replaces the cell that checks the exercise it names."""


# %% 07.1
def power_law(x, y):
    rng = np.random.default_rng(0)
    picks = [i for i in rng.integers(0, len(x), (1000, len(x))) if len(set(i)) > 2]
    low, high = np.quantile([line(x[i], y[i])[0] for i in picks], [0.025, 0.975])
    return line(x, y)[0], low, high


nb.check("07.1", power_law)


# %% 07.2
def training_flops(n, words, width, depth, patch):
    m = n + words
    block = m * 12 * width**2 + 2 * m * m * width + 6 * width**2
    return 3 * 2 * (depth * block + 2 * n * patch * width)


nb.check("07.2", training_flops)


# %% 07.3
def predict(parameters, losses, wanted):
    floor, slope, height = with_floor(parameters, losses)
    return floor + np.exp(height) * wanted**slope


nb.check("07.3", predict)
