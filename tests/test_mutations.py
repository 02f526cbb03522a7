"""A small run of the benchmark that breaks files: none may crash a reader, stall it, or stay trusted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured through /proc")
def test_a_hundred_broken_files_break_no_bound():
    script = ROOT / "benchmarks" / "mutate_files.py"
    command = [sys.executable, script, "--files", "103", "--whole", "3", "--seed", "9"]
    path = os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])
    env = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False, env=env)
    assert "broke a bound: 0 of 103" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
