"""Several clients on the same pages, by browser and page endpoints: what one does to a page, all are told truthfully.

Each test that Chrome itself would pass runs against Chrome too; where it says nothing at all, the relay's one word is
asked for instead.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import pytest

from tests.e2e import faults
from tests.e2e.at_once import together
from tests.e2e.raw_cdp import TIMEOUT_S, Message, RawClient
from tests.e2e.test_isolation import page_of_its_own
from tests.fakes.stack import Stack

pytestmark = pytest.mark.chrome

COMMANDS = 100
HANGING, ENDING = 100, 50
HANG = {"expression": "new Promise(() => 0)", "awaitPromise": True}
DEVICE_LOST, NO_CLOSE_FRAME = 4001, 1006


class Way(NamedTuple):
    """How clients reach a browser: its browser endpoint, and whether the relay is between."""

    client_ws: str
    relayed: bool

    def page_ws(self, target: str) -> str:
        """The endpoint of one page."""
        if self.relayed:
            return self.client_ws.replace("?", f"/devtools/page/{target}?")
        return f"ws://{urlsplit(self.client_ws).netloc}/devtools/page/{target}"


@pytest.fixture
def way(client_ws: str) -> Way:
    """Once to Chrome itself, once through the relay."""
    return Way(client_ws, "/v2/cdp/" in client_ws)


class Visit(NamedTuple):
    """One client's hold on a page: a session of the browser endpoint, or a page endpoint (session "")."""

    client: RawClient
    session: str

    def send(self, number: int, method: str, params: Message | None = None) -> None:
        self.client.send(number, method, params, self.session)

    def call(self, method: str, params: Message | None = None) -> Message:
        return self.client.call(method, params, self.session)

    def until(self, is_last: Callable[[Message], bool]) -> list[Message]:
        """All messages up to this one."""
        messages = [self.client.receive()]
        while not is_last(messages[-1]):
            messages.append(self.client.receive())
        return messages


class Shared:
    """A page in a browser context of its own, those who visit it, and somebody on another page."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        self.host = self._client(self._way.client_ws)
        self.context = self.host.call("Target.createBrowserContext")["browserContextId"]
        body = {"url": "about:blank", "browserContextId": self.context}
        self.target: str = self.host.call("Target.createTarget", body)["targetId"]
        neighbour = self._client(self._way.client_ws)
        self.neighbour = Visit(neighbour, page_of_its_own(neighbour))
        self.neighbour.send(HANGING, "Runtime.evaluate", HANG | {"expression": "new Promise(go => globalThis.go = go)"})
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _client(self, url: str) -> RawClient:
        return self._opened.enter_context(RawClient(url))

    def by_session(self) -> Visit:
        """A visitor by the browser endpoint."""
        client = self._client(self._way.client_ws)
        client.call("Target.setDiscoverTargets", {"discover": True})
        session = client.call("Target.attachToTarget", {"targetId": self.target, "flatten": True})["sessionId"]
        client.call("Inspector.enable", session=session)
        return Visit(client, session)

    def by_page(self) -> Visit:
        """A visitor by the page endpoint."""
        client = self._client(self._way.page_ws(self.target))
        client.call("Inspector.enable")
        return Visit(client, "")

    def check_neighbour(self) -> None:
        """Whoever is on another page has lost nothing, not even what was in flight."""
        self.neighbour.send(HANGING + 1, "Runtime.evaluate", {"expression": "go('gone well')"})
        messages = self.neighbour.client.receive_answers(2)
        assert [message["id"] for message in messages] == [HANGING, HANGING + 1], messages
        assert messages[0]["result"]["result"]["value"] == "gone well"


@pytest.fixture
def shared(way: Way) -> Iterator[Shared]:
    """A page to be shared; its context goes with the test."""
    with Shared(way) as shared:
        yield shared
        with RawClient(way.client_ws) as client:
            if shared.context in client.call("Target.getBrowserContexts")["browserContextIds"]:
                client.call("Target.disposeBrowserContext", {"browserContextId": shared.context})


def answers_to(messages: list[Message], number: int) -> list[Message]:
    """All answers with this id; one or none."""
    return [message for message in messages if message.get("id") == number]


def is_event(name: str, **params: str) -> Callable[[Message], bool]:
    """Whether a message is this event with these parameters."""
    return lambda message: message.get("method") == name and params.items() <= message["params"].items()


def check_relay_error(message: Message, reason: str) -> None:
    """The relay's own word for a command that may have been executed."""
    assert message["error"]["code"] == -32000
    assert message["error"]["data"].startswith(f"reason={reason} executed=unknown retry=unsafe "), message


# --- on one page at once -----------------------------------------------------------------------------------


def converse(visit: Visit, name: str, writers: list[str], start: threading.Barrier) -> None:
    """Commands that log to the page all share: its own answers in order, and everybody's log once and in order."""
    start.wait(60)
    for number in range(1, COMMANDS + 1):
        expression = f"console.log('{name}:{number}'), '{name}:{number}'"
        visit.send(number + 1000, "Runtime.evaluate", {"expression": expression})
    answers, logged, is_deaf = list[str](), list[str](), name.startswith("deaf")
    while len(answers) < COMMANDS or len(logged) < COMMANDS * len(writers) * (not is_deaf):
        message = visit.client.receive()
        if "id" in message:
            answers.append(message["result"]["result"]["value"])
            assert message["id"] == 1000 + len(answers)
        elif message["method"] == "Runtime.consoleAPICalled":
            logged.append(message["params"]["args"][0]["value"])
        else:
            continue  # of targets: about all of the browser, and in no session
        assert message.get("sessionId", "") == visit.session
    assert answers == stamps(name)
    assert not (is_deaf and logged), "it never asked for these events"
    for writer in [] if is_deaf else writers:
        assert [stamp for stamp in logged if stamp.startswith(f"{writer}:")] == stamps(writer)


def stamps(name: str) -> list[str]:
    """What one client says, in order."""
    return [f"{name}:{number}" for number in range(1, COMMANDS + 1)]


def test_browser_and_page_endpoints_on_one_page_have_their_own_answers_sessions_and_events(shared: Shared) -> None:
    visits = {
        "listening session 1": shared.by_session(),
        "listening session 2": shared.by_session(),
        "listening page": shared.by_page(),
        "deaf session": shared.by_session(),
        "deaf page": shared.by_page(),
    }
    for name, visit in visits.items():
        if name.startswith("listening"):
            visit.call("Runtime.enable")
    start, writers = threading.Barrier(len(visits)), list(visits)
    together([lambda name=name, visit=visit: converse(visit, name, writers, start) for name, visit in visits.items()])  # type: ignore[misc]
    shared.check_neighbour()


def test_two_sessions_of_one_client_on_one_page_are_told_apart(shared: Shared) -> None:
    deaf = shared.by_session()
    body = {"targetId": shared.target, "flatten": True}
    listening = Visit(deaf.client, deaf.client.call("Target.attachToTarget", body)["sessionId"])
    listening.call("Runtime.enable")
    deaf.send(HANGING, "Runtime.evaluate", {"expression": "console.log('said')"})
    messages = deaf.until(lambda message: message.get("id") == HANGING)
    listening.send(HANGING + 1, "Runtime.evaluate", {"expression": "1"})  # the event comes before this one's answer
    messages += deaf.until(lambda message: message.get("id") == HANGING + 1)
    answers = {message["id"]: message["sessionId"] for message in messages if "id" in message}
    assert answers == {HANGING: deaf.session, HANGING + 1: listening.session}
    said = [message["sessionId"] for message in messages if message.get("method") == "Runtime.consoleAPICalled"]
    assert said == [listening.session]


# --- pages that close --------------------------------------------------------------------------------------

Closing = Callable[[Shared], tuple[str, Message]]
CLOSINGS: dict[str, Closing] = {
    "closeTarget": lambda shared: ("Target.closeTarget", {"targetId": shared.target}),
    "disposeBrowserContext": lambda shared: ("Target.disposeBrowserContext", {"browserContextId": shared.context}),
}


@pytest.mark.parametrize("closing", CLOSINGS)
def test_a_page_that_one_client_closes_ends_for_all_who_are_on_it_and_for_nobody_else(
    way: Way, shared: Shared, closing: str
) -> None:
    by_session, by_page = shared.by_session(), shared.by_page()
    for visit in (by_session, by_page):
        visit.send(HANGING, "Runtime.evaluate", HANG)
        assert visit.call("Runtime.evaluate", {"expression": "1"})["result"]["value"] == 1
    shared.host.send(ENDING, *CLOSINGS[closing](shared))
    assert "result" in Visit(shared.host, "").until(lambda message: message.get("id") == ENDING)[-1]
    check_session_ended(by_session, way, shared.target)
    check_page_ended(by_page, way)
    shared.check_neighbour()


def check_session_ended(visit: Visit, way: Way, target: str) -> None:
    """Its session is detached; Chrome says nothing to what was in flight there, the relay says so once, afterwards."""
    messages = visit.until(is_event("Target.targetDestroyed", targetId=target))
    assert answers_to(messages, HANGING) == []
    detached = [message for message in messages if message.get("method") == "Target.detachedFromTarget"]
    assert [message["params"]["sessionId"] for message in detached] == [visit.session]
    if way.relayed:
        [answer] = answers_to(visit.until(lambda message: message.get("id") == HANGING), HANGING)
        assert answer["sessionId"] == visit.session
        check_relay_error(answer, "SESSION_GONE")
    visit.send(HANGING + 1, "Runtime.evaluate", {"expression": "1"})
    visit.client.send(HANGING + 2, "Browser.getVersion")
    rest = visit.until(lambda message: message.get("id") == HANGING + 2)
    assert [message["error"]["code"] for message in answers_to(rest, HANGING + 1)] == [-32001]
    assert answers_to(rest, HANGING) == []


def check_page_ended(visit: Visit, way: Way) -> None:
    """Chrome says that the page is gone and drops the socket; the relay answers what was in flight, then closes."""
    messages = visit.client.receive_rest()
    reasons = [message["params"]["reason"] for message in messages if message.get("method") == "Inspector.detached"]
    assert reasons[-1] == "target_closed"
    assert reasons.count("target_closed") == 1
    assert len(answers_to(messages, HANGING)) == way.relayed
    if way.relayed:
        check_relay_error(messages[-1], "CHANNEL_GONE")
    assert visit.client.socket.close_code == (DEVICE_LOST if way.relayed else NO_CLOSE_FRAME)


def test_a_worker_that_ends_with_a_command_in_flight_leaves_its_page_alone(way: Way, shared: Shared) -> None:
    page = shared.by_session()
    page.call("Target.setAutoAttach", {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True})
    page.client.events.clear()
    page.send(1000, "Runtime.evaluate", {"expression": "globalThis.worker = new Worker('data:text/javascript,'), 1"})
    [*_, attached] = page.until(is_event("Target.attachedToTarget"))
    worker = Visit(page.client, attached["params"]["sessionId"])
    worker.send(1001, "Runtime.evaluate", HANG)
    worker.send(1002, "Runtime.evaluate", {"expression": "1"})
    page.until(lambda message: message.get("id") == 1002)
    page.send(1003, "Runtime.evaluate", {"expression": "worker.terminate()"})
    page.until(is_event("Target.detachedFromTarget", sessionId=worker.session))
    if way.relayed:
        [*_, answer] = page.until(lambda message: message.get("id") == 1001)
        check_relay_error(answer, "SESSION_GONE")
    page.send(1004, "Runtime.evaluate", {"expression": "6 * 7"})
    messages = page.until(lambda message: message.get("id") == 1004)
    assert messages[-1]["result"]["result"]["value"] == 42
    assert answers_to(messages, 1001) == []


# --- pages that crash --------------------------------------------------------------------------------------


def test_a_page_that_crashes_is_reported_to_all_who_are_on_it_and_can_be_reloaded(shared: Shared) -> None:
    crasher, by_session, by_page = shared.by_session(), shared.by_session(), shared.by_page()
    for visit in (by_session, by_page):
        visit.send(HANGING, "Runtime.evaluate", HANG)
        assert visit.call("Runtime.evaluate", {"expression": "1"})["result"]["value"] == 1
    crasher.send(ENDING, "Page.crash")
    crashed = {visit: visit.until(is_event("Inspector.targetCrashed")) for visit in (crasher, by_session, by_page)}
    for visit, messages in crashed.items():
        assert messages[-1].get("sessionId", "") == visit.session
        assert answers_to(messages, HANGING) == []
    by_session.until(is_event("Target.targetCrashed", targetId=shared.target, status="crashed"))
    shared.check_neighbour()

    by_page.send(HANGING + 1, "Page.reload")
    told = {visit: visit.until(is_event("Inspector.targetReloadedAfterCrash")) for visit in crashed}
    told[by_page] += by_page.until(lambda message: message.get("id") == HANGING + 1)
    for visit, number in ((crasher, ENDING), (by_session, HANGING), (by_page, HANGING)):
        [answer] = answers_to(told[visit], number)
        assert (answer["error"]["message"], answer.get("sessionId", "")) == ("Target crashed", visit.session)
    for visit in crashed:
        visit.send(HANGING + 2, "Runtime.evaluate", {"expression": "6 * 7"})
        [*_, answer] = visit.until(lambda message: message.get("id") == HANGING + 2)
        assert answer["result"]["result"]["value"] == 42


# --- a browser that dies -----------------------------------------------------------------------------------


class Told(NamedTuple):
    """What one client was told from the death of the browser on."""

    messages: list[Message]
    close_code: int | None
    reason: str


def die_with(visits: list[Visit], break_it: Callable[[], object]) -> list[Told]:
    """Each has commands in flight; what each is told until its connection closes."""
    for visit in visits:
        for number in range(HANGING, HANGING + 20):
            visit.send(number, "Runtime.evaluate", HANG)
        assert visit.call("Runtime.evaluate", {"expression": "1"})["result"]["value"] == 1
    break_it()
    told = []
    for visit in visits:
        messages = visit.client.receive_rest(TIMEOUT_S)
        told.append(Told(messages, visit.client.socket.close_code, visit.client.socket.close_reason or ""))
    return told


def test_a_browser_that_dies_is_told_to_page_and_browser_endpoints_alike_and_another_serves(fresh_relay: Stack) -> None:
    way = Way(fresh_relay.urls.client_ws, relayed=True)
    with Shared(way) as shared:
        visits = [shared.by_page(), shared.by_session(), shared.by_page(), shared.by_session()]
        browser = faults.browser_process(fresh_relay)
        for visit, told in zip(visits, die_with(visits, lambda: faults.kill(browser)), strict=True):
            check_told_of_death(visit, told)
        [answer] = [message for message in shared.neighbour.client.receive_rest() if "id" in message]
        assert (answer["id"], answer["sessionId"]) == (HANGING, shared.neighbour.session)
    faults.wait_whole(fresh_relay)
    with Shared(way) as shared:
        for visit in (shared.by_page(), shared.by_session()):
            assert visit.call("Runtime.evaluate", {"expression": "6 * 7"})["result"]["value"] == 42


def check_told_of_death(visit: Visit, told: Told) -> None:
    """Each command answered once, in send order, then the end of the session or page, then the close."""
    *errors, last = [message for message in told.messages if not message.get("method", "").startswith("Target.target")]
    assert [message["id"] for message in errors] == list(range(HANGING, HANGING + 20))
    assert all(message.get("sessionId", "") == visit.session for message in errors)
    reason = told.reason.partition(":")[0]
    for message in errors:
        check_relay_error(message, reason)
    assert told.close_code == DEVICE_LOST
    expected: dict[str, Any] = {"method": "Inspector.detached", "params": {"reason": reason}}
    if visit.session:
        expected = {"method": "Target.detachedFromTarget", "params": {"sessionId": visit.session}}
    assert last == expected
