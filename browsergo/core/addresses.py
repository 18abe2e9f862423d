"""The addresses of edges, browsers and services, as people write them: refused before anything is dialed. Pure."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

BROWSER_URL_FORM = (
    "http://HOST:PORT (a name, an IPv4 address or an [IPv6] address; the port is 9222 if left out; no path, no https)"
    " of a browser started with --remote-debugging-port"
)
EDGE_URL_FORM = "ws://HOST:PORT or wss://HOST:PORT, with a path in front of /v2 if there is one"

GRPC_ADDRESS_FORM = "HOST:PORT (a name, an IPv4 address or an [IPv6] address) or unix:/PATH, of at most 107 bytes"

# How the machine that somebody is on names itself in a Host header.
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

_NAME = re.compile(r"(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?\Z")
_NAME_MAX = 253
_UNIX = "unix:/"
_SOCKET_PATH_MAX = 107  # bytes, in sockaddr_un of Linux with the closing zero


def is_edge_url(url: str) -> bool:
    """Whether `url` is an edge's, without anything secret in it."""
    return _split(url, ("ws", "wss")) is not None


def is_browser_url(url: str) -> bool:
    """Whether `url` is that of a browser's debugging port: a path would name something else than the port."""
    parts = _split(url, ("http",))
    return parts is not None and parts.path in {"", "/"}


def is_grpc_address(address: str) -> bool:
    """Whether a service can be dialed there; text without a scheme, but for that of unix sockets."""
    if address.startswith(_UNIX):
        path = address.removeprefix("unix:")
        return path.isprintable() and len(path.encode(errors="surrogateescape")) <= _SOCKET_PATH_MAX
    parts = _split(f"grpc://{address}", ("grpc",))
    return parts is not None and parts.port is not None and not parts.path


def _split(url: str, schemes: tuple[str, ...]) -> SplitResult | None:
    """The parts of SCHEME://HOST[:PORT][/PATH]; None for anything else, or more."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    extra = parts.query or parts.fragment or parts.username is not None
    fits = parts.scheme in schemes and _is_host(parts.hostname or "") and port != 0 and not extra
    return parts if fits else None


def _is_host(host: str) -> bool:
    if ":" not in host:
        return len(host) <= _NAME_MAX and _NAME.match(host) is not None
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
