"""A run's log: one JSON object a line in `log.jsonl` and, when asked, the same numbers for TensorBoard.

A run that was killed goes on from its last checkpoint, so what it logged after that is dropped before it goes
on: each step is in the log once.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sorakit.errors import ModelError
from sorakit.types import Rgb

__all__ = ["Log", "read_log"]


class Log:
    """Writes rows to `out/log.jsonl`; with `tensorboard` also to `out/tensorboard`.

    `step`: where the run goes on. Raises `ModelError` when TensorBoard is asked for and not installed.
    """

    def __init__(self, out: Path, step: int, *, tensorboard: bool = False) -> None:
        path = out / "log.jsonl"
        self._board = _board(out / "tensorboard", step) if tensorboard else None  # first: it may be missing
        _rewind(path, step)
        self._file = path.open("a", encoding="utf-8")

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()

    def row(self, step: int, values: Mapping[str, float]) -> None:
        """Write one row; not-a-number becomes null, as JSON has none."""
        clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
        self._file.write(json.dumps({"step": step} | clean) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in clean.items():
                if value is not None:
                    self._board.add_scalar(name, value, step)
            self._board.flush()

    def picture(self, step: int, picture: Rgb) -> None:
        """Show `uint8 (H, W, 3)` in TensorBoard, if that is on."""
        if self._board is not None:
            self._board.add_image("samples", picture, step, dataformats="HWC")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a log; a last line that a crash cut short is left out.

    >>> read_log(Path("no-such-file"))
    []
    """
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def _rewind(path: Path, step: int) -> None:
    """Drop rows of steps that are to be made again."""
    rows = read_log(path)
    kept = [r for r in rows if r.get("step", 0) <= step]
    if rows and kept != rows:
        part = path.with_suffix(".part")
        part.write_text("".join(json.dumps(r) + "\n" for r in kept), encoding="utf-8")
        part.replace(path)


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ModelError(
            f"logging to TensorBoard needs {error.name}: pip install sorakit[tensorboard]"
        ) from error
    writer: Any = SummaryWriter
    return writer(str(folder), purge_step=step + 1)
