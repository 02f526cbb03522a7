"""Where a resolver may stand: an address that cannot be turned against this machine's own net.

In: a URL that the user gave. Out: its parts, and one address of its host that was looked at. The connection
is then made to that very address, so that a name cannot lead elsewhere in between.
"""

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from sorakit.errors import RegistryError, UsageError

__all__ = ["Place", "is_loopback", "parse_url", "vetted"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Place:
    """A resolver's base address. `loopback`: it names this very machine."""

    url: str
    host: str
    port: int
    path: str
    secure: bool
    loopback: bool

    @property
    def name(self) -> str:
        """Host and port as the `Host` header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def parse_url(url: str) -> Place:
    """Raises `UsageError` unless `url` is HTTPS, or HTTP to this machine, without user, query or fragment.

    >>> parse_url("https://c2pa.example.org/v1/").path
    '/v1'
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as e:
        raise UsageError(f"a resolver must be a URL, got {url!r:.200}: {e}") from e
    loopback = is_loopback(host)
    secure = parts.scheme == "https"
    plain = parts.scheme == "http" and loopback
    odd = parts.username or parts.password or parts.query or parts.fragment or not host or not url.isascii()
    if odd or not (secure or plain) or any(c.isspace() for c in url):
        raise UsageError(
            f"a resolver must be https://HOST/PATH, or http:// on this machine (127.0.0.1), got {url!r:.200}"
        )
    default = 443 if secure else 80
    return Place(url, host, default if port is None else port, parts.path.rstrip("/"), secure, loopback)


def vetted(place: Place, *, private: bool) -> str:
    """One of the host's addresses: a public one, unless the address itself says this machine."""
    found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    addresses = [_plain(ipaddress.ip_address(str(entry[4][0]).split("%")[0])) for entry in found]
    for a in addresses:
        fits = a.is_loopback if place.loopback else a.is_global and not a.is_multicast
        if not fits and not (private and a.is_private and not (a.is_loopback or a.is_link_local)):
            raise RegistryError(
                f"the resolver {place.url} leads to {a}, an address that is not public; "
                "set SORAKIT_RESOLVER_PRIVATE=1 if it stands in your own net"
            )
    # of loopback's two, the older one: it is what `sorakit serve` listens on
    return str(min(addresses, key=lambda a: a.version) if place.loopback else addresses[0])


def _plain(address: Address) -> Address:
    """An IPv4 address in IPv6 clothes counts as what it is."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_loopback(host: str) -> bool:
    """Whether `host` says this very machine; no name is looked up.

    >>> is_loopback("::1"), is_loopback("127.0.0.1.example.org")
    (True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
