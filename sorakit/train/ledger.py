"""What a run cost: operations, time, energy, clips, and on which machines; kept in every checkpoint.

Operations are those of matrix multiplies (see `forward_flops`), forward and backward. CPU seconds are those
of all processes and their data workers. Energy is processor seconds × an assumed power, plus a GPU's power as
its driver reports it × wall time; neither memory, disks, power supply nor cooling are in it.
"""

import importlib.metadata
import platform
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sorakit.errors import ModelError

__all__ = ["WATTS_PER_CORE", "WORLD", "Ledger", "Machine", "Meter", "this_machine"]

WATTS_PER_CORE = 10.0
"""Assumed power of a busy processor core, in W: thermal design power ÷ cores, as in Green Algorithms
(Lannelongue, Grealey & Inouye 2021, doi:10.1002/advs.202100707), rounded up: an EPYC 9654 has 360 W for 96
cores, 3.75 W each, a desktop processor 10 to 15 W. Give your own machine's figure where you know it."""

WORLD = "the sprite world"
"""What `Ledger.data` says of rendered clips."""

_LIBRARIES = ("sorakit", "torch", "diffusers", "numpy")
_GPU_EVERY = 10.0


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a run, or part of one, took place; `from_step`: its first step."""

    device: str
    processes: int
    system: str
    versions: dict[str, str]
    from_step: int = 0


@dataclass(slots=True)
class Ledger:
    """Sums over a run, across stops and restarts; `joules` of energy, `wall` and `cpu` in seconds.

    `start`: the model whose weights it began from; what that one cost is not in the sums.

    >>> ledger = Ledger()
    >>> ledger.add(clips=24, work=10**12, cpu=2.0, joules=20.0)
    >>> ledger.clips, ledger.tflop
    (24, 1.0)
    """

    clips: int = 0
    work_done: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    joules: float = 0.0
    watts_per_core: float = WATTS_PER_CORE
    machines: list[Machine] = field(default_factory=list)
    data: list[str] = field(default_factory=lambda: [WORLD])
    start: str = ""

    @property
    def tflop(self) -> float:
        """10^12 operations."""
        return self.work_done / 1e12

    @property
    def kwh(self) -> float:
        """Energy in kilowatt hours."""
        return self.joules / 3.6e6

    def add(self, *, clips: int, work: int, cpu: float, joules: float) -> None:
        """Count one step."""
        self.clips += clips
        self.work_done += work
        self.cpu += cpu
        self.joules += joules

    def enter(self, machine: Machine, data: str = WORLD) -> None:
        """Note the machine that goes on, unless it is the last one still, and what it trains on."""
        if self.clips == 0:
            self.data = [data]
        elif data not in self.data:
            self.data.append(data)
        last = self.machines[-1] if self.machines else None
        if last is None or asdict(last) | {"from_step": 0} != asdict(machine) | {"from_step": 0}:
            self.machines.append(machine)

    def state(self) -> dict[str, Any]:
        """JSON-able; `clips`, `work_done`, `wall` and `cpu` at the top as in the format's first files."""
        top = {k: getattr(self, k) for k in ("clips", "work_done", "wall", "cpu")}
        kept = {"joules": self.joules, "watts_per_core": self.watts_per_core, "data": self.data}
        kept |= {"start": self.start}
        return top | {"ledger": kept | {"machines": [asdict(m) for m in self.machines]}}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Ledger":
        """The ledger of a checkpoint's state; one written before energy was counted gets cpu × the default.

        Raises `ModelError` when the state holds no such sums.
        """
        try:
            kept = state.get("ledger", {})
            cpu, watts = float(state["cpu"]), float(kept.get("watts_per_core", WATTS_PER_CORE))
            return cls(
                int(state["clips"]), int(state["work_done"]), float(state["wall"]), cpu,
                float(kept.get("joules", cpu * watts)), watts,
                [Machine(**m) for m in kept.get("machines", [])],
                [str(d) for d in kept.get("data", [WORLD])],
                str(kept.get("start", "")),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"the checkpoint's ledger cannot be read: {error}; take a new folder") from error


class Meter:
    """Processor seconds and joules of this process since the last reading."""

    def __init__(self, watts_per_core: float = WATTS_PER_CORE, *, gpu: int | None = None) -> None:
        self.watts_per_core, self.gpu = watts_per_core, gpu
        self._cpu, self._asked = time.process_time(), time.monotonic()

    def lap(self, workers: float = 0.0) -> tuple[float, float]:
        """CPU seconds, with the `workers`' since the last reading, and joules."""
        now = time.process_time()
        cpu, self._cpu = now - self._cpu + workers, now
        return cpu, cpu * self.watts_per_core + self._gpu_joules()

    def _gpu_joules(self) -> float:
        if self.gpu is None:
            return 0.0
        now = time.monotonic()
        if now - self._asked < _GPU_EVERY:
            return 0.0
        past, self._asked = now - self._asked, now
        return gpu_watts(self.gpu) * past


def gpu_watts(index: int) -> float:
    """What the GPU draws now, in W, by `nvidia-smi`; 0 where that cannot tell."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0.0
    query = [program, f"--id={index}", "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
        return float(done.stdout.strip())
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0.0


def this_machine(device: str, processes: int = 1, from_step: int = 0) -> Machine:
    """The machine that this runs on.

    >>> this_machine("cpu").processes
    1
    """
    name = _processor()
    if device.startswith("cuda"):
        import torch  # noqa: PLC0415 - not needed to read a ledger

        name = f"{torch.cuda.get_device_name(device)} ({name})"
    versions = {n: importlib.metadata.version(n) for n in _LIBRARIES} | {"python": platform.python_version()}
    return Machine(name, processes, f"{platform.system()} {platform.machine()}", versions, from_step)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
