"""`sorakit serve` as a process: starts, answers, ends; says in one line why it cannot."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sorakit.registry.repo import Registry

TOKEN = "a token of many characters".replace(" ", "-")
CODE = "import sys; sys.argv[0] = 'sorakit'; from sorakit.cli import main; main()"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with an empty registry."""
    with Registry(f"sqlite:///{tmp_path}/home/registry.db"):
        pass
    return tmp_path / "home"


@pytest.fixture
def served(home: Path) -> Iterator[tuple[str, Any]]:
    """(address, process) of a server that asks for a token."""
    secret = home / "token"
    secret.write_text(TOKEN + "\n")
    secret.chmod(0o600)
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, "serve", "--port", "0", "--token-file", str(secret)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"SORAKIT_HOME": str(home)},
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found, line + process.stderr.read()
    try:
        yield found[0], process
    finally:
        process.kill()
        process.communicate()


def get(url: str, **headers: str) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:  # noqa: S310
        return json.load(answer)


def test_it_starts_answers_and_ends(served: tuple[str, Any]) -> None:
    url, process = served
    assert get(f"{url}/health") == {"status": "ok"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        get(f"{url}/services/supportedAlgorithms")
    assert refused.value.code == 401
    refused.value.close()
    said = get(f"{url}/services/supportedAlgorithms", Authorization=f"Bearer {TOKEN}")
    assert said["watermarks"][0]["alg"] == "io.github.sorakit.lattice.1"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (out, "Traceback" in err) == ("", False), err
    assert process.returncode in (0, 130, -signal.SIGINT)


def test_a_resolver_that_cannot_be_one_is_a_usage_error(run_python: Any) -> None:
    done = run_python(CODE, "check", "x.mp4", "--resolver", "http://example.org")
    assert done.returncode == 2 and "https://" in done.stderr, done.stderr


def test_why_it_cannot(run_python: Any, home: Path, tmp_path: Path) -> None:
    def serve(*args: str, at: Path = home) -> str:
        done = run_python(CODE, "serve", *args, home=at)
        assert done.returncode in (1, 2) and done.stderr.count("\n") == 1, done.stderr
        return str(done.stderr)

    assert "no registry yet" in serve(at=tmp_path / "empty")
    assert not (tmp_path / "empty").exists()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "cannot listen" in serve("--port", str(taken.getsockname()[1]))
    assert "cannot listen" in serve("--host", "a..b")
    assert "without port" in serve("--name", "c2pa.example.org:443")
    assert "host name" in serve("--name", "*foo")
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o644)
    assert "0600" in serve("--token-file", str(tmp_path / "token"))
    (tmp_path / "token").chmod(0o600)
    (tmp_path / "token").write_text("short")
    assert "16 to 512" in serve("--token-file", str(tmp_path / "token"))
