"""Under which addresses people and clients reach this edge, and its device origin. Pure.

The device origin serves what a device supplies for people to look at (its Chrome's DevTools front end). By another port
or another host name it is an origin of its own, so that a hostile browser never scripts pages of the edge's origin.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from edge.core.forwarding import Arrival

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Addresses:
    """`public_url` and `device_origin_url` are configured, "" if not; `device_origin_port` 0: there is no such port."""

    public_url: str = ""
    device_origin_url: str = ""
    device_origin_port: int = 0

    def edge(self, arrival: Arrival) -> str:
        """`http(s)://AUTHORITY` for URLs that lead back here: as configured, else as the client spelled it."""
        return self.public_url or f"{arrival.scheme}://{arrival.hosts[0]}"

    def device_origin(self, arrival: Arrival) -> str:
        """`http(s)://AUTHORITY` of the device origin; "" if there is none."""
        if self.device_origin_url:
            return self.device_origin_url
        if not self.device_origin_port:
            return ""
        name = urlsplit(f"//{arrival.hosts[0]}").hostname or ""
        return f"{arrival.scheme}://{f'[{name}]' if ':' in name else name}:{self.device_origin_port}"

    def shares_port(self, arrival: Arrival) -> bool:
        """Whether a request at the edge's own port is for the device origin, which is told apart by its host name."""
        if not self.device_origin_url or self.device_origin_port or len(arrival.hosts) != 1:
            return False
        return _authority(f"{arrival.scheme}://{arrival.hosts[0]}") == _authority(self.device_origin_url)

    def is_device_origin(self, origin: str, arrival: Arrival) -> bool:
        """Whether an Origin header names the device origin at which the request came in."""
        named = _authority(origin)
        own = (f"{arrival.scheme}://{arrival.hosts[0]}", self.device_origin_url)
        return named is not None and any(named == _authority(url) for url in own)


def _authority(url: str) -> tuple[str, str, int] | None:
    """What makes an origin (RFC 6454): scheme, host, port. None for what is no origin."""
    try:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname and parts.scheme in _DEFAULT_PORTS else None


def websocket_url(base: str) -> str:
    """`ws(s)://AUTHORITY` of `http(s)://AUTHORITY`."""
    return "ws" + base.removeprefix("http")
