"""Two processes over gloo must do what one does: the gate for everything that runs on several GPUs."""

import json
import os
import runpy
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sorakit.errors import UsageError
from sorakit.train.parallel import ALONE, Group, open_group
from sorakit.train.recipe import RECIPES
from sorakit.train.trainer import Trainer
from sorakit.world.dataset import make_batch

WORKER = Path(__file__).with_name("spread_worker.py")
JOBS = ("ddp", "fsdp", "fsdp:load", "ddp:bf16", "fsdp:bf16")


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def two(log: Path, *args: str) -> Iterator[None]:
    """Two processes at work; at the end of the block they must be done, and well."""
    common = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = [sys.executable, str(WORKER), *args]
    with log.open("w") as said, ExitStack() as stack:
        processes = []
        for rank in range(2):
            env = common | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            process = subprocess.Popen(command, env=env, stdout=said, stderr=subprocess.STDOUT)
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)  # called first: none outlives a failure
        yield
        codes = [p.wait(240) for p in processes]
    assert codes == [0, 0], log.read_text()[-3000:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process and what two made, each in a folder of its own."""
    base = tmp_path_factory.mktemp("spread")
    names = ("alone", "alone-load", "alone-bf16", *(j.replace(":", "-") for j in JOBS))
    for name in names:
        (base / name).mkdir()
    steps: Callable[..., None] = runpy.run_path(str(WORKER))["steps"]
    steps(base / "alone", ALONE)
    with two(base / "log.txt", str(base), "cpu", *JOBS):
        steps(base / "alone-load", ALONE, load=base / "alone" / "last.safetensors")
        steps(base / "alone-bf16", ALONE, bf16=True)
    return base


def about(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "about.json").read_text())
    return found


@pytest.mark.parametrize(("one", "other"), [("alone", "ddp"), ("alone", "fsdp"), ("alone-load", "fsdp-load")])
def test_two_processes_do_what_one_does(folder: Path, one: str, other: str) -> None:
    a, b = about(folder / one), about(folder / other)
    assert b["losses"] == pytest.approx(a["losses"], rel=1e-5)
    assert (b["clips"], b["work"]) == (a["clips"], a["work"])
    assert b["mean"] == pytest.approx(a["mean"], abs=1e-6)
    x, y = (load_file(folder / n / "last.safetensors") for n in (one, other))
    assert x.keys() == y.keys()
    for name, tensor in x.items():
        torch.testing.assert_close(y[name], tensor, atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")
    begin = Trainer(RECIPES["tiny"]).pair.state_dict()
    weights = {n: t for n, t in x.items() if n.startswith("model/")}
    moved = [float((t - begin[n.removeprefix("model/")]).abs().max()) for n, t in weights.items()]
    assert min(moved) > 1e-4, "every weight was updated, so agreement says something"


@pytest.mark.parametrize("spread", ["ddp-bf16", "fsdp-bf16"])
def test_bfloat16_agrees_as_well_as_it_can(folder: Path, spread: str) -> None:
    assert about(folder / spread)["losses"] == pytest.approx(about(folder / "alone-bf16")["losses"], rel=0.03)
    assert load_file(folder / spread / "last.safetensors")["model/dit.embed.weight"].dtype == torch.float32


def test_what_two_wrote_one_can_load(folder: Path) -> None:
    recipe = Trainer(RECIPES["tiny"]).recipe
    trainer = Trainer(recipe)
    trainer.load(folder / "fsdp" / "last.safetensors")
    assert trainer.step == 6
    assert trainer.optimisers[0].state_dict()["state"][0]["momentum_buffer"].abs().max() > 0


def test_nothing_that_holds_gloos_threads_outlives_a_run(tmp_path: Path) -> None:
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        trainer = Trainer(RECIPES["tiny"], group=Group("ddp", 0, 1))
        reducer = weakref.ref(trainer.work)
        assert isinstance(trainer.work, torch.nn.parallel.DistributedDataParallel)
        trainer.update(make_batch(0, 0, trainer.recipe.draw), 1e-3)
        trainer.close()
        assert reducer() is None
    finally:
        torch.distributed.destroy_process_group()


def test_batches_must_share_out() -> None:
    with pytest.raises(UsageError, match="--set accumulate=2 --set batch=4"):
        Trainer(RECIPES["tiny"], group=Group("ddp", 0, 2))


def test_a_group_needs_a_launcher() -> None:
    with pytest.raises(UsageError, match="accelerate launch"), open_group("cpu", "fsdp", {}):
        pass
    with pytest.raises(UsageError, match="parallel"), open_group("cpu", "magic", {}):
        pass
    with open_group("cpu", "auto", {}) as group:
        assert group is ALONE
        assert group.total(1.5, 2) == [1.5, 2.0]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_torchrun_launches_the_command(tmp_path: Path, kind: str) -> None:
    # on a CPU `accelerate launch` starts several processes through MPI alone; both set the same variables
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port"]
    launch += [str(free_port()), "-m", "sorakit.train", "--recipe", "tiny", "--device", "cpu"]
    options = ["--out", str(tmp_path), "--steps", "4", "--set", "accumulate=2", "--set", "batch=4"]
    done = subprocess.run(
        [*launch, *options, "--set", "prompts=2", "--parallel", kind, "--log-every", "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        env=os.environ | {"ACCELERATE_USE_CPU": "true", "HF_HOME": str(tmp_path / "hf")},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows] == [1, 2, 3, 4, 4]
    assert rows[-1]["clips"] == 4 * 2 * 4
    assert list((tmp_path / "previews").iterdir())


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_do_what_one_does(tmp_path: Path) -> None:
    steps: Callable[..., None] = runpy.run_path(str(WORKER))["steps"]
    for name in ("alone", "ddp", "fsdp"):
        (tmp_path / name).mkdir()
    steps(tmp_path / "alone", ALONE, device="cuda")
    with two(tmp_path / "log.txt", str(tmp_path), "cuda", "ddp", "fsdp"):
        pass
    for name in ("ddp", "fsdp"):
        assert about(tmp_path / name)["losses"] == pytest.approx(
            about(tmp_path / "alone")["losses"], rel=1e-3
        )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_does_what_a_cpu_does(tmp_path: Path) -> None:
    steps: Callable[..., None] = runpy.run_path(str(WORKER))["steps"]
    for device in ("cpu", "cuda"):
        (tmp_path / device).mkdir()
        steps(tmp_path / device, ALONE, device=device)
    assert about(tmp_path / "cuda")["losses"] == pytest.approx(about(tmp_path / "cpu")["losses"], rel=1e-2)
