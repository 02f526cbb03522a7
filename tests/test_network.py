"""Reading a file sends nothing, not even where the file asks for it, and the guard of this suite works."""

import http.server
import io
import os
import socket
import subprocess
import sys
import threading

import pytest
from c2pa import Builder, C2paError, C2paSignerInfo, Context, Reader, Signer

from sorakit.provenance.context import safe_context
from sorakit.provenance.keys import load_identity
from sorakit.provenance.manifest import ManifestSpec, build_manifest


@pytest.fixture
def listener():
    """(address, paths asked for) of a server on this machine."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/manifest.c2pa", asked
    server.shutdown()
    server.server_close()


def test_a_manifest_on_a_server_is_not_fetched(way, listener):
    url, asked = listener
    source, out, held = way.file(seconds=1), way.out / "remote.mp4", io.BytesIO()
    identity = load_identity(way.settings.keys_dir)
    definition = build_manifest(ManifestSpec("a.mp4", "generated", "id")) | {"format": "video/mp4"}
    info = C2paSignerInfo(b"es256", identity.chain_pem, identity.key_pem, None)
    with (
        safe_context() as context,
        Signer.from_info(info) as signer,
        Builder(definition, context=context) as builder,
    ):
        builder.set_no_embed()
        builder.set_remote_url(url)
        builder.sign(signer, "video/mp4", io.BytesIO(source.read_bytes()), held)
    out.write_bytes(held.getvalue())
    verdict = way.check(out)
    assert "on a server" in str(verdict.evidence.provenance.problems)
    assert asked == []
    with Context.from_dict({}) as loose, pytest.raises(C2paError):
        Reader("video/mp4", io.BytesIO(held.getvalue()), context=loose)
    assert asked != []  # native code that does ask is heard


CONNECT = "import socket; socket.create_connection(('192.0.2.1', 9), timeout=1)"


def test_the_guard_refuses_and_counts_here_and_in_children(no_outbound):
    with pytest.raises(PermissionError, match="beyond this machine"):
        socket.create_connection(("192.0.2.1", 9), timeout=1)
    with pytest.raises(PermissionError):
        socket.getaddrinfo("example.org", 80)
    done = subprocess.run([sys.executable, "-c", CONNECT], capture_output=True, text=True, check=False)
    assert "beyond this machine" in done.stderr
    attempts = no_outbound.read_text().splitlines()
    assert len(attempts) == 3
    assert {line.split()[0] for line in attempts} > {str(os.getpid())}
    no_outbound.unlink()  # these three were meant
