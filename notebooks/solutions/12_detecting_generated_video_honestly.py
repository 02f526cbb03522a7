"""Solutions of notebook 12: each section replaces the cell that checks the exercise it names."""


# %% 12.1
def split(groups, share, rng):
    chosen = rng.permutation(np.unique(groups))
    in_test = np.isin(groups, chosen[: max(1, round(share * len(chosen)))])
    return np.flatnonzero(~in_test), np.flatnonzero(in_test)


nb.check("12.1", split)


# %% 12.2
def tpr_at_1_percent(y, score):
    real = np.sort(score[y == 0])[::-1]
    bar = real[int(0.01 * len(real))]
    caught = score[y == 1] > bar
    return caught.mean(), *exact_interval(caught.sum(), len(caught))


nb.check("12.2", tpr_at_1_percent)


# %% 12.3
def flags_right(tpr, fpr, prior):
    right, wrong = tpr * prior, fpr * (1 - prior)
    return right / (right + wrong)


print(f"{flags_right(0.45, 0.01, 0.001):.1%} of the flags are right")
nb.check("12.3", flags_right)
