"""No test may reach beyond this machine: connections and look-ups of names are refused and counted.

Loopback is allowed. Python's own sockets are guarded by an audit hook, which no code can take off again;
children in Python get the same through `sitecustomize` in the folder `guards`. What native code does is seen
by `connections_abroad`, which reads the kernel's tables.
"""

import ipaddress
import os
import socket
import sys
from pathlib import Path

__all__ = ["GUARDS", "connections_abroad", "guard", "is_local"]

GUARDS = Path(__file__).parent / "guards"
_LOCAL = ("127.", "::1", "localhost", "0.0.0.0", "::", "")  # noqa: S104 - what a server binds to, not a target


def is_local(host: object) -> bool:
    """Whether `host` is this machine."""
    text = host.decode() if isinstance(host, bytes) else "" if host is None else str(host)
    text = text.removeprefix("::ffff:")
    return text.startswith("127.") or text in _LOCAL or text == socket.gethostname()


def _is_number(host: object) -> bool:
    try:
        ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host))
    except ValueError:
        return False
    return True


def guard(log: Path) -> None:
    """From now on refuse to leave this machine, and write each attempt to `log`."""

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event not in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"):
            return
        target = arguments[0] if event in ("socket.getaddrinfo", "socket.gethostbyname") else arguments[1]
        host = target[0] if isinstance(target, tuple) and target else target
        unix = event in ("socket.connect", "socket.sendto") and not isinstance(target, tuple)
        if unix or is_local(host) or (event == "socket.getaddrinfo" and _is_number(host)):
            return  # an address in numbers is not looked up anywhere
        with log.open("a") as f:
            f.write(f"{os.getpid()} {event} {host!r} {sys.argv[:2]}\n")
        raise PermissionError(f"tests may not reach beyond this machine, got {event} to {host!r}")

    sys.addaudithook(hook)


def connections_abroad(pid: int) -> list[str]:
    """Remote ends of a process's TCP and UDP sockets that are not this machine (Linux), native code's too."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            name = str(entry.readlink())
        except OSError:
            continue
        if name.startswith("socket:["):
            inodes.add(name[8:-1])
    found = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        path = Path(f"/proc/{pid}/net/{table}")
        for line in path.read_text().splitlines()[1:] if path.exists() else []:
            parts = line.split()
            address, _, port = parts[2].partition(":")
            if parts[9] in inodes and port != "0000" and not is_local(_plain(address)):
                found.append(f"{table} {_plain(address)}:{int(port, 16)}")
    return found


def _plain(address: str) -> str:
    """The kernel's hexadecimal words, each in this machine's order, as an address."""
    words = [int(address[i : i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(address), 8)]
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, b"".join(words))
