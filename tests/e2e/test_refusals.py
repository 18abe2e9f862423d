"""What may not pass is refused with a documented answer, harms nobody, and leaves no secret behind."""

import json
import socket
import struct
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic
from typing import NamedTuple

import pytest
from websockets import Subprotocol
from websockets.exceptions import ConnectionClosed, InvalidStatus

from browsergo.core import tokens
from tests.e2e.raw_cdp import RawClient
from tests.e2e.raw_http import Answer, exchange, is_closed, read_answer, upgrade_request
from tests.fakes.stack import Stack

pytestmark = pytest.mark.chrome

LOCAL = "/v2/cdp/local"
BAD_MESSAGE, TOO_BIG = 4502, 1009
CLIENT_MESSAGE_LIMIT_BYTES = 64 << 20
HUGE_HEADER_BYTES = 300_000
HEAD_DEADLINE_S = 10.0
HEAD_DEADLINE_SLACK_S = 2.5


class Refusal(NamedTuple):
    """An upgrade that is refused before it happens: what is sent, and the answer it must get."""

    name: str
    token: str  # which of the relay's tokens; "" for none
    status: int
    code: str
    path: str = LOCAL
    header: tuple[tuple[str, str], ...] = ()


REFUSALS = (
    Refusal("unknown device", "admin", 404, "DEVICE_NOT_FOUND", path="/v2/cdp/nobody"),
    Refusal("ill-formed device id", "admin", 400, "INVALID_DEVICE_ID", path="/v2/cdp/no%20such%20id"),
    Refusal("no token", "", 401, "UNAUTHENTICATED"),
    Refusal("no token for an unknown device", "", 401, "UNAUTHENTICATED", path="/v2/cdp/nobody"),
    Refusal("expired token", "expired", 401, "TOKEN_EXPIRED"),
    Refusal("token of another relay", "foreign", 401, "UNAUTHENTICATED"),
    Refusal("garbage for a token", "garbage", 401, "UNAUTHENTICATED"),
    Refusal("token for registering only", "device", 403, "FORBIDDEN"),
    Refusal("token for another device", "elsewhere", 403, "FORBIDDEN"),
    Refusal("evil origin", "client", 403, "BAD_ORIGIN", header=(("Origin", "https://evil.example"),)),
    Refusal("rebinding host", "client", 421, "BAD_HOST", header=(("Host", "evil.example"),)),
    Refusal(
        "rebinding host with our port", "client", 421, "BAD_HOST", header=(("Host", "127.0.0.1.evil.example:3000"),)
    ),
    Refusal("evil host and no token", "", 421, "BAD_HOST", header=(("Host", "evil.example"),)),
    Refusal("client token on control", "client", 403, "FORBIDDEN", path="/v2/control"),
    Refusal("client token on device", "client", 403, "FORBIDDEN", path="/v2/device"),
    Refusal("no token on control", "", 401, "UNAUTHENTICATED", path="/v2/control"),
)
IDS = [refusal.name for refusal in REFUSALS]


class Guarded(NamedTuple):
    """A relay and every token that is shown to it, good and bad."""

    stack: Stack
    tokens: dict[str, str]

    def header(self, refusal: Refusal) -> dict[str, str]:
        """The header lines of a refusal, with its token as a bearer."""
        bearer = {"Authorization": f"Bearer {self.tokens[refusal.token]}"} if refusal.token else {}
        return dict(refusal.header) | bearer

    def path_with_token(self) -> str:
        return f"{LOCAL}?token={self.tokens['client']}"


@pytest.fixture(scope="module")
def guarded(relay: Stack) -> Guarded:
    """The relay, and tokens of all kinds."""
    own = relay.signing_key
    return Guarded(
        relay,
        relay.urls.tokens
        | {
            "expired": mint(own, "cdp:local:full", age_s=7200),
            "foreign": mint(tokens.new_key_pem(), "cdp:local:full"),
            "elsewhere": mint(own, "cdp:elsewhere:full"),
            "garbage": "garbage-" + uuid.uuid4().hex,
        },
    )


def mint(key: bytes, scope: str, age_s: int = 0) -> str:
    """A token for one scope that was made `age_s` ago and held for an hour."""
    now = int(time.time()) - age_s
    return tokens.mint(
        tokens.load_key(key), subject="test", scopes=[scope], now_unix_s=now, ttl_s=3600, token_id=uuid.uuid4().hex
    )


@pytest.fixture
def client(guarded: Guarded) -> Iterator[RawClient]:
    """A client that is let in."""
    with RawClient(guarded.stack.urls.client_ws) as client:
        yield client


def refuse(guarded: Guarded, refusal: Refusal) -> Answer:
    """Ask for the upgrade and read the refusal."""
    return exchange(
        guarded.stack.address, upgrade_request(guarded.stack.address, refusal.path, guarded.header(refusal))
    )


@pytest.mark.parametrize("refusal", REFUSALS, ids=IDS)
def test_an_upgrade_that_may_not_be_is_refused_with_status_and_reason(guarded: Guarded, refusal: Refusal) -> None:
    answer = refuse(guarded, refusal)
    assert answer.status == refusal.status, answer
    assert refusal.code in answer.body
    assert all(token not in answer.body for token in guarded.tokens.values())


@pytest.mark.parametrize("refusal", REFUSALS[:7], ids=IDS[:7])
def test_discovery_is_refused_as_the_upgrade_is(guarded: Guarded, refusal: Refusal) -> None:
    lines = {"Host": "{}:{}".format(*guarded.stack.address), "Connection": "close"} | guarded.header(refusal)
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    answer = exchange(guarded.stack.address, f"GET {refusal.path}/json/version HTTP/1.1\r\n{head}\r\n".encode())
    assert (answer.status, refusal.code in answer.body) == (refusal.status, True), answer


def test_a_token_may_stand_in_the_subprotocol(guarded: Guarded) -> None:
    url = guarded.stack.urls.client_ws.partition("?")[0]
    with RawClient(url, subprotocols=[Subprotocol(f"bearer.{guarded.tokens['client']}")]) as client:
        assert "Chrome/" in client.call("Browser.getVersion")["product"]
    with pytest.raises(InvalidStatus) as refused, RawClient(url, subprotocols=[Subprotocol("bearer.garbage")]):
        pass
    assert refused.value.response.status_code == 401


def test_the_subprotocol_that_carries_a_token_is_never_echoed(guarded: Guarded) -> None:
    header = {"Sec-WebSocket-Protocol": f"bearer.{guarded.tokens['client']}"}
    answer = exchange(guarded.stack.address, upgrade_request(guarded.stack.address, LOCAL, header))
    assert answer.status == 101
    assert "bearer." not in str(answer.header)


def test_a_message_above_the_limit_closes_with_1009(guarded: Guarded) -> None:
    with socket.create_connection(guarded.stack.address, 15) as connection:
        connection.sendall(upgrade_request(guarded.stack.address, guarded.path_with_token()))
        assert read_answer(connection).status == 101
        # A masked text frame that announces one byte too many is enough; nobody needs to send the payload.
        connection.sendall(
            struct.pack(">BBQ4s", 0x81, 0x80 | 127, CLIENT_MESSAGE_LIMIT_BYTES + 1, b"mask") + b"x" * 1000
        )
        assert read_close_code(connection) == TOO_BIG


def read_close_code(connection: socket.socket) -> int:
    """The code of the close frame that comes next (unmasked, short, as servers send it)."""
    first, length = read_exactly(connection, 2)
    assert first == 0x88, f"not a close frame: {first:#x}"
    code: int = struct.unpack_from(">H", read_exactly(connection, length))[0]
    return code


def read_exactly(connection: socket.socket, count: int) -> bytes:
    """Exactly so many bytes."""
    received = connection.recv(count, socket.MSG_WAITALL)
    assert len(received) == count, "the server closed"
    return received


def test_a_message_just_below_the_limit_passes(client_ws: str) -> None:
    command = json.dumps({"id": 1, "method": "Browser.getVersion", "params": {"padding": ""}})
    with RawClient(client_ws) as client:
        client.socket.send(command.replace('""', f'"{"x" * (CLIENT_MESSAGE_LIMIT_BYTES - len(command))}"'))
        assert client.receive(60)["id"] == 1


def test_a_binary_message_closes_with_bad_message(client: RawClient) -> None:
    client.socket.send(b'{"id":1,"method":"Browser.getVersion"}')
    with pytest.raises(ConnectionClosed):
        client.receive()
    assert client.socket.close_code == BAD_MESSAGE
    assert client.socket.close_reason


@pytest.mark.parametrize("broken", ['{"id": 5, "method": ', "", "nonsense", '{"id": 1} {"id": 2}'])
def test_broken_json_is_answered_as_chrome_does_and_the_channel_lives_on(client_ws: str, broken: str) -> None:
    with RawClient(client_ws) as client:
        client.socket.send(broken)
        answer = client.receive()
        assert answer["error"]["code"] == -32700
        assert "id" not in answer
        assert "Chrome/" in client.call("Browser.getVersion")["product"]


def test_a_huge_header_is_refused_and_the_connection_closed(guarded: Guarded) -> None:
    request = upgrade_request(guarded.stack.address, LOCAL, {"X-Huge": "h" * HUGE_HEADER_BYTES})
    with socket.create_connection(guarded.stack.address, 15) as connection:
        try:
            connection.sendall(request)
            assert read_answer(connection).status in {400, 431}
        except (ConnectionResetError, BrokenPipeError):
            return  # it did not even read to the end: refused and closed
        assert is_closed(connection, 5)


@pytest.mark.slow
def test_half_a_request_and_silence_is_closed_by_the_deadline(guarded: Guarded) -> None:
    whole = upgrade_request(guarded.stack.address, guarded.path_with_token())
    halves = (b"", b"GET /v2/cdp/local HTTP/1.1\r\nHost: 127.0.", whole[:-2])
    with ExitStack() as opened:
        began = monotonic()
        connections = [opened.enter_context(socket.create_connection(guarded.stack.address, 15)) for _ in halves]
        for connection, half in zip(connections, halves, strict=True):
            connection.sendall(half)
        for connection, half in zip(connections, halves, strict=True):
            left_s = began + HEAD_DEADLINE_S + HEAD_DEADLINE_SLACK_S - monotonic()
            assert is_closed(connection, max(left_s, 0.1)), f"still open after {half!r}"
        assert monotonic() - began > HEAD_DEADLINE_S - HEAD_DEADLINE_SLACK_S


def misbehave(guarded: Guarded) -> None:
    """Everything above that is quick, once, and clients that leave in the middle of things."""
    address, path = guarded.stack.address, guarded.path_with_token()
    for refusal in REFUSALS:
        refuse(guarded, refusal)
    for url_token in guarded.tokens.values():
        exchange(address, upgrade_request(address, f"/v2/cdp/nobody?token={url_token}"))
        exchange(address, upgrade_request(address, f"/no/such/path?token={url_token}"))
    whole = upgrade_request(address, path)
    for sent in (b"", b"GET", whole[:-2], whole, whole + b"\x81", whole + b"\xff" * 50, b"\x16\x03\x01\x02" * 50):
        with socket.create_connection(address, 15) as connection:
            connection.sendall(sent)
    with RawClient(guarded.stack.urls.client_ws) as client:
        client.send(1, "Runtime.evaluate", {"expression": f"'{guarded.tokens['client']}'"})
        client.socket.send(b"binary")
        with pytest.raises(ConnectionClosed):
            client.receive_answers(2)


def test_after_all_of_it_the_same_processes_serve_and_no_log_holds_a_secret(guarded: Guarded) -> None:
    before = guarded.stack.children()
    misbehave(guarded)
    with RawClient(guarded.stack.urls.client_ws) as client:
        assert "Chrome/" in client.call("Browser.getVersion")["product"]
    assert guarded.stack.children() == before
    logs = guarded.stack.logs()
    assert {"agent.log", "edge-1.log", "edge-2.log", "router-1.log", "registry.log", "control.log"} <= set(logs)
    for kind, token in guarded.tokens.items():
        signature = token.rpartition(".")[2]
        found = [name for name, text in logs.items() if signature in text]
        assert not found, f"the {kind} token stands in {found}"
