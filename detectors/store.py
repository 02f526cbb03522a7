"""Model files: hashed first, then read by skops with a fixed list of types. Nothing is unpickled.

In: a `.skops` file and its card, a JSON file beside it that names the SHA-256 (for the shipped model the hash
stands in this package's code as well). Out: the fitted estimators.
"""

import hashlib
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

from sorakit.errors import ModelError

__all__ = ["TRUSTED", "load_model", "read_card", "save_model"]

TRUSTED = (
    "detectors.estimators.BlockFusion",
    "detectors.estimators.ClippedScaler",
    "detectors.estimators.Platt",
)
"""The only types besides skops' own list of harmless ones that a model file may hold."""

_MAX_BYTES = 64 << 20
_MAX_CARD = 4 << 20


def save_model(model: Any, card: dict[str, Any], path: Path) -> str:
    """Write `model` to `path` and `card`, with the hash in it, beside it; returns the SHA-256.

    Raises `ModelError` without skops.
    """
    skops_io = _skops()
    data = _stable(skops_io.dumps(model))
    digest = hashlib.sha256(data).hexdigest()
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(card | {"sha256": digest}, indent=1, ensure_ascii=False) + "\n"
    for target, content in ((path, data), (card_of(path), text.encode("utf-8", "backslashreplace"))):
        part = target.with_name(f".{target.name}.part")
        part.write_bytes(content)
        part.replace(target)
    return digest


def card_of(path: Path) -> Path:
    """The card beside a model file.

    >>> card_of(Path("a/model.skops")).name
    'model.json'
    """
    return path.with_suffix(".json")


def read_card(path: Path) -> dict[str, Any]:
    """The card of a model file; `ModelError` when it is missing or no JSON object."""
    try:
        with card_of(path).open("rb") as file:
            card = json.loads(file.read(_MAX_CARD))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{card_of(path)} is no model card: {error}; train again or reinstall") from error
    if not isinstance(card, dict) or not isinstance(card.get("sha256"), str):
        raise ModelError(f"{card_of(path)} names no `sha256`; train again or reinstall")
    return card


def load_model(path: Path, sha256: str | None = None) -> tuple[Any, dict[str, Any]]:
    """The estimators and the card. `sha256`: of the file that is meant; by default the card's.

    Raises `ModelError` for a file that is missing, over 64 MiB, not the one that is meant, no model, or that
    holds any type beyond `TRUSTED`.
    """
    card = read_card(path)
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}; train again or reinstall") from error
    wanted = sha256 or card["sha256"]
    if len(data) > _MAX_BYTES or hashlib.sha256(data).hexdigest() != wanted:
        raise ModelError(
            f"{path.name} is not the model that its card describes (SHA-256 differs from {wanted[:12]}…); "
            "it was changed or damaged, reinstall or train again"
        )
    skops_io = _skops()
    try:
        strange = set(skops_io.get_untrusted_types(data=data)) - set(TRUSTED)
        if strange:
            raise ModelError(f"{path.name} holds types that no model needs: {', '.join(sorted(strange))}")
        return skops_io.loads(data, trusted=list(TRUSTED)), card
    except ModelError:
        raise
    except Exception as error:  # a file with the right hash that is no model: what is raised depends on it
        raise ModelError(f"{path.name} is no model file ({type(error).__name__}); train again") from error


class _NoTorch:
    """A finder that finds no torch: skops imports it wherever it is installed, which takes seconds."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        """Say that torch is not here; leave all else to the next finder."""
        if name == "torch":
            raise ModuleNotFoundError("torch is not needed here", name="torch")


def _skops() -> Any:
    """The reader and writer of model files; loads scikit-learn."""
    sys.meta_path.insert(0, _NoTorch)
    try:
        from skops import io as skops_io  # noqa: PLC0415
    except ImportError as error:
        raise ModelError("model files need scikit-learn and skops: pip install skops") from error
    finally:
        sys.meta_path.remove(_NoTorch)
    return skops_io


def _stable(data: bytes) -> bytes:
    """The same archive without times and memory addresses, so that equal models are equal files.

    skops names objects by where they lay in memory; here they are numbered in the order of the schema.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        schema = json.loads(old.read("schema.json"))
        numbers: dict[int, int] = {}
        files: dict[str, str] = {}
        _number(schema, numbers, files)
        for name in sorted(set(old.namelist()) - {"schema.json"}, key=lambda n: files.get(n, n)):
            new.writestr(_undated(files.get(name, name)), old.read(name))
        new.writestr(_undated("schema.json"), json.dumps(schema, indent=1, sort_keys=True))
    return out.getvalue()


def _number(node: Any, numbers: dict[int, int], files: dict[str, str]) -> None:
    if isinstance(node, list):
        for part in node:
            _number(part, numbers, files)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("__id__"), int):
        node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
    if isinstance(node.get("file"), str):
        suffix = Path(node["file"]).suffix
        node["file"] = files.setdefault(node["file"], f"{len(files) + 1:04d}{suffix}")
    for key in sorted(node):
        _number(node[key], numbers, files)


def _undated(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    return info
