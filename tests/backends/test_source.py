"""Where models come from, and what they say of themselves."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sorakit.backends import load_foreign
from sorakit.backends.source import find_source, licence_of
from sorakit.errors import ModelError

Copy = Callable[..., Path]


def test_nothing_is_fetched_unasked(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not in the local cache.*--download"):
        load_foreign("nobody/no-such-video-model")
    for source in ("no-such-folder", "../no/such", tmp_path / "none", "a/b/c", "https://a.b/c", "-a/b"):
        with pytest.raises(ModelError, match="no folder here, nor a hub id"):
            load_foreign(source)
    with pytest.raises(ModelError, match=r"neither sorakit\.json nor model_index\.json"):
        load_foreign(tmp_path)


def test_a_hub_id_loads_from_the_cache(copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    cache = tmp_path / "hub" / "models--owner--tiny-wan"
    shutil.copytree(copy(), cache / "snapshots" / commit)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text(commit)
    (cache / "snapshots" / commit / "README.md").write_text("---\nlicense: mit\n---\n")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for source in ("owner/tiny-wan", f"owner/tiny-wan@{commit}", cache / "snapshots" / commit):
        model = load_foreign(source)
        assert (model.name, model.version, model.licence) == ("owner/tiny-wan", commit, "mit")
    with pytest.raises(ModelError, match="local cache"):
        load_foreign("owner/tiny-wan@v2")


def test_the_version_tells_models_apart(copy: Copy) -> None:
    folder = copy()
    first = find_source(folder)
    assert find_source(folder) == first
    weights = next((folder / "vae").glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    assert find_source(folder).version != first.version


@pytest.mark.parametrize(
    ("files", "licence"),
    [
        ({}, "unknown"),
        ({"README.md": "# A model\nlicense: mit\n"}, "unknown"),
        ({"README.md": "---\nlicense: apache-2.0\n---\n# A model\n"}, "apache-2.0"),
        ({"README.md": "---\nlicense: [mit, apache-2.0]\n---\n"}, "mit, apache-2.0"),
        ({"README.md": "---\nlicense: other\nlicense_name: CogVideoX LICENSE\n---\n"}, "CogVideoX LICENSE"),
        ({"README.md": "---\nlicense: other\n---\n"}, "other"),
        ({"README.md": "---\nlicense: !!python/object:os.system [x]\n---\n"}, "unknown"),
        ({"README.md": "---\nlicense: 3\n---\n", "LICENSE": "MIT License\n\nCopyright"}, "MIT License"),
        (
            {"LICENSE.txt": "\n   Apache License\n   Version 2.0, January 2004\n"},
            "Apache License Version 2.0, January 2004",
        ),
        (
            {"LICENSE.md": "# STABLE VIDEO DIFFUSION COMMUNITY LICENSE\x1b[31m\n"},
            "STABLE VIDEO DIFFUSION COMMUNITY LICENSE[31m",
        ),
        ({"LICENSE": ""}, "unknown"),
    ],
    ids=str,
)
def test_the_licence_is_what_the_files_say(files: dict[str, str], licence: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    found = licence_of(tmp_path)
    assert found.isprintable()
    assert found == licence
