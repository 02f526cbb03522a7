import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sorakit.train.export import export
from sorakit.train.loop import Trainer
from sorakit.train.recipe import RECIPES

TINY = replace(RECIPES["tiny"], prompts=2, steps=2)


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """The networks here are too small for several threads, which cost much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def sigterm_later() -> Callable[[], None]:
    """Sends this process SIGTERM a second after it has begun to listen for it, however slow the machine."""
    before = signal.getsignal(signal.SIGTERM)

    def send() -> None:
        deadline = time.monotonic() + 120
        while signal.getsignal(signal.SIGTERM) is before and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(1)
        if signal.getsignal(signal.SIGTERM) is not before:  # or it would end the tests
            os.kill(os.getpid(), signal.SIGTERM)

    return threading.Thread(target=send, daemon=True).start


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training run whose networks say something: random weights, no training."""
    out = tmp_path_factory.mktemp("run")
    trainer = Trainer(TINY)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in (*trainer.pair.parameters(), *trainer.ema.model.parameters()):
            p.add_(0.06 * torch.randn(p.shape, generator=generator))
    trainer.save(out / "last.safetensors")
    return out


@pytest.fixture(scope="session")
def folder(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a model's folder."""
    out = tmp_path_factory.mktemp("model") / "tiny"
    export(TINY, run_folder / "last.safetensors", out, "0.1.0")
    return out
