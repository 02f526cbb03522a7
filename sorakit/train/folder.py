"""Makes a saved model's folder fit to be given away; every exporter ends with it."""

import json
from collections.abc import Iterator
from pathlib import Path

__all__ = ["settle"]

_PARTS = ("scheduler", "text_encoder", "tokenizer", "transformer", "vae")
_FILES = (
    "MODEL_CARD.md",
    "config.json",
    "diffusion_pytorch_model.safetensors",
    "model_index.json",
    "sorakit.json",
)


def settle(folder: Path) -> None:
    """Let all read the model in `folder`, and drop the paths that its parts were loaded from.

    safetensors makes files that only their owner can read; diffusers notes in `config.json` where a part came
    from, which tells strangers about this machine and readers nothing. What else lies there stays as it is.
    """
    for path in _written(folder):
        path.chmod(0o755 if path.is_dir() else 0o644)
        if path.name == "config.json":
            said = json.loads(path.read_bytes())
            if "_name_or_path" in said:
                del said["_name_or_path"]
                path.write_text(json.dumps(said, indent=2) + "\n")


def _written(folder: Path) -> Iterator[Path]:
    """What an exporter writes: the files of a model's folder, its parts' folders and the files in them."""
    yield from (folder / name for name in _FILES if (folder / name).is_file())
    for part in (folder / name for name in _PARTS if (folder / name).is_dir()):
        yield part
        yield from (path for path in part.iterdir() if path.is_file())
