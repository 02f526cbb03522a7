"""Solutions of notebook 06: each section replaces the cell that checks the exercise it names."""


# %% 06.1
def heun(velocity, z, levels):
    for i in range(len(levels) - 1):
        a, b = levels[i], levels[i + 1]
        slope = velocity(z, a)
        if b > 0:
            slope = (slope + velocity(z + (b - a) * slope, b)) / 2
        z = z + (b - a) * slope
    return z


nb.check("06.1", heun)


# %% 06.2
def guide(with_prompt, empty, scale, low, high):
    def velocity(z, sigma):
        v = with_prompt(z, sigma)
        if scale == 1 or not low <= sigma <= high:
            return v
        without = empty(z, sigma)
        return without + scale * (v - without)

    return velocity


nb.check("06.2", guide)


# %% 06.3
def interval(obeys):
    n, z = len(obeys), 1.96
    p = sum(obeys) / n
    middle, half = p + z**2 / (2 * n), z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    return p, (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


for name, obeys in flags.items():
    print(name, *(f"{x:.2f}" for x in interval(obeys)))
nb.check("06.3", interval)
