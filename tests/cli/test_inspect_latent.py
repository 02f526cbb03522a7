"""The size that a clip was drawn in comes from its own credential."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sorakit.cli.inspect_latent import stated_size
from sorakit.publish import publish
from sorakit.types import Generation


@pytest.fixture
def made(way: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.setenv("SORAKIT_HOME", str(way.settings.home))

    def make(name: str, **parameters: object) -> Path:
        about = Generation("wan", "1", parameters=parameters)
        clip = replace(way.clip(1), generation=about)
        return publish(clip, way.out / name, settings=way.settings).path

    return make


def test_a_credential_states_the_size(made: Callable[..., Path]) -> None:
    assert stated_size(made("a.mp4", height=32, width=48)) == (32, 48)


def test_nothing_else_does(made: Callable[..., Path], way: Any, file_factory: Callable[..., Path]) -> None:
    assert stated_size(made("a.mp4", height=32)) is None
    assert stated_size(made("b.mp4", height=8, width=1 << 20)) is None
    assert stated_size(made("c.mp4", height="32", width=True)) is None
    assert stated_size(file_factory(way.tmp / "plain.mp4", way.clip(2))) is None
