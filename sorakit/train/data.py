"""Where batches come from: rendered in this process or in workers, or read from shards; endless either way.

Batch `i` is a pure function of (source, i), so the stream is the same however many workers make it and
wherever a run stops, and N processes share one stream by taking every N-th batch.
"""

import itertools
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from sorakit.train.ledger import WORLD
from sorakit.train.recipe import Recipe
from sorakit.train.shards import ShardSet
from sorakit.world.dataset import Batch, Draw, make_batch

__all__ = ["Made", "Source", "World", "open_source", "open_stream"]


class Source(Protocol):
    """Batches by number."""

    @property
    def about(self) -> str:
        """What the clips are, for the ledger."""

    def batch(self, index: int) -> Batch:
        """Batch `index`; equal numbers, equal batches."""


@dataclass(frozen=True, slots=True)
class World:
    """The sprite world, rendered: batch `i` of the stream `seed`."""

    seed: int
    draw: Draw

    @property
    def about(self) -> str:
        """See `Source`."""
        return WORLD

    def batch(self, index: int) -> Batch:
        """See `Source`."""
        return make_batch(self.seed, index, self.draw)


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A batch, who made it (-1: this process), and that worker's CPU seconds so far."""

    batch: Batch
    worker: int = -1
    cpu: float = 0.0


def open_source(recipe: Recipe, shards: Path | None = None) -> Source:
    """The sprite world, or the clips in the folder `shards`; raises the errors of `ShardSet.open`."""
    if shards is None:
        return World(recipe.seed, recipe.draw)
    return ShardSet.open(shards, recipe)


@contextmanager
def open_stream(
    source: Source, *, first: int = 0, step: int = 1, workers: int = 0
) -> Iterator[Iterator[Made]]:
    """Batches `first`, `first + step`, … without end, made ahead by `workers` processes (0: by this one).

    On a CPU the processes would only take the cores from the training; on a GPU they keep it fed. Nothing is
    written or read with pickle; the workers' pipes are private to these processes.
    """
    if workers == 0:
        yield (Made(source.batch(i)) for i in itertools.count(first, step))
        return
    loader: DataLoader[Made] = DataLoader(
        _Numbered(source),
        batch_size=None,
        sampler=_Count(first, step),
        num_workers=workers,
        prefetch_factor=2,
        worker_init_fn=_quiet_worker,
    )
    stream: Any = iter(loader)
    try:
        yield stream
    finally:
        stream._shutdown_workers()  # otherwise they end only when the garbage collector comes by


@dataclass(frozen=True, slots=True)
class _Count:
    """The endless sampler of first, first + step and so on."""

    first: int
    step: int

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.first, self.step)


class _Numbered(Dataset[Made]):
    """A source as the data loader wants it."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitem__(self, index: int) -> Made:
        info = torch.utils.data.get_worker_info()
        batch = self.source.batch(index)
        return Made(batch, -1 if info is None else info.id, time.process_time())


def _quiet_worker(_worker: int) -> None:
    """Leave Ctrl-C, which reaches the whole process group, to the trainer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
