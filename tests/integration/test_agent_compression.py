"""What an agent's answers weigh on the wire to its edge, counted by a proxy between them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.e2e.raw_cdp import RawClient
from tests.fakes.browser import FakeBrowser
from tests.fakes.parts import Parts
from tests.fakes.tcp_proxy import TcpProxy

LARGE_BYTES = 3_000_000
BELOW_BYTES = 15_000  # the threshold is 16 KiB
SMALL_ANSWERS = 20
OVERHEAD_BYTES = 1_000  # of frames, heartbeats and headers for each answer


@contextmanager
def wired(folder: Path, compression: str | None) -> Iterator[tuple[RawClient, TcpProxy]]:
    """A client of a fake browser whose agent is configured so, and the wire between agent and edge."""
    with FakeBrowser() as browser, ExitStack() as opened:
        parts = opened.enter_context(Parts(folder))
        parts.registry()
        parts.router()
        parts.edge("edge-1")
        host, _, port = parts.edge_url("edge-1").removeprefix("ws://").partition(":")
        wire = opened.enter_context(TcpProxy((host, int(port))))
        environment = {"BROWSERGO_AGENT_COMPRESSION": compression} if compression else {}
        parts.agent("laptop", ["edge-1"], browser.url, environment, dial=[f"ws://127.0.0.1:{wire.port}"])
        yield opened.enter_context(RawClient(parts.client_ws("edge-1", "laptop"))), wire


def weight(client: RawClient, wire: TcpProxy, size: int, answers: int = 1) -> int:
    """Bytes on the wire for so many answers of `size`, each of which comes whole."""
    before = wire.carried_bytes
    for _ in range(answers):
        filler = client.call("Fake.large", {"bytes": size})["filler"]
        assert filler == filler[:1] * size
    return wire.carried_bytes - before


def test_a_large_answer_is_compressed_and_a_small_one_is_not(tmp_path: Path) -> None:
    with wired(tmp_path, "on") as (client, wire):
        assert weight(client, wire, LARGE_BYTES) < LARGE_BYTES / 20
        small = weight(client, wire, BELOW_BYTES, SMALL_ANSWERS)
    assert SMALL_ANSWERS * BELOW_BYTES < small < SMALL_ANSWERS * (BELOW_BYTES + OVERHEAD_BYTES)


@pytest.mark.parametrize("compression", [None, pytest.param("off", marks=pytest.mark.slow)])
def test_nothing_is_compressed_for_an_edge_on_this_machine_or_when_it_is_off(
    tmp_path: Path, compression: str | None
) -> None:
    with wired(tmp_path, compression) as (client, wire):
        assert weight(client, wire, LARGE_BYTES) > LARGE_BYTES
