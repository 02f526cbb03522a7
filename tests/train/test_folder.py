import json
from pathlib import Path

from sorakit.train.folder import settle


def test_a_settled_folder_can_be_given_away(tmp_path: Path) -> None:
    part = tmp_path / "transformer"
    part.mkdir(mode=0o700)
    (part / "config.json").write_text(json.dumps({"width": 8, "_name_or_path": "/home/someone/model"}))
    (part / "weights.safetensors").write_bytes(b"")
    (part / "weights.safetensors").chmod(0o600)
    settle(tmp_path)
    assert json.loads((part / "config.json").read_bytes()) == {"width": 8}
    assert part.stat().st_mode & 0o777 == 0o755
    assert (part / "weights.safetensors").stat().st_mode & 0o777 == 0o644


def test_what_else_lies_in_the_folder_stays_private(tmp_path: Path) -> None:
    (tmp_path / "sorakit.json").write_text("{}")
    (tmp_path / "keys").mkdir(mode=0o700)
    for name in ("secret.pem", "keys/config.json"):
        (tmp_path / name).write_text('{"_name_or_path": "mine"}')
        (tmp_path / name).chmod(0o600)
    settle(tmp_path)
    assert (tmp_path / "sorakit.json").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    for name in ("secret.pem", "keys/config.json"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        assert "mine" in (tmp_path / name).read_text()
