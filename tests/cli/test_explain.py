"""`sorakit explain` in words and in JSON, on a file of ours, on a bare one and on none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sorakit.cli.app import app
from sorakit.errors import InputError

RUN = CliRunner()


@pytest.fixture
def home(way: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SORAKIT_HOME", str(way.settings.home))
    monkeypatch.setenv("SORAKIT_PRESET", "ultrafast")
    return way


def test_a_labelled_file_is_explained(home: Any) -> None:
    done = home.publish(home.clip(), labels="eu,cn,ca")
    told = RUN.invoke(app, ["explain", str(done.path)])
    assert told.exit_code == 0, told.output
    assert "European Union  7 of 8 met" in told.stderr
    assert "AI生成 was drawn for 2 s" in told.stderr
    assert "To do: sign with a time-stamping service" in told.stderr
    assert "not legal advice" in told.stderr
    found = json.loads(RUN.invoke(app, ["explain", str(done.path), "--json", "--law", "ca"]).stdout)
    assert set(found["duties"]) == {"ca"}
    assert {d["met"] for d in found["duties"]["ca"]} == {True}
    checked = home.check(done.path).to_json()["labels"]["duties"]
    assert checked["ca"] == found["duties"]["ca"]


def test_a_bare_file_meets_nothing_and_hears_what_to_do(home: Any, file_factory: Callable[..., Path]) -> None:
    told = RUN.invoke(app, ["explain", str(home.file())])
    assert told.exit_code == 0, told.output
    assert "California  0 of 7 met" in told.stderr
    assert "sorakit mark" in told.stderr


def test_no_file_is_an_error(home: Any) -> None:
    told = RUN.invoke(app, ["explain", "missing.mp4"])
    assert isinstance(told.exception, InputError)
