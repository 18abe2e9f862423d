"""What proxies say of a request (`X-Forwarded-*`), believed only from addresses that are trusted. Pure."""

from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

Address = IPv4Address | IPv6Address
Headers = Callable[[str], Sequence[str]]
"""All values of a header, by its name in any case, in the order they came."""

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class Arrival(NamedTuple):
    """How a request came: the peer's address, `http` or `https`, its Host headers."""

    peer: str
    scheme: str
    hosts: tuple[str, ...]


class TrustedProxies:
    """The proxies before this edge, as addresses or networks in CIDR form. Raises ValueError for another form."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(text, strict=False) for text in networks]

    def arrival(self, direct: Arrival, headers: Headers) -> Arrival:
        """How the request came to the outermost proxy; `direct` itself unless its peer is trusted.

        Of several values the last one counts, which is the nearest proxy's own word: those before it are what that
        proxy was told. For addresses the last one counts that is no trusted proxy itself.
        """
        if not self._trusts(direct.peer):
            return direct
        host = _last(headers("x-forwarded-host"))
        scheme = _SCHEMES.get(_last(headers("x-forwarded-proto")).lower(), direct.scheme)
        return Arrival(self._peer(direct, headers), scheme, (host,) if host else direct.hosts)

    def _peer(self, direct: Arrival, headers: Headers) -> str:
        for text in reversed(_values(headers("x-forwarded-for"))):
            if not self._trusts(text):
                return text if _address(text) is not None else direct.peer
        return direct.peer

    def _trusts(self, peer: str) -> bool:
        address = _address(peer)
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> Address | None:
    """The address in `text`; one that IPv6 only carries (`::ffff:192.0.2.1`) is the IPv4 address that it is."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def _values(headers: Sequence[str]) -> list[str]:
    return [value.strip() for header in headers for value in header.split(",") if value.strip()]


def _last(headers: Sequence[str]) -> str:
    return (_values(headers) or [""])[-1]
