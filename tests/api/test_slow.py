"""Callers who dawdle, on a real socket."""

import socket
import threading
import time

import pytest
import uvicorn

from sorakit.api.app import create_app
from sorakit.api.limits import Limits
from sorakit.registry.repo import Registry


@pytest.fixture
def port(url):
    with Registry(url, read_only=True) as registry:
        app = create_app(registry, limits=Limits(request_seconds=0.3, upload_seconds=0.3))
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="critical", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield server.servers[0].sockets[0].getsockname()[1]
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize(
    ("path", "kind"), [("/matches/byBinding", "application/json"), ("/matches/byContent", "video/mp4")]
)
def test_a_body_that_never_ends(port, path, kind):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as caller:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 100\r\n\r\n"
        )
        caller.sendall(head.encode() + b"{")
        answer = b""
        while chunk := caller.recv(4096):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert b"the body took too long" in answer
