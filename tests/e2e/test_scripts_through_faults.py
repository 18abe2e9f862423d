"""Unmodified Playwright and Puppeteer in the middle of clicks, typing and evaluates while the relay breaks."""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from tests.e2e import faults
from tests.e2e.chrome import DirectChrome
from tests.e2e.figures import say
from tests.e2e.script import PLAYWRIGHT, Script, puppeteer
from tests.fakes.parts import Part, agent_beside
from tests.fakes.site import Site
from tests.fakes.stack import Stack
from tests.fakes.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.slow, pytest.mark.chrome]

ROUNDS, BREAK_AT, CUTS_AT = 50, 10, (20, 25, 30, 35)
CLIENTS = ("Playwright", "Puppeteer")
# Where the client shows its user what a command was answered with. Playwright says of a failed evaluate that there must
# have been a navigation, and Puppeteer of a click sometimes only what came after.
TELLING = (("Playwright", "command"), ("Puppeteer", "evaluate"))
INTERRUPTED = (*TELLING, ("Playwright", "click"), ("Puppeteer", "type"))
DROP_S = 5.0
WINDOW_S = 8.0
ENVIRONMENT = {
    "BROWSERGO_EDGE_RESUME_WINDOW_S": str(WINDOW_S),
    "BROWSERGO_AGENT_IDLE_RETRY_S": "0.2",
}


class Reached:
    """A supervised relay whose device is an agent that reaches both edges by a way that can be broken."""

    def __init__(self, folder: Path, chrome: DirectChrome) -> None:
        self.stack = Stack(folder, ENVIRONMENT, ("--no-device",))
        self.ways: list[TcpProxy] = []
        self._folder, self._chrome = folder, chrome
        self._agent: Part
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            opening.enter_context(self.stack)
            for edge_id in ("edge-2", "edge-1"):
                host, _, port = self.stack.edge_url(edge_id).removeprefix("ws://").partition(":")
                self.ways.append(opening.enter_context(TcpProxy((host, int(port)))))
            urls = [f"ws://127.0.0.1:{way.port}" for way in self.ways]
            browser = f"http://{self._chrome.address}"
            self._agent = agent_beside(self.stack, self._folder, faults.LOCAL, urls, browser, ENVIRONMENT)
            opening.callback(self._end_agent)
            faults.wait_whole(self.stack)
            self._opened = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def drop(self) -> None:
        """The device's connections are reset, and whoever dials waits."""
        for way in self.ways:
            way.hold()
        assert sum(way.cut() for way in self.ways) == 3, "a control connection and a pool of two"

    def mend(self) -> None:
        """The way is free again."""
        for way in self.ways:
            way.release()

    def _end_agent(self) -> None:
        assert self._agent.end() == 0, self._agent.text


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory, direct_chrome: DirectChrome) -> Iterator[Reached]:
    with Reached(tmp_path_factory.mktemp("reached"), direct_chrome) as reached:
        yield reached


def all_once(rounds: int) -> dict[str, Any]:
    """What the page counted if every click, character and evaluate happened once."""
    return {"counted": [rounds, "".join(f"{number}," for number in range(rounds)), list(range(rounds))]}


def script(reached: Reached, site: Site, client: str, rounds: int, acts: str) -> Script:
    """A client's script, to be entered."""
    words = PLAYWRIGHT if client == "Playwright" else puppeteer()
    return Script(words, reached.stack.urls.client_ws, site.url, str(rounds), acts)


@contextmanager
def in_the_middle(scripts: Iterable[Script]) -> Iterator[None]:
    """All of them run, and have come some way."""
    with ExitStack() as opened:
        for each in scripts:
            opened.enter_context(each)
        for each in scripts:
            each.until(BREAK_AT)
        yield


def test_scripts_pass_unchanged_while_the_device_drops_out_and_router_and_registry_are_killed(
    reached: Reached, site: Site
) -> None:
    running = {client: script(reached, site, client, ROUNDS, "click,type,evaluate") for client in CLIENTS}
    victims = [faults.process(reached.stack, words) for words in (faults.ROUTER, faults.REGISTRY)]
    with in_the_middle(running.values()):
        reached.drop()
        for victim in victims:
            faults.kill(victim)
        time.sleep(DROP_S)  # the length of the outage
        reached.mend()
        for rounds in CUTS_AT:
            for each in running.values():
                each.until(rounds)
            assert sum(way.cut() for way in reached.ways) >= 1
    for name, each in running.items():
        longest = sorted(each.rounds_s())[-2:]
        say(f"{name}: its longest rounds took {', '.join(f'{round_s * 1000:.0f} ms' for round_s in longest)}")
        assert each.result == all_once(ROUNDS)
        assert longest[-1] >= DROP_S, "it was not in the middle of something"


def test_scripts_are_told_why_when_the_device_stays_away_and_their_processes_live(reached: Reached, site: Site) -> None:
    faults.wait_whole(reached.stack)
    running = {(client, act): script(reached, site, client, 100 * ROUNDS, act) for client, act in INTERRUPTED}
    with in_the_middle(running.values()):
        reached.drop()
        began_s = time.monotonic()
        for each in running.values():
            each.end()
        ended_s = time.monotonic() - began_s
        reached.mend()
    for name, each in running.items():
        say(f"{name}, {ended_s:.1f} s after the device was lost: {each.result}")
        assert each.result["error"], name
        assert each.result["next"], name
        assert each.result["connected"] is False, name
    for told in TELLING:
        assert "Browser-Go: the device did not come back in time" in running[told].result["error"]
    assert WINDOW_S - 1 <= ended_s <= WINDOW_S + 10
    faults.wait_whole(reached.stack)
