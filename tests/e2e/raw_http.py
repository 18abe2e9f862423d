"""HTTP and WebSocket heads byte by byte, for what no client library would send."""

import base64
import os
import socket
from collections.abc import Mapping
from http.client import HTTPResponse
from typing import NamedTuple

TIMEOUT_S = 15.0

Address = tuple[str, int]


class Answer(NamedTuple):
    """A response: status, header (names in lower case), body as text."""

    status: int
    header: dict[str, str]
    body: str


def upgrade_request(address: Address, path: str, header: Mapping[str, str] | None = None) -> bytes:
    """The head of a WebSocket upgrade; `header` adds lines or replaces Host."""
    lines = {
        "Host": f"{address[0]}:{address[1]}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    } | dict(header or {})
    head = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items()), "", ""]
    return "\r\n".join(head).encode()


def exchange(address: Address, request: bytes) -> Answer:
    """Send these bytes on a fresh connection and read one response."""
    with socket.create_connection(address, TIMEOUT_S) as connection:
        connection.sendall(request)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> Answer:
    """The response on a connection; of an accepted upgrade only the head."""
    with HTTPResponse(connection) as response:
        response.begin()
        header = {name.lower(): value for name, value in response.getheaders()}
        body = "" if response.status == 101 else response.read().decode()
        return Answer(response.status, header, body)


def is_closed(connection: socket.socket, timeout_s: float) -> bool:
    """Whether the server ends the connection within this time, whatever it says before."""
    connection.settimeout(timeout_s)
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True
