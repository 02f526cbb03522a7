"""Solutions of notebook 02: each section replaces the cell that checks the exercise it names."""


# %% 02.1
def facts(sentence):
    """Sprites, texture and background that a sentence names."""
    first, last = sentence.split(",")[0].split(" on a ")
    ground = last.split()[:-1]  # perhaps a texture, then the colour
    sprites = []
    for part in first.split(" and "):
        _, size, colour, shape, *motion = part.split()
        sprites.append((size, colour, shape, " ".join(motion)))
    texture = ground[0] if len(ground) == 2 else "plain"
    return {"sprites": sprites, "texture": texture, "background": ground[-1]}


print(caption(scenes[0]), facts(caption(scenes[0])), sep="\n")
nb.check("02.1", facts)


# %% 02.2
def motion(frames):
    """One of "moves left", "moves right", "moves up", "moves down", "stays still"."""
    _, centre = find(frames)
    dx, dy = centre[-1] - centre[0]
    if max(abs(dx), abs(dy)) < 0.15 * min(frames.shape[1:3]):
        return "stays still"
    if abs(dx) > abs(dy):
        return "moves right" if dx > 0 else "moves left"
    return "moves down" if dy > 0 else "moves up"  # y counts downwards


nb.check("02.2", motion)


# %% 02.3
def damage(frames):
    """A copy of frames (T, H, W, 3) that the oracle reads wrongly and a person does not."""
    other = "green" if find(frames)[0] != "green" else "magenta"
    changed = frames.copy()
    changed[:, :4, :4] = 255 * np.array(COLOURS[other])
    return changed  # a spot of 4 × 4 pixels, but it counts as a second sprite


nb.check("02.3", damage)
