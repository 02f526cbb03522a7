"""Makes a saved model's folder fit to be given away; every exporter ends with it."""

import json
from pathlib import Path

__all__ = ["settle"]


def settle(folder: Path) -> None:
    """Let all read what `folder` holds, and drop the paths that its parts were loaded from.

    safetensors makes files that only their owner can read; diffusers notes in `config.json` where a part came
    from, which tells strangers about this machine and readers nothing.
    """
    for path in folder.rglob("config.json"):
        said = json.loads(path.read_bytes())
        if "_name_or_path" in said:
            del said["_name_or_path"]
            path.write_text(json.dumps(said, indent=2) + "\n")
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
