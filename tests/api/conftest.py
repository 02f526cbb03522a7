import base64
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from sorakit.api.app import create_app
from sorakit.api.limits import Limits
from sorakit.registry.record import Record
from sorakit.registry.repo import Registry

MARK = "io.github.sorakit.lattice.1"


def superbox(label: str, *inner: bytes) -> bytes:
    """A JUMBF superbox."""
    description = bytes(16) + b"\x03" + label.encode() + b"\0"
    body = struct.pack(">I4s", 8 + len(description), b"jumd") + description + b"".join(inner)
    return struct.pack(">I4s", 8 + len(body), b"jumb") + body


def value(payload: str) -> str:
    """What a query sends for a payload in hex."""
    return base64.b64encode(bytes.fromhex(payload)).decode()


def add(registry: Registry, name: str, payload: str, *, confirm: bool = True, **fields: Any) -> Record:
    """A row, published unless told otherwise."""
    store = superbox("c2pa", superbox("urn:c2pa:parent"), superbox(name))
    fields = {"store": store, "file_sha256": "0" * 64, "title": "private name.mp4"} | fields
    row = Record(name, bindings=((MARK, payload),), **fields)
    registry.add_pending(row)
    if confirm:
        registry.confirm(name)
    return row


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A registry with two published manifests under one mark, and one that waits."""
    found = f"sqlite:///{tmp_path / 'home' / 'registry.db'}"
    with Registry(found) as registry:
        add(registry, "urn:c2pa:1", "1f00000000000001")
        add(registry, "urn:c2pa:2", "1f00000000000001")
        add(registry, "urn:c2pa:waiting", "1f00000000000001", confirm=False)
    return found


@pytest.fixture
def client(url: str, tmp_path: Path) -> Iterator[Callable[..., TestClient]]:
    """`client(**limits)`: a caller of the application over that registry."""
    with Registry(url, read_only=True) as registry:

        def make(**limits: Any) -> TestClient:
            app = create_app(registry, limits=Limits(**limits))
            return TestClient(app, base_url="http://127.0.0.1:8321", raise_server_exceptions=False)

        yield make


@pytest.fixture
def ask() -> Callable[[str], str]:
    """`value`, as a fixture."""
    return value


@pytest.fixture
def box() -> Callable[..., bytes]:
    """`superbox`, as a fixture."""
    return superbox
