"""Loaded by every Python child of a test: the same guard against reaching beyond this machine."""

import importlib.util
import os
from pathlib import Path

if log := os.environ.get("SORAKIT_TEST_NETWORK_LOG"):
    spec = importlib.util.spec_from_file_location("_network", Path(__file__).parent.parent / "network.py")
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.guard(Path(log))
