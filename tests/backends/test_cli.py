"""The real program with a model of diffusers: what it writes, and one line for what it refuses."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image

from sorakit.watermark.keyring import new_key

KIT = (sys.executable, "-P", "-c", "from sorakit.cli import main; main()")
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def kit(way: Any) -> Run:
    """`kit("generate", …)`: run the program with the fixture's home, and an empty hub cache."""

    def run(*args: object) -> "subprocess.CompletedProcess[str]":
        env = {k: v for k, v in os.environ.items() if not k.startswith(("SORAKIT_", "HF_"))}
        env |= {"SORAKIT_HOME": str(way.settings.home), "SORAKIT_PRESET": "ultrafast", "COLUMNS": "200"}
        env |= {"HF_HOME": str(way.tmp / "hub"), "OMP_NUM_THREADS": "1"}
        env |= {"HF_ENDPOINT": os.environ.get("TEST_HUB", "http://127.0.0.1:9")}
        command = [*KIT, *map(str, args)]
        return subprocess.run(
            command, capture_output=True, text=True, env=env, cwd=way.out, timeout=240, check=False
        )

    return run


@pytest.mark.slow
def test_a_foreign_model_publishes(family: Callable[[str], Path], kit: Run, way: Any) -> None:
    options = ("--frames", 17, "--height", 32, "--width", 48, "--steps", 2, "--seed", 5, "--json")
    done = kit("generate", "a red circle", "-o", "a.mp4", "--model", family("wan"), *options)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    verdict = way.check(way.out / "a.mp4")
    said = verdict.evidence.provenance.generation
    assert said["model"]["name"] == "wan"
    assert said["model"]["licence"] == "unknown"
    assert (said["seed"], said["parameters"]["width"]) == ("5", 48)
    assert verdict.evidence.watermark.payload == told["payload"]
    assert verdict.evidence.sha256 == told["sha256"]


@pytest.mark.slow
def test_the_noise_is_marked_and_read(family: Callable[[str], Path], kit: Run, way: Any) -> None:
    key = new_key(way.settings.keys_dir)
    options = ("--frames", 17, "--height", 32, "--width", 48, "--steps", 2, "--seed", 5, "--latent-mark")
    done = kit("generate", "a red circle", "-o", "a.mp4", "--model", family("wan"), *options, "--json")
    assert done.returncode == 0, done.stderr
    assert "not read back" not in done.stderr
    given = ("--prompt", "a red circle", "--seed", 5, "--steps", 2, "--height", 32, "--width", 48)
    read = kit("inspect-latent", "a.mp4", "--model", family("wan"), *given, "--json")
    assert read.returncode == 0, read.stderr
    said = json.loads(read.stdout)
    assert said["algorithm"] == "io.github.sorakit.latent.1"
    assert said["found"] is (said["log10_p"] <= -9)
    assert key.secret.hex() not in done.stdout + done.stderr + read.stdout + read.stderr
    unsized = kit("inspect-latent", "a.mp4", "--model", family("wan"), *given[:6], "--json")
    assert json.loads(unsized.stdout) == said  # its credential states the size


@pytest.mark.slow
def test_a_picture_becomes_a_video(family: Callable[[str], Path], kit: Run, way: Any) -> None:
    Image.new("RGB", (64, 48), (200, 60, 40)).save(way.out / "cat.png")
    options = ("--frames", 8, "--height", 32, "--width", 64, "--steps", 2, "--image", "cat.png")
    done = kit("generate", "", "-o", "a.mp4", "--model", family("svd"), *options)
    assert done.returncode == 0, done.stderr
    said = way.check(way.out / "a.mp4").evidence.provenance.generation
    assert said["parameters"]["image"].startswith("sha256:")
    assert "promptDigest" not in said


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("--model", "nobody/none"), 1, "add --download"),
        (("--model", "nodir"), 1, "no folder here"),
        (("--offload", "model", "--download"), 2, "--offload, --download: for models of diffusers only"),
        (("--negative-prompt", "x"), 2, "--negative-prompt: for models"),
        ((), 2, "does not know “cat”"),
    ],
    ids=str,
)
def test_what_is_refused(args: tuple[str, ...], code: int, says: str, kit: Run, way: Any) -> None:
    done = kit("generate", "a cat", "-o", "a.mp4", *args)
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
    way.assert_nothing_left()


COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as a client asks for: one model, its files and their list."""

    folder: Path
    served: list[str]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        names = sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())
        if path.startswith("/api/models/owner/tiny/tree/"):
            files = [(n, (self.folder / n).stat().st_size) for n in names]
            self.answer([{"type": "file", "path": n, "size": s, "oid": "0" * 40} for n, s in files])
        elif path.startswith("/api/models/owner/tiny"):
            self.answer({"id": "owner/tiny", "sha": COMMIT, "siblings": [{"rfilename": n} for n in names]})
        elif (name := path.partition(f"/owner/tiny/resolve/{COMMIT}/")[2]) in names or (
            name := path.partition("/owner/tiny/resolve/main/")[2]
        ) in names:
            if self.command == "GET":
                self.served.append(name)
            self.send((self.folder / name).read_bytes())
        else:
            self.send_error(404)

    def answer(self, value: object) -> None:
        self.send(json.dumps(value).encode())

    def send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(copy: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    """A hub on this machine with the model `owner/tiny`, beside files that are not to be fetched."""
    Hub.folder, Hub.served = copy("wan"), []
    (Hub.folder / "README.md").write_text("---\nlicense: mit\n---\n")
    for name in (
        "all-in-one.ckpt",
        "pipeline.py",
        "vae/diffusion_pytorch_model.bin",
        "vae/a.fp16.safetensors",
    ):
        (Hub.folder / name).write_bytes(b"not wanted")
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("TEST_HUB", f"http://127.0.0.1:{server.server_port}")
        yield Hub
        server.shutdown()


@pytest.mark.slow
def test_a_hub_model_is_fetched_when_asked(hub: type[Hub], kit: Run, way: Any) -> None:
    options = ("--model", "owner/tiny", "--frames", 17, "--size", 32, "--steps", 2)
    refused = kit("generate", "a red circle", "-o", "a.mp4", *options)
    assert refused.returncode == 1
    assert "add --download" in refused.stderr
    assert hub.served == []
    done = kit("generate", "a red circle", "-o", "a.mp4", *options, "--download")
    assert done.returncode == 0, done.stderr
    said = way.check(way.out / "a.mp4").evidence.provenance.generation
    assert said["model"] == {"name": "owner/tiny", "version": COMMIT, "licence": "mit"}
    assert "model_index.json" in hub.served
    assert not [n for n in hub.served if n.endswith((".ckpt", ".py", ".bin")) or "fp16" in n]
    hub.served.clear()
    again = kit("generate", "a red circle", "-o", "b.mp4", *options)
    assert again.returncode == 0, again.stderr
    assert hub.served == []


@pytest.mark.slow
def test_a_hostile_hub_model_is_refused_before_its_weights(hub: type[Hub], kit: Run, way: Any) -> None:
    index = json.loads((hub.folder / "model_index.json").read_text())
    (hub.folder / "model_index.json").write_text(json.dumps(index | {"vae": ["evil", "Evil"]}))
    done = kit("generate", "a red circle", "-o", "a.mp4", "--model", "owner/tiny", "--download")
    assert done.returncode == 1
    assert "evil.Evil" in done.stderr
    assert hub.served == ["model_index.json"]
    way.assert_nothing_left()
