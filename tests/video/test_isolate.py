import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sorakit.errors import InputError, LimitError, NotAVideoError, UsageError
from sorakit.video.guard import run_guarded

HERE = Path(__file__).parent
LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="address-space limits and parent death are Linux's"
)


@pytest.fixture(autouse=True)
def lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))


def call(name, request=None, timeout=20.0, memory=1 << 30, **more):
    return run_guarded(
        f"guardlab.targets:{name}",
        request or {},
        timeout=timeout,
        memory_bytes=memory,
        package="guardlab",
        **more,
    )


def test_result_and_progress_come_back_and_stdout_noise_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    steps = []
    answer = call("echo", {"a": [1, "ü"]}, on_progress=lambda name, share: steps.append((name, share)))
    assert answer == {"got": {"a": [1, "ü"]}, "cwd_on_path": False}
    assert steps == [("half", 0.5)]


def test_the_kits_errors_keep_their_class_and_message():
    with pytest.raises(NotAVideoError, match=r"^no picture; give another file$"):
        call("typed")


def test_a_bug_is_an_input_error_with_the_childs_traceback():
    with pytest.raises(InputError, match="KeyError") as caught:
        call("bug")
    assert "targets.py" in caught.value.__notes__[0]


def test_a_crash_is_reported_in_words():
    with pytest.raises(InputError, match=r"crash.*SIGSEGV"):
        call("crash")


def test_a_silent_exit_is_reported():
    with pytest.raises(InputError, match="exit code 3"):
        call("leave")


def test_a_result_that_is_no_dict_is_refused():
    with pytest.raises(InputError, match="must return a dict"):
        call("wrong")


def test_timeout_ends_the_child(tmp_path):
    pid_file = tmp_path / "pid"
    started = time.monotonic()
    with pytest.raises(LimitError, match=r"longer than 1\.5 s"):
        call("sleep", {"pid_file": str(pid_file)}, timeout=1.5)
    assert time.monotonic() - started < 10
    assert not alive(int(pid_file.read_text()))


@LINUX
def test_memory_is_bounded_beyond_start_up():
    assert call("eat", {"bytes": 50 << 20}, memory=400 << 20) == {"size": 50 << 20}
    with pytest.raises(LimitError, match="more than 200 MB"):
        call("eat", {"bytes": 500 << 20}, memory=200 << 20)


def test_large_requests_and_answers_pass():
    answer = call("large", {"bytes": 3 << 20, "blob": "y" * (2 << 20)})
    assert len(answer["data"]) == 3 << 20
    assert answer["echoed"] == 2 << 20


@pytest.mark.parametrize(
    "target", ["os:system", "sorakit:check", "guardlabx.targets:echo", "sorakit.a:b;c", "x"]
)
def test_only_functions_of_the_package_are_called(target):
    with pytest.raises(UsageError, match="target"):
        run_guarded(target, {}, timeout=1, memory_bytes=1 << 20)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def parent_of_sleeper(pid_file: Path) -> subprocess.Popen:
    code = (
        "import sys; from sorakit.video.guard import run_guarded\n"
        "run_guarded('guardlab.targets:sleep', {'pid_file': sys.argv[1]}, timeout=60,"
        " memory_bytes=1 << 30, package='guardlab')"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(pid_file)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not (pid_file.exists() and pid_file.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return parent


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=LINUX)])
def test_the_child_ends_with_its_parent(tmp_path, how):
    parent = parent_of_sleeper(tmp_path / "pid")
    child = int((tmp_path / "pid").read_text())
    assert alive(child)
    parent.send_signal(how)
    noise = parent.communicate(timeout=20)[1]
    assert parent.returncode != 0
    if how == signal.SIGINT:
        assert b"KeyboardInterrupt" in noise
    deadline = time.monotonic() + 5
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)
