"""What `browsergo forward` makes of a request before it passes it on."""

import h11

from browsergo.cli.forward import Upstream, passed_on

UPSTREAM = Upstream("127.0.0.1", 3000, "", tls=False, device="local", token=lambda: "TOKEN")


def test_what_speaks_of_a_body_is_dropped_with_the_body() -> None:
    """pychrome sends `true` with every GET; a length without its body is an unfinished request."""
    headers = [("Host", "127.0.0.1:9222"), ("Content-Length", "4"), ("Content-Type", "application/json")]
    request = h11.Request(method="GET", target="/json/version", headers=[*headers, ("Expect", "100-continue")])
    wire = h11.Connection(h11.CLIENT)
    sent = wire.send(passed_on(request, UPSTREAM))
    assert wire.send(h11.EndOfMessage()) == b""
    assert sent is not None
    assert sent.lower().split(b"\r\n") == [
        b"get /v2/cdp/local/json/version http/1.1",
        b"host: 127.0.0.1:3000",
        b"connection: close",
        b"authorization: bearer token",
        b"",
        b"",
    ]
