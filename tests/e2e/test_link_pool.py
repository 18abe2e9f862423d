"""The pool of data connections of one device: shared out, and each of them may fail."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e import faults
from tests.e2e.at_once import together
from tests.e2e.figures import say
from tests.e2e.raw_cdp import RawClient
from tests.e2e.steady_client import SteadyClient, counting
from tests.fakes.browser import FakeBrowser
from tests.fakes.parts import Parts
from tests.fakes.tcp_proxy import TcpProxy

pytestmark = pytest.mark.slow

ENVIRONMENT = {"BROWSERGO_AGENT_IDLE_RETRY_S": "0.2"}
CONTROL, LINKS = 0, (1, 2)  # an agent's connections, in the order in which it opens them
CLIENTS = 6
ANSWER_BYTES = 200_000
LARGE_BYTES = 48_000_000
RETRY_S, EJECTED_S = 1.0, 10.0
DIALS = 4  # the loss of the link was the first of five failures


class Pooled(NamedTuple):
    """A device whose connections go through `way`, and the URL of its clients."""

    browser: FakeBrowser
    way: TcpProxy
    client_ws: str


@pytest.fixture
def pooled(tmp_path: Path) -> Iterator[Pooled]:
    with ExitStack() as opened:
        parts = opened.enter_context(Parts(tmp_path, ENVIRONMENT))
        parts.registry()
        parts.router()
        parts.control()
        for edge_id in ("edge-1", "edge-2"):
            parts.edge(edge_id)
        browser = opened.enter_context(FakeBrowser(0.001))
        host, _, port = parts.edge_url("edge-2").removeprefix("ws://").partition(":")
        way = opened.enter_context(TcpProxy((host, int(port))))
        parts.agent("pooled", ["edge-2"], browser.url, dial=[f"ws://127.0.0.1:{way.port}"])
        faults.until(lambda: way.carried > max(LINKS), "both links are up")
        yield Pooled(browser, way, parts.client_ws("edge-1", "pooled"))


def test_channels_are_shared_out_over_the_links(pooled: Pooled) -> None:
    with ExitStack() as opened:
        clients = [opened.enter_context(RawClient(pooled.client_ws)) for _ in range(CLIENTS)]
        before = list(pooled.way.bytes_of)

        def fetch(client: RawClient) -> None:
            for _ in range(20):
                assert len(client.call("Fake.large", {"bytes": ANSWER_BYTES})["filler"]) == ANSWER_BYTES

        together([partial(fetch, client) for client in clients])
    carried = [pooled.way.bytes_of[number] - before[number] for number in LINKS]
    say(f"{CLIENTS} clients of one device: {carried} bytes on its two links")
    assert min(carried) > 0.45 * sum(carried)


def test_a_link_that_is_cut_in_the_middle_of_an_answer_costs_nothing(pooled: Pooled) -> None:
    with ExitStack() as opened:
        steady = [
            opened.enter_context(SteadyClient(pooled.client_ws, counting(f"beside-{number}"))) for number in range(2)
        ]
        large = [opened.enter_context(RawClient(pooled.client_ws)) for _ in LINKS]
        before = list(pooled.way.bytes_of)
        found: list[int] = []

        def fetch(client: RawClient) -> None:
            found.append(len(client.call("Fake.large", {"bytes": LARGE_BYTES})["filler"]))

        fetching = [threading.Thread(target=fetch, args=(client,)) for client in large]
        for thread in fetching:
            thread.start()
        victim = LINKS[0]
        faults.until(
            lambda: pooled.way.bytes_of[victim] - before[victim] > LARGE_BYTES / 8, "a large answer is on its way"
        )
        assert not found
        began_s = time.monotonic()
        pooled.way.cut_one(victim)
        for thread in fetching:
            thread.join(60)
        for client in steady:
            client.more(200)
        pause_s = max(client.longest_pause_s(began_s) for client in steady)
    say(f"a link cut in mid-answer: longest pause of a bystander {pause_s * 1000:.0f} ms")
    assert found == [LARGE_BYTES] * len(LINKS)
    for number, client in enumerate(steady):
        client.check_complete()
        assert {pooled.browser.executions[f"beside-{number}:{n}"] for n in range(1, client.sent + 1)} == {1}


def test_a_link_that_cannot_be_opened_is_left_alone_and_taken_back_while_the_other_carries_all(pooled: Pooled) -> None:
    with SteadyClient(pooled.client_ws, counting("all along")) as client:
        client.more(50)
        pooled.way.refuse(True)
        pooled.way.cut_one(LINKS[1])
        faults.until(lambda: len(pooled.way.refused) == DIALS, "it is tried", DIALS * (RETRY_S + 3))
        client.more(200)
        faults.until(lambda: len(pooled.way.refused) == DIALS + 1, "it is tried again", EJECTED_S + 3)
        pooled.way.refuse(False)
        carried = pooled.way.carried
        faults.until(lambda: pooled.way.carried == carried + 1, "it is back", EJECTED_S + 3)
        client.more(200)
        back = len(pooled.way.bytes_of) - 1
        with RawClient(pooled.client_ws) as newcomer:
            before = pooled.way.bytes_of[back]
            newcomer.call("Fake.large", {"bytes": ANSWER_BYTES})
            assert pooled.way.bytes_of[back] - before > ANSWER_BYTES  # where the fewest channels are
    client.check_complete()
    tries = pooled.way.refused
    waits = [later - earlier for earlier, later in pairwise(tries)]
    say(f"a link that cannot be opened: dialed again after {' '.join(f'{wait:.1f}' for wait in waits)} s")
    assert all(RETRY_S - 0.1 < wait < 2 * RETRY_S for wait in waits[: DIALS - 1])
    assert waits[DIALS - 1] > EJECTED_S - 0.1
