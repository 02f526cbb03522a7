import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from sorakit.diffusion.solver import SOLVERS
from sorakit.errors import InputError, ModelError, NotAVideoError, UsageError
from sorakit.fidelity import measure, wilson
from sorakit.generate import DEFAULT_MODEL, generate, load_info, load_pipeline
from sorakit.pipeline import SoraPipeline
from sorakit.schedulers import SCHEDULERS
from sorakit.train.export import export
from sorakit.train.loop import Trainer
from sorakit.train.recipe import RECIPES
from sorakit.world.caption import EXAMPLE


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model folder."""
    base = tmp_path_factory.mktemp("tiny")
    Trainer(RECIPES["tiny"]).save(base / "last.safetensors")
    export(RECIPES["tiny"], base / "last.safetensors", base / "model", "0.0.1")
    return base / "model"


def test_a_clip_says_how_it_was_made(tiny: Path) -> None:
    seen: list[tuple[str, float]] = []
    clip = generate(
        EXAMPLE, seed=5, model=tiny, steps=3, progress=lambda step, share: seen.append((step, share))
    )
    assert clip.frames.shape == (16, 32, 32, 3)
    assert clip.duration == pytest.approx(16 / 12)
    about = clip.generation
    assert about is not None
    assert (about.model, about.version, about.licence) == ("sorakit-tiny", "0.0.1", "Apache-2.0")
    assert (about.prompt, about.seed, about.parameters["steps"]) == (EXAMPLE, 5, 3)
    json.dumps(about.parameters)
    assert [share for _, share in seen] == pytest.approx([1 / 3, 2 / 3, 1])


def test_one_seed_one_clip(tiny: Path) -> None:
    first, again = (generate(EXAMPLE, seed=5, model=tiny, steps=2).frames for _ in range(2))
    np.testing.assert_array_equal(first, again)
    small = generate(EXAMPLE, seed=5, model=tiny, steps=2, frames=8, height=16, width=24)
    assert small.frames.shape == (8, 16, 24, 3)


def test_images_are_its_first_and_last_frame(tiny: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (32, 32, 3), np.uint8)
    wide = rng.integers(0, 256, (60, 100, 3), np.uint8)
    Image.fromarray(wide).save(tmp_path / "last.png")
    clip = generate(EXAMPLE, seed=1, model=tiny, steps=2, image=first, last_image=tmp_path / "last.png")
    np.testing.assert_array_equal(clip.frames[0], first)
    middle = cv2.resize(wide[:, 20:80], (32, 32), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(clip.frames[-1] - middle).max() <= 3
    assert clip.generation is not None
    assert str(clip.generation.parameters["image"]).startswith("sha256:")
    json.dumps(clip.generation.parameters)


def test_images_it_cannot_use_are_refused(tiny: Path, text_only: Path, tmp_path: Path) -> None:
    picture = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(UsageError, match=r"sorakit-text-only was not trained to be given images"):
        generate(EXAMPLE, seed=1, model=text_only, image=picture)
    with pytest.raises(UsageError, match="must be a file or uint8"):
        generate(EXAMPLE, seed=1, model=tiny, image=picture.astype(float))
    with pytest.raises(InputError, match="no such file"):
        generate(EXAMPLE, seed=1, model=tiny, image=tmp_path / "none.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(NotAVideoError):
        generate(EXAMPLE, seed=1, model=tiny, last_image=tmp_path / "text.png")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers 0.42
def test_each_solver_makes_its_own_clip() -> None:
    clips = {s: generate(EXAMPLE, seed=5, steps=4, solver=s) for s in SCHEDULERS}
    assert set(SCHEDULERS) == {*SOLVERS, "stochastic"}
    assert len({c.frames.tobytes() for c in clips.values()}) == len(SCHEDULERS)
    assert all(c.generation and c.generation.parameters["solver"] == s for s, c in clips.items())
    with pytest.raises(UsageError, match="`solver` must be one of euler, stochastic, heun, dpm, got 'rk4'"):
        generate(EXAMPLE, seed=5, solver="rk4")


def test_the_usual_size_is_the_models_own(tiny: Path, tmp_path: Path) -> None:
    folder = edited(tiny, tmp_path, frames=8, height=16, width=24)
    assert generate(EXAMPLE, seed=5, model=folder, steps=1).frames.shape == (8, 16, 24, 3)


def test_an_older_folder_says_enough(tiny: Path, text_only: Path) -> None:
    info = load_info(text_only)
    assert (info.format, info.given_frames, info.latent) == ("1.0", False, False)
    assert info.usual == (16, 32, 32)
    assert load_info(tiny).given_frames


def test_a_later_format_is_read_or_refused(tiny: Path, tmp_path: Path) -> None:
    assert load_info(edited(tiny, tmp_path / "a", format="1.7", colour_space="new")).format == "1.7"
    with pytest.raises(ModelError, match=r"has format 2\.0, this sorakit reads formats up to 1\.x"):
        load_info(edited(tiny, tmp_path / "b", format="2.0", anything="new"))
    with pytest.raises(ModelError, match="not a model folder"):
        load_info(edited(tiny, tmp_path / "c", anything="new"))


def test_a_missing_part_is_named(tiny: Path, tmp_path: Path) -> None:
    folder = edited(tiny, tmp_path)
    shutil.rmtree(folder / "text_encoder")
    with pytest.raises(ModelError, match="it has no text_encoder"):
        generate(EXAMPLE, seed=0, model=folder)


def edited(model: Path, base: Path, **said: object) -> Path:
    """A copy of `model` whose sorakit.json says other things."""
    folder = base / "edited"
    shutil.copytree(model, folder)
    info = json.loads((folder / "sorakit.json").read_text())
    (folder / "sorakit.json").write_text(json.dumps(info | said))
    return folder


def test_nothing_is_written(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    generate(EXAMPLE, seed=1, model=tiny, steps=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        ("a cat on a skateboard", "does not know"),
        ("a big rde circle bounces on a navy background", "nearest: red"),
        ("a big red circle", "for example"),
        ("a medium red circle bounces on a navy background", "not trained on the size “medium”"),
        ("a big red circle bounces on a striped navy background", "striped"),
        ("a big red circle bounces and a small cyan cross grows on a navy background", "two sprites"),
        (f"{EXAMPLE}, cut to a big red circle bounces on a gray background", "cuts"),
    ],
)
def test_a_prompt_it_cannot_follow_is_refused(tiny: Path, prompt: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        generate(prompt, seed=0, model=tiny)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": -1}, {"fps": 0}, {"frames": 15}, {"height": 30}, {"width": 0}, {"frames": 0},
        {"frames": 4000, "height": 4096}, {"steps": 0}, {"guidance": -1.0}, {"dtype": "int8"},
    ],
    ids=str,
)  # fmt: skip
def test_numbers_it_cannot_use_are_refused(tiny: Path, change: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        generate(EXAMPLE, **({"seed": 0, "model": tiny} | change))  # type: ignore[arg-type]


def test_a_folder_that_is_no_model_is_refused(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a model folder"):
        generate(EXAMPLE, seed=0, model=tmp_path)
    broken = tmp_path / "broken"
    shutil.copytree(tiny, broken)
    weights = broken / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(ModelError, match="does not load"):
        generate(EXAMPLE, seed=0, model=broken)
    weights.unlink()
    with pytest.raises(ModelError, match="does not load"):
        generate(EXAMPLE, seed=0, model=broken)
    with pytest.raises(ModelError, match="does not load"):
        generate(EXAMPLE, seed=0, model=tiny, device="warp")


@pytest.mark.parametrize("part", ["transformer", "text_encoder"])
def test_missing_weights_are_not_made_up(part: str, tiny: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny, broken)
    weights = broken / part / "diffusion_pytorch_model.safetensors"
    kept = load_file(weights)
    lost = sorted(kept)[0]
    del kept[lost]
    save_file(kept, weights, {"format": "pt"})
    with pytest.raises(ModelError, match=f"lack 1 weights of .*{lost}"):
        load_pipeline(broken)
    with pytest.raises(ModelError, match=f"lack 1 weights of .*{lost}"):
        SoraPipeline.from_pretrained(broken)


@pytest.mark.parametrize(
    "change", [{"patch": [4, 8]}, {"heads": 0}, {"heads": 5}, {"prediction": "q"}], ids=str
)
def test_an_impossible_network_is_refused(change: dict[str, object], tiny: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny, broken)
    config = broken / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_bytes()) | change))
    with pytest.raises(ModelError, match="does not load"):
        load_pipeline(broken)


def test_pickled_weights_are_never_read(tiny: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    shutil.copytree(tiny, trap)
    (trap / "transformer" / "diffusion_pytorch_model.safetensors").rename(
        trap / "transformer" / "diffusion_pytorch_model.bin"
    )
    with pytest.raises(ModelError):
        generate(EXAMPLE, seed=0, model=trap)


def test_the_index_cannot_choose_classes(tiny: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    shutil.copytree(tiny, trap)
    (trap / "model_index.json").write_text('{"_class_name": "X", "transformer": ["antigravity", "system"]}')
    assert generate(EXAMPLE, seed=0, model=trap, steps=1).frames.any()
    assert "antigravity" not in sys.modules


def test_without_torch_the_message_says_what_to_install() -> None:
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from sorakit.errors import ModelError\n"
        "from sorakit.generate import generate\n"
        "try:\n"
        f"    generate({EXAMPLE!r}, seed=0)\n"
        "except ModelError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "pip install sorakit[gen]" in done.stdout


def test_importing_loads_no_torch() -> None:
    code = "import sys, sorakit.generate, sorakit.world; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_packaged_model_obeys_fresh_prompts() -> None:
    assert load_info().name == "sorakit-one-object"
    assert sum(f.stat().st_size for f in DEFAULT_MODEL.rglob("*") if f.is_file()) < 8 << 20
    result = measure(24, seed=77)
    assert result["colour"] >= 0.85
    assert result["shape"] >= 0.8
    assert result["all_facts"] >= 0.7
    assert result["all_facts_ci"][0] <= result["all_facts"] <= result["all_facts_ci"][1]


def test_an_untrained_model_scores_nothing(tiny: Path) -> None:
    result = measure(4, model=tiny)
    assert result["all_facts"] == result["shape"] == 0
    assert (result["n"], result["seed"], result["model"]) == (4, 0, "sorakit-tiny")
    json.dumps(result)


def test_intervals_are_wilsons() -> None:
    assert wilson(0.0, 10) == [0.0, 0.2775]
    assert wilson(1.0, 10) == [0.7225, 1.0]
    with pytest.raises(UsageError):
        measure(0)
