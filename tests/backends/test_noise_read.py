"""Foreign pipelines run backwards: the payload comes back, and encoding undoes what comes before decoding.

The weights are random: this shows that the way is right, and says nothing of how well a real model's mark is
read from its clips.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UniPCMultistepScheduler
from typer.testing import CliRunner

from sorakit.backends import load_foreign
from sorakit.backends.encoding import FAMILIES, clean_latents, normalise, pack, unpack
from sorakit.backends.families import Asked, arguments
from sorakit.backends.noise_mark import marked
from sorakit.backends.noise_read import noise_of_latents, read_foreign_mark, why_not_read
from sorakit.backends.pictures import load_picture
from sorakit.cli.app import app
from sorakit.errors import UsageError
from sorakit.types import Rgb
from sorakit.watermark.keyring import new_key
from sorakit.watermark.latent import read_noise

pytestmark = [
    pytest.mark.filterwarnings("ignore:In CPU autocast:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]
Family = Callable[[str], Path]
PAYLOAD, KEY, SEED = 7, b"k" * 32, 5
PICTURE = np.full((40, 48, 3), (200, 60, 40), np.uint8)
# Sizes that give each at least 384 values of noise, which a payload needs.
SIZES: dict[str, dict[str, Any]] = {
    "wan": {"frames": 9, "height": 16, "width": 32},
    "ltx": {"frames": 17, "height": 128, "width": 128},
    "cogvideox": {"frames": 9, "height": 32, "width": 64},
    "hunyuan": {"frames": 9, "height": 32, "width": 64},
    "mochi": {"frames": 13, "height": 32, "width": 32},
    "latte": {"frames": 8, "height": 32, "width": 32},
    "svd": {"frames": 6, "height": 32, "width": 32, "image": PICTURE},
    "wan-from-picture": {"frames": 9, "height": 16, "width": 32, "image": PICTURE},
    "ltx-from-picture": {"frames": 25, "height": 128, "width": 128, "image": PICTURE},
    "animatediff": {"frames": 8, "height": 32, "width": 32},
}


def prompt_of(name: str) -> str:
    return "" if name == "svd" else "a red circle"


def loaded(folder: Path) -> Any:
    """The model; where its scheduler clips, one that does not, as in the published weights."""
    model = load_foreign(folder)
    config = model.pipe.scheduler.config
    if config.get("clip_sample"):
        model.pipe.scheduler = type(model.pipe.scheduler).from_config(config, clip_sample=False)
    return model


def call(model: Any, name: str, **changes: Any) -> dict[str, Any]:
    size = {k: v for k, v in SIZES[name].items() if k != "image"}
    image = load_picture(SIZES[name]["image"]) if "image" in SIZES[name] else None
    return arguments(model.pipe, Asked(prompt_of(name), image=image, **({"steps": 4} | size | changes)))


def blank(name: str) -> Rgb:
    size = SIZES[name]
    return np.full((size["frames"], size["height"], size["width"], 3), 99, np.uint8)


@pytest.mark.parametrize("name", SIZES)
def test_the_payload_comes_back_from_the_final_latents(name: str, family: Family) -> None:
    model = loaded(family(name))
    assert type(model.pipe).__name__ in FAMILIES
    assert why_not_read(model.pipe) is None
    with marked(model.pipe, PAYLOAD, KEY, SEED):
        made = model.run(call(model, name) | {"output_type": "latent"}, SEED, None)
    like = clean_latents(model.pipe, blank(name))  # also: clips are encoded to the shape that is sampled
    was = model.pipe.scheduler
    cells = noise_of_latents(model, unpack(model.pipe, made, like), call(model, name, guidance=1.0))
    found = read_noise(cells, KEY)
    assert found.payload == f"{PAYLOAD:016x}"
    assert len(found.frames) == cells.shape[0] > 1
    assert not read_noise(cells, b"x" * 32).found
    assert model.pipe.scheduler is was
    assert "prepare_latents" not in vars(model.pipe)


def test_a_solver_of_higher_order_is_read_too(family: Family) -> None:
    model = loaded(family("wan"))
    model.pipe.scheduler = UniPCMultistepScheduler(
        use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0
    )
    with marked(model.pipe, PAYLOAD, KEY, SEED):
        made = model.run(call(model, "wan", steps=8) | {"output_type": "latent"}, SEED, None)
    cells = noise_of_latents(model, made, call(model, "wan", steps=8, guidance=1.0))
    assert read_noise(cells, KEY).payload == f"{PAYLOAD:016x}"


@pytest.mark.parametrize("name", SIZES)
def test_encoding_undoes_what_comes_before_decoding(
    name: str, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded(family(name))
    vae, seen = model.pipe.vae, []
    if name.startswith("ltx"):  # its constants are weights, plain in a new model
        vae.latents_mean.normal_()
        vae.latents_std.uniform_(0.5, 2)
    original = vae.decode

    def note(z: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(z)
        return original(z, *args, **kwargs)

    monkeypatch.setattr(vae, "decode", note)
    model.run(call(model, name), SEED, None)
    monkeypatch.undo()
    final = model.run(call(model, name) | {"output_type": "latent"}, SEED, None)
    like = clean_latents(model.pipe, blank(name))
    final = unpack(model.pipe, final, like)
    coded = seen[0] if seen[0].ndim == 5 else torch.cat(seen).transpose(0, 1)[None]  # (1, C, T, h, w)
    again = normalise(vae, coded)
    again = again.transpose(1, 2) if name in ("cogvideox", "svd") else again
    torch.testing.assert_close(again.float(), final.float(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["wan", "ltx", "svd"])
def test_packing_and_its_inverse(name: str, family: Family) -> None:
    pipe = load_foreign(family(name)).pipe
    latents = torch.randn(1, 8, 3, 4, 6)
    assert torch.equal(unpack(pipe, pack(pipe, latents), latents), latents)


def test_a_clip_of_another_length_is_refused(family: Family) -> None:
    model = loaded(family("wan"))
    latents = clean_latents(model.pipe, blank("wan"))
    with pytest.raises(UsageError, match="as it was made"):
        noise_of_latents(model, latents, call(model, "wan", frames=13, guidance=1.0))


def test_what_is_not_read_is_named(family: Family, tmp_path: Path) -> None:
    model = load_foreign(family("wan"))
    model.pipe.scheduler = DDPMScheduler()
    with pytest.raises(UsageError, match="DDPMScheduler"):
        read_foreign_mark(tmp_path / "none.mp4", model, [])
    assert "not known" in (why_not_read(object.__new__(type("OtherPipeline", (), {}))) or "")


def test_replaced_latents_show_where(family: Family) -> None:
    model, given = loaded(family("latte")), {"output_type": "latent"}
    with marked(model.pipe, PAYLOAD, KEY, SEED):
        made = model.run(call(model, "latte") | given, SEED, None)
    other = model.run(call(model, "latte") | given, SEED + 1, None)
    made[:, :, 5:] = other[:, :, 5:]  # (1, C, T, h, w)
    found = read_noise(noise_of_latents(model, made, call(model, "latte", guidance=1.0)), KEY)
    assert found.payload == f"{PAYLOAD:016x}"
    assert found.frames[:5].min() > 4 > found.frames[5:].max()


def test_half_precision_is_marked_and_read(family: Family) -> None:
    model = load_foreign(family("wan"), dtype="bfloat16")
    with marked(model.pipe, PAYLOAD, KEY, SEED):
        made = model.run(call(model, "wan") | {"output_type": "latent"}, SEED, None)
    cells = noise_of_latents(model, made, call(model, "wan", guidance=1.0))
    assert read_noise(cells, KEY).payload == f"{PAYLOAD:016x}"


def test_the_command_says_what_is_not_read(family: Family, way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORAKIT_HOME", str(way.settings.home))
    new_key(way.settings.keys_dir)
    folder, file = str(family("latte")), str(way.out / "a.mp4")
    size = ["--frames", "8", "--height", "32", "--width", "32", "--steps", "2"]
    run = CliRunner().invoke(
        app, ["generate", "a red circle", "-o", file, "--model", folder, *size, "--latent-mark"]
    )
    assert run.exit_code == 0, run.output
    assert "not read back: DDIMScheduler clips what it predicts" in run.stderr
    for options, says in (
        (["--model", folder], "DDIMScheduler clips"),
        (["--model", folder, "--height", "32"], "go together"),
        (["--steps", "4"], "for models of diffusers only"),
    ):
        run = CliRunner().invoke(app, ["inspect-latent", file, *options])
        assert run.exit_code != 0
        assert says in str(run.exception) + run.stderr


@pytest.mark.parametrize("name", ["wan", "wan-from-picture"])
def test_the_way_through_a_published_file(name: str, family: Family, way: Any) -> None:
    model, key = load_foreign(family(name)), new_key(way.settings.keys_dir)
    given = {"seed": SEED, "steps": 3} | SIZES[name] | {"frames": 17}
    done = way.publish(model.generate("a red circle", **given, latent_key=key.secret))  # enlarged to 256
    known = {"prompt": "a red circle", "seed": SEED, "steps": 3, "size": (16, 32)}
    mark = read_foreign_mark(done.path, model, [key], **known)
    assert mark.evidence.found is (mark.evidence.log10_p <= -9)
    assert mark.key_id == (key.id if mark.evidence.found else None)
    assert 0.3 < mark.evidence.accuracy <= 1.0
    said = way.check(done.path).evidence.provenance.generation
    assert said["parameters"]["latent_mark"] == "io.github.sorakit.latent.1"
    assert key.secret.hex() not in repr(said)
