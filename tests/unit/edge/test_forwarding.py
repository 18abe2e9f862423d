"""What proxies say is believed from trusted addresses only."""

from collections.abc import Sequence

import pytest

from edge.core.forwarding import Arrival, Headers, TrustedProxies

PROXIES = TrustedProxies(["127.0.0.1", "10.0.0.0/8", "fd00::/8"])
DIRECT = Arrival("127.0.0.1", "http", ("edge-1:3000",))


def headers(**sent: str | Sequence[str]) -> Headers:
    """Headers by name with underscores: one value, or several lines of the same name."""
    lines = {name.replace("_", "-"): [value] if isinstance(value, str) else list(value) for name, value in sent.items()}
    return lambda name: lines.get(name, [])


def test_a_trusted_proxy_says_how_the_request_came_to_it() -> None:
    said = headers(x_forwarded_host="relay.example:8443", x_forwarded_proto="https", x_forwarded_for="192.0.2.7")
    assert PROXIES.arrival(DIRECT, said) == Arrival("192.0.2.7", "https", ("relay.example:8443",))


@pytest.mark.parametrize("peer", ["192.0.2.1", "127.0.0.2", "11.0.0.1", "::1", "", "local", "10.0.0.1 "])
def test_nobody_else_is_believed(peer: str) -> None:
    direct = DIRECT._replace(peer=peer)
    said = headers(x_forwarded_host="evil.example", x_forwarded_proto="https", x_forwarded_for="127.0.0.1")
    assert PROXIES.arrival(direct, said) == direct
    assert TrustedProxies().arrival(DIRECT, said) == DIRECT


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.255.0.1", "::ffff:10.1.2.3", "fd12::1"])
def test_addresses_networks_and_mapped_addresses_are_trusted(peer: str) -> None:
    said = headers(x_forwarded_host="relay.example")
    assert PROXIES.arrival(DIRECT._replace(peer=peer), said).hosts == ("relay.example",)


def test_a_proxy_that_says_nothing_changes_nothing() -> None:
    assert PROXIES.arrival(DIRECT, headers()) == DIRECT
    assert PROXIES.arrival(DIRECT, headers(x_forwarded_host=" , ", x_forwarded_for=",")) == DIRECT


@pytest.mark.parametrize(
    ("sent", "host"),
    [
        ("relay.example", "relay.example"),
        ("evil.example, relay.example", "relay.example"),
        (["evil.example", "relay.example"], "relay.example"),
        (["a.example, b.example", " relay.example "], "relay.example"),
    ],
)
def test_of_several_hosts_the_nearest_proxys_own_word_counts(sent: str | list[str], host: str) -> None:
    assert PROXIES.arrival(DIRECT, headers(x_forwarded_host=sent)).hosts == (host,)


@pytest.mark.parametrize(
    ("sent", "scheme"),
    [
        ("https", "https"),
        ("HTTPS", "https"),
        ("wss", "https"),
        ("ws", "http"),
        ("http, https", "https"),
        ("ftp", "http"),
    ],
)
def test_the_scheme_is_the_one_that_the_client_spoke(sent: str, scheme: str) -> None:
    assert PROXIES.arrival(DIRECT, headers(x_forwarded_proto=sent)).scheme == scheme


@pytest.mark.parametrize(
    ("sent", "peer"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("198.51.100.1, 192.0.2.7", "192.0.2.7"),  # the first is what the client claimed
        ("192.0.2.7, 10.0.0.9", "192.0.2.7"),  # two trusted proxies in a row
        ("10.0.0.8, 10.0.0.9", "127.0.0.1"),
        ("2001:db8::7", "2001:db8::7"),
        ("192.0.2.7, nonsense", "127.0.0.1"),
    ],
)
def test_the_peer_is_the_last_one_that_is_no_trusted_proxy(sent: str, peer: str) -> None:
    assert PROXIES.arrival(DIRECT, headers(x_forwarded_for=sent)).peer == peer


@pytest.mark.parametrize("text", ["", "relay.example", "10.0.0.0/33", "10.0.0.0/8/8", "*"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        TrustedProxies([text])
