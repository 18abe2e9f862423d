"""An agent and its edges: who is dialed when, what is logged, and what the agent makes of odd edges."""

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from browsergo.agent.__main__ import Agent
from browsergo.agent.config import AgentConfig
from browsergo.core import device_messages as messages
from browsergo.core.channel.frames import EVERY_EDGE, NO_EDGE, Kind
from tests.fakes.browser import FakeBrowser
from tests.fakes.edge import FakeEdge, Visit

TOKEN = "the-token-of-this-device"
ENDS_WITHIN_S = 5.0
MOST_LATE_S = 0.25  # what a loaded machine adds to a pause


@pytest.fixture(scope="module")
def browser() -> Iterator[FakeBrowser]:
    with FakeBrowser() as browser:
        yield browser


class RunningAgent:
    """An agent in this event loop, and its log."""

    def __init__(self, task: "asyncio.Task[None]", capture: LogCapture) -> None:
        self._task = task
        self.stopped = False
        self.log = capture.entries

    def stop(self) -> None:
        """As SIGTERM does."""
        self.stopped = True
        self._task.cancel()

    async def ended(self) -> bool:
        """Whether it ends soon."""
        done, _ = await asyncio.wait({self._task}, timeout=ENDS_WITHIN_S)
        return bool(done)

    def lines(self, event: str) -> list[Any]:
        """Log lines of one event."""
        return [line for line in self.log if line["event"] == event]


@asynccontextmanager
async def running(browser: FakeBrowser, *edges: str, **settings: Any) -> AsyncIterator[RunningAgent]:
    """An agent of `browser` until the context ends; then it is stopped, and must not have failed."""
    capture = LogCapture()
    log = structlog.wrap_logger(
        structlog.PrintLogger(), processors=[capture], wrapper_class=structlog.make_filtering_bound_logger(0)
    )
    words: dict[str, Any] = {"edges": list(edges), "device_id": "laptop", "cdp": browser.url, "idle_retry_s": 0.1}
    task = asyncio.create_task(Agent(AgentConfig(**words | settings), None, log).run())
    agent = RunningAgent(task, capture)
    try:
        yield agent
        assert agent.stopped or not task.done(), task
    finally:
        agent.stop()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled() or task.exception() is None
    assert TOKEN not in str(capture.entries)


def play(scenario: Callable[[FakeEdge], Awaitable[None]]) -> None:
    """Run a scenario with one edge."""

    async def played() -> None:
        async with FakeEdge().serving() as edge:
            await scenario(edge)

    asyncio.run(played())


def test_an_agent_introduces_itself_and_says_hello_on_each_link(browser: FakeBrowser) -> None:
    async def scenario(edge: FakeEdge) -> None:
        async with running(browser, edge.url, label=["room=lab"], token=TOKEN, name="A laptop") as agent:
            visit = await edge.registered()
            info = visit.said[0]["data"]["deviceInfo"]
            assert (info["deviceId"], info["name"], info["labels"]) == ("laptop", "A laptop", {"room": "lab"})
            assert info["capabilities"]["browserName"] == "Fake"
            assert info["capabilities"]["browserVersion"] == "1.0"
            assert edge.tokens == [TOKEN]
            await edge.until(lambda: len(edge.link_frames) >= 3, "HELLO on both links")
            assert {frame.kind for frame in edge.link_frames} == {Kind.HELLO}
            assert [frame.edge for frame in edge.link_frames].count(EVERY_EDGE) == 1
            assert [frame.edge for frame in edge.link_frames].count(NO_EDGE) == 2
            assert [line["epoch"] for line in agent.lines("registered")] == [1]

    play(scenario)


def test_a_wrong_token_is_a_clear_line_and_longer_and_longer_pauses(browser: FakeBrowser) -> None:
    async def scenario(edge: FakeEdge) -> None:
        edge.accepted_token = "another"
        random.seed(3)
        async with running(browser, edge.url, token=TOKEN) as agent:
            await edge.until(lambda: len(edge.arrivals) >= 5, "five attempts")
            lines = agent.lines("refused by the edge")[:4]
        assert {line["reason"] for line in lines} == {"HTTP 401: UNAUTHENTICATED: the token is not valid here"}
        assert {line["log_level"] for line in lines} == {"error"}
        pauses = [later - earlier for earlier, later in zip(edge.arrivals, edge.arrivals[1:5], strict=False)]
        for attempt, (pause_s, line) in enumerate(zip(pauses, lines, strict=True)):
            assert line["retry_in_s"] <= 0.2 * 2**attempt
            assert line["retry_in_s"] - 0.01 <= pause_s < line["retry_in_s"] + MOST_LATE_S
        assert max(pauses[2:]) > 0.2, "no longer than a first pause may be"

    play(scenario)


def test_a_token_that_is_renewed_in_its_file_is_used_at_the_next_attempt(tmp_path: Path, browser: FakeBrowser) -> None:
    async def scenario(edge: FakeEdge) -> None:
        path = tmp_path / "token"
        path.write_text("stale")
        edge.accepted_token = TOKEN
        async with running(browser, edge.url, token_file=path):
            await edge.until(lambda: edge.tokens == ["stale"], "a first attempt")
            path.write_text(TOKEN + "\n")
            await edge.registered()

    play(scenario)


def put_nothing(path: Path) -> None:
    """No file at all."""


@pytest.mark.parametrize(
    "spoil",
    [put_nothing, Path.mkdir, lambda path: path.write_bytes(b"\xff\xfe" + b"x" * 20)],
    ids=["none", "dir", "bin"],
)
def test_a_token_file_that_cannot_be_read_is_said_and_tried_again(
    tmp_path: Path, browser: FakeBrowser, spoil: Callable[[Path], object]
) -> None:
    async def scenario(edge: FakeEdge) -> None:
        path = tmp_path / "token"
        spoil(path)
        edge.accepted_token = TOKEN
        async with running(browser, edge.url, token_file=path) as agent:
            await edge.until(lambda: len(edge.tokens) >= 1, "a first attempt")
            assert edge.tokens[0] == ""
            assert agent.lines("token cannot be read")[0]["reason"]
            if path.is_dir():
                path.rmdir()
            path.write_text(TOKEN)
            await edge.registered()

    play(scenario)


def test_an_edge_that_is_away_at_start_is_dialed_until_it_is_there(browser: FakeBrowser) -> None:
    async def played() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        edge = FakeEdge()
        async with running(browser, f"ws://127.0.0.1:{port}") as agent:
            while len(agent.lines("edge lost")) < 2:  # noqa: ASYNC110 - nobody is there to be told
                await asyncio.sleep(0.01)
            assert "cannot connect" in agent.lines("edge lost")[0]["reason"]
            async with edge.serving(port):
                await edge.registered()

    asyncio.run(played())


def test_edges_are_dialed_in_turn(browser: FakeBrowser) -> None:
    async def scenario(first: FakeEdge) -> None:
        async with FakeEdge().serving() as second:
            first.refusal = (503, "DRAINING: this edge is shutting down\n")
            async with running(browser, first.url, second.url) as agent:
                await second.registered()
                assert "HTTP 503: DRAINING" in agent.lines("refused by the edge")[0]["reason"]
                first.refusal = None
                await second.visits[0].connection.close(1012)
                await first.registered()
                assert len(second.arrivals) == 1

    play(scenario)


async def take_over(visit: Visit) -> None:
    """Say that another instance took over, and close as edges do."""
    await visit.say(messages.TAKEN_OVER, {"retryAfter": 60_000})
    await visit.connection.close(4510, "TAKEN_OVER: another instance took this device id over")


async def close_only(visit: Visit) -> None:
    """The close code alone."""
    await visit.connection.close(4510, "TAKEN_OVER: another instance took this device id over")


@pytest.mark.parametrize("end", [take_over, close_only])
def test_an_agent_that_was_taken_over_stays_away(browser: FakeBrowser, end: Callable[[Visit], Awaitable[None]]) -> None:
    async def scenario(edge: FakeEdge) -> None:
        async with running(browser, edge.url) as agent:
            visit = await edge.registered()
            await end(visit)
            await visit.connection.wait_closed()
            while not agent.lines("taken over"):  # noqa: ASYNC110 - a log line is no event
                await asyncio.sleep(0.01)
            [line] = agent.lines("taken over")
            assert line["log_level"] == "error"
            assert 60 <= line["retry_in_s"] <= 90
            await asyncio.sleep(3 * 0.1)  # three times the longest pause after an ordinary loss
            assert len(edge.arrivals) == 1

    play(scenario)


def test_an_agent_whose_edge_falls_silent_stands_down_and_registers_again(browser: FakeBrowser) -> None:
    async def scenario(edge: FakeEdge) -> None:
        edge.heartbeat_interval_ms, edge.answers_heartbeats = 100, False
        async with running(browser, edge.url) as agent:
            began_s = time.monotonic()
            await edge.registered(2)
            assert 0.225 <= time.monotonic() - began_s < 2
            assert "silent" in agent.lines("edge lost")[0]["reason"]

    play(scenario)


def test_heartbeats_are_sent_and_answered_and_keep_the_registration(browser: FakeBrowser) -> None:
    async def scenario(edge: FakeEdge) -> None:
        edge.heartbeat_interval_ms = 50
        async with running(browser, edge.url):
            visit = await edge.registered()
            await edge.until(lambda: visit.kinds.count(messages.HEARTBEAT) >= 10, "ten heartbeats")
            assert len(edge.visits) == 1

    play(scenario)


def test_a_draining_edge_is_left_once_the_device_is_linked_to_the_next_one(browser: FakeBrowser) -> None:
    async def scenario(first: FakeEdge) -> None:
        async with FakeEdge().serving() as second, running(browser, first.url, second.url) as agent:
            visit = await first.registered()
            second.link_refusal = (503, "OVERLOADED: not now\n")
            await visit.say(messages.DRAIN, {"reason": "shutting down"})
            await second.until(lambda: bool(second.visits), "a registration with the second edge")
            assert [link.close_code for link in first.links] == [None, None]
            assert messages.DISCONNECT not in visit.kinds
            second.link_refusal = None
            await second.until(lambda: len(second.links) == 2, "links to the second edge")
            await first.until(lambda: messages.DISCONNECT in visit.kinds, "a goodbye")
            await visit.connection.wait_closed()
            boots = {one.said[0]["data"]["bootId"] for one in (visit, *second.visits)}
            assert len(boots) == 1, "the same run of the agent"
            assert second.visits[0].said[0]["data"]["previousEpoch"] == 1
            assert [line["edge"] for line in agent.lines("edge lost")] == [], "it was never without an edge"

    play(scenario)


def test_a_draining_edge_is_stayed_with_while_no_other_lets_the_device_in(browser: FakeBrowser) -> None:
    async def scenario(first: FakeEdge) -> None:
        async with FakeEdge().serving() as second, running(browser, first.url, second.url) as agent:
            visit = await first.registered()
            first.refusal = second.refusal = (503, "DRAINING: this edge is shutting down\n")
            await visit.say(messages.DRAIN, {"reason": "shutting down"})
            await second.until(
                lambda: len(second.arrivals) >= 2, "attempts at the second edge, between those at the first"
            )
            assert len(first.arrivals) >= 2
            assert [link.close_code for link in first.links] == [None, None]
            second.refusal = None
            await second.registered()
            await first.until(lambda: messages.DISCONNECT in visit.kinds, "a goodbye")
            assert len(agent.lines("edge left")) <= 1

    play(scenario)


@pytest.mark.parametrize("end", [take_over, close_only])
def test_a_takeover_by_another_instance_while_the_device_moves_is_one(
    browser: FakeBrowser, end: Callable[[Visit], Awaitable[None]]
) -> None:
    async def scenario(first: FakeEdge) -> None:
        async with FakeEdge().serving() as second, running(browser, first.url, second.url) as agent:
            visit = await first.registered()
            second.refusal = (503, "DRAINING: this edge is shutting down\n")
            first.refusal = second.refusal
            await visit.say(messages.DRAIN, {"reason": "shutting down"})
            await second.until(lambda: len(second.arrivals) >= 1, "an attempt at the second edge")
            await end(visit)
            while not agent.lines("taken over"):  # noqa: ASYNC110 - a log line is no event
                await asyncio.sleep(0.01)
            assert agent.lines("taken over")[0]["retry_in_s"] >= 60

    play(scenario)


def test_a_lost_link_comes_back_under_the_same_registration(browser: FakeBrowser) -> None:
    async def scenario(edge: FakeEdge) -> None:
        async with running(browser, edge.url):
            await edge.registered()
            await edge.links[0].close(1011)
            await edge.until(lambda: len(edge.links) == 3, "a third link")
            assert len(edge.arrivals) == 1

    play(scenario)


def test_a_link_that_is_refused_is_a_lost_edge(browser: FakeBrowser) -> None:
    async def scenario(edge: FakeEdge) -> None:
        edge.link_refusal = (401, "UNAUTHENTICATED: this link ticket is not valid here\n")
        async with running(browser, edge.url) as agent:
            await edge.until(lambda: len(edge.visits) >= 2, "another registration")
            assert "link ticket" in agent.lines("refused by the edge")[0]["reason"]

    play(scenario)


ODD_WORDS = [
    "nonsense",
    b"\x00binary",
    "{}",
    '{"type": "device:welcome", "data": {}}',
    '{"type": "device:register:ack", "data": {}}',
    '{"type": "error", "data": {"error": "OVERLOADED", "message": "too much"}}',
    "[" * 5000,
]


@pytest.mark.parametrize("words", ODD_WORDS, ids=range(len(ODD_WORDS)))
def test_an_edge_that_talks_nonsense_is_left_and_tried_again(browser: FakeBrowser, words: str | bytes) -> None:
    async def scenario(edge: FakeEdge) -> None:
        edge.first_words = words
        async with running(browser, edge.url) as agent:
            await edge.until(lambda: len(edge.arrivals) >= 2, "a second attempt")
            assert agent.lines("edge lost")[0]["reason"]
            edge.first_words = None
            await edge.registered()

    play(scenario)


ODD_ANSWERS: list[tuple[str, dict[str, Any], str]] = [
    (messages.REGISTER_ACK, {}, "edge lost"),
    (messages.REGISTER_ACK, {"deviceId": "laptop", "epoch": "many"}, "edge lost"),
    (messages.WELCOME, {}, "edge lost"),
    (messages.ERROR, {"error": "FORBIDDEN", "message": "not as laptop"}, "refused by the edge"),
    (messages.ERROR, {"error": "CONFLICT_REJECTED", "message": "another instance holds it"}, "edge lost"),
    (messages.ERROR, {}, "edge lost"),
]


@pytest.mark.parametrize(("kind", "body", "event"), ODD_ANSWERS, ids=range(len(ODD_ANSWERS)))
def test_a_registration_that_fails_is_named_and_tried_again(
    browser: FakeBrowser, kind: str, body: dict[str, Any], event: str
) -> None:
    async def scenario(edge: FakeEdge) -> None:
        edge.acknowledge = False
        async with running(browser, edge.url) as agent:
            await edge.until(lambda: bool(edge.visits and edge.visits[0].said), "a registration")
            await edge.visits[0].say(kind, body)
            await edge.until(lambda: len(edge.arrivals) >= 2, "a second attempt")
            assert agent.lines(event)[0]["reason"]
            edge.acknowledge = True
            await edge.registered(2)

    play(scenario)


def test_a_stopped_agent_says_goodbye_after_its_links_are_closed(browser: FakeBrowser) -> None:
    async def scenario(edge: FakeEdge) -> None:
        async with running(browser, edge.url) as agent:
            visit = await edge.registered()
            agent.stop()
            await edge.until(lambda: messages.DISCONNECT in visit.kinds, "a goodbye")
            closes = [link.protocol.close_rcvd for link in edge.links]
            assert [close.code for close in closes if close is not None] == [1000, 1000]

    play(scenario)


def test_a_browser_that_is_away_is_waited_for(browser: FakeBrowser) -> None:
    async def scenario(edge: FakeEdge) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with running(browser, edge.url, cdp=nobody) as agent:
            while len(agent.lines("browser unavailable")) < 2:  # noqa: ASYNC110 - nobody is there to be told
                await asyncio.sleep(0.01)
            line = agent.lines("browser unavailable")[0]
            assert (line["browser"], line["reason"]) == (nobody, "the browser does not answer (Connection refused)")
            assert edge.arrivals == [], "a device without a browser is none"

    play(scenario)


@pytest.mark.parametrize("ticks", range(12))
def test_it_stops_even_in_the_moment_in_which_its_edge_goes(browser: FakeBrowser, ticks: int) -> None:
    """Edge and agent are often told to stop together: a stop that is lost then leaves a browser running for good."""

    async def scenario(edge: FakeEdge) -> None:
        async with running(browser, edge.url) as agent:
            visit = await edge.registered()
            visit.connection.transport.abort()
            for _ in range(ticks):  # whichever step of losing the edge the stop falls into
                await asyncio.sleep(0)
            agent.stop()
            assert await agent.ended()

    play(scenario)
