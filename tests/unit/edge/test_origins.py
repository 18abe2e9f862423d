"""Where URLs lead, and which origin a request is for."""

import pytest

from edge.core.forwarding import Arrival
from edge.core.origins import Addresses, websocket_url

LOCAL = Arrival("127.0.0.1", "http", ("localhost:3000",))
PUBLIC = Arrival("192.0.2.1", "https", ("relay.example",))


def test_urls_lead_back_as_the_client_spelled_it_unless_configured() -> None:
    assert Addresses().edge(LOCAL) == "http://localhost:3000"
    assert Addresses().edge(PUBLIC) == "https://relay.example"
    assert Addresses(public_url="https://relay.example:8443").edge(LOCAL) == "https://relay.example:8443"


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:3000", "http://localhost:3001"),
        ("127.0.0.1", "http://127.0.0.1:3001"),
        ("[::1]:3000", "http://[::1]:3001"),
        ("Relay.Example:3000", "http://relay.example:3001"),
    ],
)
def test_a_device_origin_by_port_has_the_name_that_the_client_used(host: str, origin: str) -> None:
    assert Addresses(device_origin_port=3001).device_origin(LOCAL._replace(hosts=(host,))) == origin


def test_a_device_origin_as_configured_or_none() -> None:
    assert Addresses(device_origin_url="https://devices.example").device_origin(LOCAL) == "https://devices.example"
    assert Addresses("", "https://devices.example", 3001).device_origin(LOCAL) == "https://devices.example"
    assert Addresses(public_url="https://relay.example").device_origin(LOCAL) == ""


@pytest.mark.parametrize(
    ("hosts", "shares"),
    [
        (("devices.example",), True),
        (("DEVICES.example:443",), True),
        (("devices.example:444",), False),
        (("relay.example",), False),
        (("devices.example", "devices.example"), False),
        ((), False),
        (("[broken",), False),
    ],
)
def test_at_one_port_the_host_name_tells_the_device_origin_apart(hosts: tuple[str, ...], shares: bool) -> None:
    arrival = PUBLIC._replace(hosts=hosts)
    assert Addresses(device_origin_url="https://devices.example").shares_port(arrival) is shares
    assert not Addresses("", "https://devices.example", 3001).shares_port(arrival)
    assert not Addresses().shares_port(arrival)


@pytest.mark.parametrize(
    ("origin", "is_own"),
    [
        ("http://localhost:3001", True),
        ("HTTP://LOCALHOST:3001", True),
        ("https://devices.example", True),
        ("https://devices.example:443", True),
        ("http://localhost:3000", False),
        ("https://localhost:3001", False),
        ("http://devices.example", False),
        ("http://evil.example", False),
        ("null", False),
        ("", False),
        ("devtools://devtools", False),
        ("http://[broken", False),
    ],
)
def test_only_pages_of_the_device_origin_itself_are_its_own(origin: str, is_own: bool) -> None:
    arrival = LOCAL._replace(hosts=("localhost:3001",))
    assert Addresses("", "https://devices.example", 3001).is_device_origin(origin, arrival) is is_own


def test_an_origin_is_nobodys_where_the_host_is_none() -> None:
    assert not Addresses(device_origin_port=1).is_device_origin("http://[broken", LOCAL._replace(hosts=("[broken",)))


def test_websocket_urls_have_the_scheme_of_their_http_twin() -> None:
    assert [websocket_url(f"{scheme}://x") for scheme in ("http", "https")] == ["ws://x", "wss://x"]
