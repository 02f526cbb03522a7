"""The real program on bad input: one line that says what and what to do, quickly, and nothing left behind."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sorakit.config import Settings
from sorakit.world.caption import EXAMPLE

KIT = (sys.executable, "-P", "-c", "from sorakit.cli import main; main()")
CPU_SECONDS, WALL_SECONDS = 2.0, 10.0
"""Processor time bounds what a hostile file can cost; the clock may run on while the machine is busy."""
STARTS = 4
"""Where the processor is slow or busy: how often it could load the libraries instead, at that moment."""
LOAD = (sys.executable, "-c", "import av, c2pa, cv2, numpy, sqlalchemy.orm")


@dataclass(frozen=True)
class Answer:
    """What one run of the program gave and took; `cpu` in seconds of a processor that is not slow."""

    code: int
    out: str
    err: str
    cpu: float
    wall: float


@pytest.fixture
def kit(way: Any) -> Callable[..., Answer]:
    """`kit("check", path, …)`: run the program in an empty folder with a home of its own."""

    def run(*args: object, limit: int | None = None) -> Answer:
        answer = once(*args, limit=limit)
        if answer.code == 0 or answer.cpu < CPU_SECONDS:
            return answer
        answer = once(*args, limit=limit)  # cold files cost time too
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(LOAD, check=True)
        pace = STARTS * _spent(before) / CPU_SECONDS
        return replace(answer, cpu=answer.cpu / max(1.0, pace))

    def once(*args: object, limit: int | None = None) -> Answer:
        env = {k: v for k, v in os.environ.items() if not k.startswith("SORAKIT_")}
        env |= {"SORAKIT_HOME": str(way.settings.home), "SORAKIT_PRESET": "ultrafast", "COLUMNS": "200"}

        def bound() -> None:
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(
            [*KIT, *map(str, args)],
            capture_output=True,
            text=True,
            env=env,
            cwd=way.out,
            timeout=120,
            check=False,
            preexec_fn=bound,
        )
        wall = time.monotonic() - start
        return Answer(done.returncode, done.stdout, done.stderr, _spent(before), wall)

    return run


def _spent(before: resource.struct_rusage) -> float:
    """Processor seconds of the children that ended since `before`."""
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def bomb(path: Path) -> None:
    """320 KB of 40,000 empty boxes, on which a C2PA reader spends 16 s."""
    path.write_bytes(b"\0\0\0\x14ftypisom\0\0\0\0isom" + b"\0\0\0\x08free" * 40_000 + b"\0\0\0\x08moov")


def zero_frames(path: Path) -> None:
    """An MP4 with a video track and no picture in it."""
    import av  # noqa: PLC0415

    with av.open(path, "w") as box:
        stream = box.add_stream("libx264", rate=24, width=320, height=256)
        stream.pix_fmt = "yuv420p"
        box.start_encoding()


def sound_only(path: Path) -> None:
    """An MP4 with nothing but sound."""
    import av  # noqa: PLC0415

    with av.open(path, "w") as box:
        stream = box.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        box.mux(stream.encode(frame))
        box.mux(stream.encode(None))


def cut(whole: Path, path: Path, share: float) -> None:
    path.write_bytes(whole.read_bytes()[: round(share * whole.stat().st_size)])


def picture(path: Path) -> None:
    import cv2  # noqa: PLC0415

    cv2.imwrite(str(path), np.full((64, 64, 3), 90, np.uint8))


BAD: dict[str, tuple[str, Callable[[Path, Any], object], str]] = {
    "empty": ("a.mp4", lambda p, _: p.touch(), "empty"),
    "text": ("a.mp4", lambda p, _: p.write_text("hello\n" * 100), "text file"),
    "zeros": ("a.mp4", lambda p, _: p.write_bytes(bytes(5000)), "zero bytes"),
    "noise": ("a.mp4", lambda p, _: p.write_bytes(np.random.default_rng(1).bytes(9000)), "unknown kind"),
    "cut before its index": ("a.mp4", lambda p, way: cut(late_index(way), p, 0.5), "cut off"),
    "bomb": ("a.mp4", lambda p, _: bomb(p), "boxes"),
    "zero frames": ("a.mp4", lambda p, _: zero_frames(p), ""),
    "sound only": ("a.mp4", lambda p, _: sound_only(p), "no picture"),
    "ftyp alone": ("a.mp4", lambda p, _: p.write_bytes(b"\0\0\0\x14ftypisom\0\0\0\0isom"), "moov"),
    "huge box": (
        "a.mp4",
        lambda p, _: p.write_bytes(b"\0\0\0\x14ftypisom\0\0\0\0isom\xff\xff\xff\xffmoov"),
        "",
    ),
    "wav": ("a.wav", lambda p, _: p.write_bytes(b"RIFF\x24\0\0\0WAVEfmt " + bytes(40)), "sound without"),
    "missing": ("none.mp4", lambda p, _: None, "no such file"),
    "folder": ("a.mp4", lambda p, _: p.mkdir(), "folder"),
    "pipe": ("a.mp4", lambda p, _: os.mkfifo(p), "pipe"),
    "device": ("/dev/zero", lambda p, _: None, "device"),
    "odd name": ("a [b]\n\x1b[31m.mp4", lambda p, _: p.touch(), "empty"),
    "name like an option": ("-a.mp4", lambda p, _: p.touch(), "empty"),
}


def late_index(way: Any) -> Path:
    """A video whose index stands at its end, as cameras write it."""
    return way.file(name="whole.mp4")  # type: ignore[no-any-return]


def assert_told(answer: Answer, code: int, says: str) -> None:
    lines = [line for line in answer.err.splitlines() if line.strip()]
    assert answer.code == code, answer
    assert len(lines) == 1, answer.err
    assert lines[0].startswith("error: "), answer.err
    assert says in lines[0], answer.err
    assert not {c for c in lines[0] if not c.isprintable()}, answer.err
    assert "Traceback" not in answer.err
    assert answer.cpu < CPU_SECONDS, answer
    assert answer.wall < WALL_SECONDS, answer


@pytest.mark.parametrize("command", ["check", "mark"])
@pytest.mark.parametrize("name", BAD)
def test_bad_files(name: str, command: str, kit: Callable[..., Answer], way: Any) -> None:
    file, make, says = BAD[name]
    if name == "device" and not Path(file).exists():
        pytest.skip("no /dev/zero here")
    folder = way.tmp / "bad"
    folder.mkdir()
    path = folder / file
    make(path, way)
    options = ("-o", way.out / "o.mp4") if command == "mark" else ("--json",)
    answer = kit(command, *options, "--", path)
    assert_told(answer, 1, says)
    if command == "check":
        verdict = json.loads(answer.out)
        assert (verdict["file"], verdict["decision"]) == (str(path), "error")
        assert len(verdict["reasons"]) == 1
    else:
        assert answer.out == ""
    way.assert_nothing_left()


def test_a_picture_cannot_be_marked(kit: Callable[..., Answer], way: Any) -> None:
    picture(way.tmp / "a.png")
    assert_told(kit("mark", way.tmp / "a.png", "-o", "o.mp4"), 1, "image")
    way.assert_nothing_left()


def test_a_video_cut_in_its_pictures_is_no_crash(kit: Callable[..., Answer], way: Any) -> None:
    """With its index in front, what is there can be read: whatever comes out, it is whole or an error."""
    whole = way.publish(way.clip(), "whole.mp4").path
    cut(whole, way.tmp / "cut.mp4", 0.6)
    answer = kit("check", way.tmp / "cut.mp4", "--json")
    assert json.loads(answer.out)["decision"] in ("tampered", "error")
    assert answer.code in (1, 4)
    assert "Traceback" not in answer.err
    answer = kit("mark", way.tmp / "cut.mp4", "-o", "o.mp4")
    assert answer.code in (0, 1)
    assert "Traceback" not in answer.err
    assert (way.out / "o.mp4").exists() == (answer.code == 0)


def test_no_permission_to_read(kit: Callable[..., Answer], way: Any) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = way.file()
    path.chmod(0)
    for command in (("check", path), ("mark", path, "-o", "o.mp4")):
        assert_told(kit(*command), 1, "permission")
    way.assert_nothing_left()


def test_a_full_disk(kit: Callable[..., Answer], way: Any) -> None:
    answer = kit("mark", way.file(), "-o", "o.mp4", limit=20_000)
    lines = answer.err.strip().splitlines()
    assert (answer.code, len(lines)) == (1, 1), answer
    assert "space" in lines[0]
    way.assert_nothing_left()


def test_no_identity(kit: Callable[..., Answer], way: Any) -> None:
    shutil.rmtree(way.settings.keys_dir)
    assert_told(kit("mark", way.file(), "-o", "o.mp4"), 1, "sorakit keys dev")
    assert_told(kit("check", way.file(), "--trust", "dev"), 2, "sorakit keys dev")
    way.assert_nothing_left()


@pytest.mark.parametrize(
    "args",
    [
        ("check",),
        ("check", "a.mp4", "--fail-above", "2"),
        ("check", "a.mp4", "--no-such-option"),
        ("check", "a.mp4", "--trust", "no-such-file.pem"),
        ("mark", "a.mp4"),
        ("mark", "a.mp4", "-o", "o.mp4", "--source-type", "camera"),
        ("mark", "a.mp4", "-o", "o.avi"),
        ("no-such-command",),
        ("generate", "x", "-o", "o.mp4", "--seed", "-1"),
        ("generate", EXAMPLE, "-o", "o.mp4", "--solver", "rk4"),
        ("generate", EXAMPLE, "-o", "o.mp4", "--dtype", "int8"),
        ("generate", EXAMPLE, "-o", "o.mp4", "--model", ".", "--solver", "dpm"),
    ],
    ids=" ".join,
)
def test_usage_errors(args: tuple[str, ...], kit: Callable[..., Answer], way: Any) -> None:
    answer = kit(*args)
    assert answer.code == 2, answer
    assert answer.err.strip()
    assert answer.out == ""
    assert "Traceback" not in answer.err
    way.assert_nothing_left()


@pytest.mark.parametrize(
    "args",
    [("check", "a.mp4"), ("mark", "a.mp4", "-o", "o.mp4"), ("keys", "show"), ("doctor",)],
    ids=" ".join,
)
def test_settings_that_cannot_be(
    args: tuple[str, ...], kit: Callable[..., Answer], way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", os.environ | {})
    real = subprocess.run

    def with_bad_setting(*a: Any, env: dict[str, str], **k: Any) -> Any:
        return real(*a, env=env | {"SORAKIT_CRF": "ninety"}, **k)

    monkeypatch.setattr(subprocess, "run", with_bad_setting)
    answer = kit(*args)
    assert_told(answer, 2, "SORAKIT_CRF")
    way.assert_nothing_left()


# the good side


def _commands() -> list[tuple[str, ...]]:
    """Every command and subcommand there is."""
    import typer.main  # noqa: PLC0415

    from sorakit.cli import app  # noqa: PLC0415

    top = typer.main.get_command(app)
    found: list[tuple[str, ...]] = []
    waiting = [((name,), command) for name, command in top.commands.items()]  # type: ignore[attr-defined]
    for path, command in waiting:
        inner = getattr(command, "commands", None)
        if inner:
            waiting += [((*path, sub), inner[sub]) for sub in inner]
        else:
            found.append(path)
    return sorted(found)


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_help_has_an_example(command: tuple[str, ...], kit: Callable[..., Answer]) -> None:
    answer = kit(*command, "--help")
    assert answer.code == 0
    assert "Example" in answer.out
    assert f"sorakit {' '.join(command)}" in answer.out.split("Example", 1)[1]
    assert answer.cpu < CPU_SECONDS


def test_json_is_alone_on_stdout(kit: Callable[..., Answer], way: Any) -> None:
    marked = kit("mark", way.file(), "-o", "o.mp4", "--json")
    assert marked.code == 0, marked.err
    told = json.loads(marked.out)
    assert marked.out.count("\n") == 1
    checked = kit("check", "o.mp4", way.file(name="plain.mp4"), "missing.mp4", "--json", "--trust", "dev")
    verdicts = [json.loads(line) for line in checked.out.splitlines()]
    assert [v["decision"] for v in verdicts] == ["ai_declared", "no_evidence", "error"]
    assert (verdicts[0]["sha256"], verdicts[0]["watermark"]["payload"]) == (told["sha256"], told["payload"])
    assert checked.code == 1
    human = kit("check", "o.mp4", "--trust", "dev")
    assert (human.code, human.out) == (0, "")
    assert "ai_declared" in human.err
    assert kit("check", "o.mp4").code == 5
    assert kit("check", way.tmp / "plain.mp4").code == 3


def test_a_name_that_is_no_utf8_is_json_all_the_same(kit: Callable[..., Answer], way: Any) -> None:
    (way.out / "bad\udcff.mp4").touch()
    told = json.loads(kit("check", "bad\udcff.mp4", "--json").out)
    assert (told["file"], told["decision"]) == ("bad\udcff.mp4", "error")


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_stopping_leaves_nothing(sign: signal.Signals, way: Any) -> None:
    source = way.file(seconds=20)
    env = os.environ | {"SORAKIT_HOME": str(way.settings.home), "SORAKIT_PRESET": "medium"}
    with subprocess.Popen(
        [*KIT, "mark", str(source), "-o", "o.mp4"], cwd=way.out, env=env, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 60
        while not list(way.out.glob(".sorakit-*/.marked*")) and time.monotonic() < deadline:
            assert process.poll() is None, "it ended before it could be stopped"
            time.sleep(0.02)
        process.send_signal(sign)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    way.assert_nothing_left()


def test_settings_reach_the_program(way: Any) -> None:
    """The fixture's home is the program's home, so the tests above do not touch the user's."""
    assert Settings(home=way.settings.home).keys_dir.is_relative_to(way.tmp)
