"""Clients of one device never meet: same ids, own answers, own events, own end.

Each test that Chrome itself would pass runs against Chrome too, so that what is asked of the relay is what Chrome does.
"""

import threading
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from tests.e2e.at_once import together
from tests.e2e.raw_cdp import Message, RawClient
from tests.fakes.stack import Stack

pytestmark = pytest.mark.chrome

COMMANDS = 300
BIG_BYTES = 64 << 20
BIG_TIMEOUT_S = 60.0


def page_of_its_own(client: RawClient) -> str:
    """A session with a page that goes when the client goes."""
    context = client.call("Target.createBrowserContext", {"disposeOnDetach": True})["browserContextId"]
    target = client.call("Target.createTarget", {"url": "about:blank", "browserContextId": context})["targetId"]
    session: str = client.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
    client.call("Runtime.enable", session=session)
    return session


def send_stamped(client: RawClient, session: str, name: str, count: int) -> None:
    """Commands 1..count, each of which logs `NAME:i` (an event) and answers `NAME:i`."""
    for number in range(1, count + 1):
        stamp = f"{name}:{number}"
        expression = f"console.log('{stamp}'), '{stamp}'"
        client.send(number, "Runtime.evaluate", {"expression": expression, "returnByValue": True}, session)


def stamps(messages: list[Message]) -> list[tuple[str, str]]:
    """The stamps in the order they came, each with how: ("event", stamp) or ("answer", stamp), and the id agrees."""
    found = []
    for message in messages:
        if message.get("method") == "Runtime.consoleAPICalled":
            found.append(("event", message["params"]["args"][0]["value"]))
        elif "id" in message:
            stamp = message["result"]["result"]["value"]
            assert stamp.endswith(f":{message['id']}"), message
            found.append(("answer", stamp))
    return found


def expected_stamps(name: str, count: int) -> list[tuple[str, str]]:
    """Each command's event, then its answer, in send order."""
    return [(kind, f"{name}:{number}") for number in range(1, count + 1) for kind in ("event", "answer")]


def converse(url: str, name: str, count: int, start: threading.Barrier) -> None:
    """One client's whole life: its own page, `count` stamped commands, exactly its own messages in order."""
    with RawClient(url) as client:
        session = page_of_its_own(client)
        start.wait(60)
        send_stamped(client, session, name, count)
        messages = client.receive_answers(count)
        assert stamps(messages) == expected_stamps(name, count)
        assert {message.get("sessionId") for message in messages} == {session}


def test_two_clients_with_the_same_ids_get_only_their_own_messages_in_order(client_ws: str) -> None:
    start = threading.Barrier(2)
    together([lambda name=name: converse(client_ws, name, COMMANDS, start) for name in ("first", "second")])  # type: ignore[misc]


def test_twenty_clients_at_once(client_ws: str) -> None:
    start = threading.Barrier(20)
    names = [f"client{number}" for number in range(20)]
    together([lambda name=name: converse(client_ws, name, 100, start) for name in names])  # type: ignore[misc]


def test_a_client_that_vanishes_mid_traffic_leaves_the_other_unharmed(client_ws: str) -> None:
    with RawClient(client_ws) as staying, RawClient(client_ws) as leaving:
        session, other_session = page_of_its_own(staying), page_of_its_own(leaving)
        send_stamped(leaving, other_session, "leaving", COMMANDS)
        send_stamped(staying, session, "staying", COMMANDS)
        leaving.receive_answers(10)
        leaving.socket.socket.shutdown(2)  # no close frame: the TCP connection is simply gone
        assert stamps(staying.receive_answers(COMMANDS)) == expected_stamps("staying", COMMANDS)


def test_a_client_that_closes_leaves_the_other_unharmed(client_ws: str) -> None:
    with RawClient(client_ws) as staying, RawClient(client_ws) as leaving:
        session, other_session = page_of_its_own(staying), page_of_its_own(leaving)
        send_stamped(leaving, other_session, "leaving", COMMANDS)
        send_stamped(staying, session, "staying", COMMANDS // 2)
        leaving.socket.close()
        assert stamps(staying.receive_answers(COMMANDS // 2)) == expected_stamps("staying", COMMANDS // 2)


def test_browser_close_ends_only_the_callers_channel(relay: Stack) -> None:
    with RawClient(relay.urls.client_ws) as staying, RawClient(relay.urls.client_ws) as closing:
        session = page_of_its_own(staying)
        browser = browser_pid(staying)
        closing.send(7, "Browser.close")
        assert closing.receive() == {"id": 7, "result": {}}
        with pytest.raises(ConnectionClosed):
            closing.receive()
        assert closing.socket.close_code == CloseCode.NORMAL_CLOSURE
        assert staying.evaluate("'still ' + 'here'", session) == "still here"
        with RawClient(relay.urls.client_ws) as later:
            assert browser_pid(later) == browser


def browser_pid(client: RawClient) -> int:
    """The browser's process, as it says itself."""
    processes: list[dict[str, Any]] = client.call("SystemInfo.getProcessInfo")["processInfo"]
    return next(int(process["id"]) for process in processes if process["type"] == "browser")


def test_sessions_of_one_client_mean_nothing_to_another(client_ws: str) -> None:
    with RawClient(client_ws) as owner, RawClient(client_ws) as stranger:
        session = page_of_its_own(owner)
        stranger.send(1, "Runtime.evaluate", {"expression": "1"}, session)
        assert stranger.receive()["error"]["code"] == -32001  # Chrome's "Session with given id not found."
        assert owner.evaluate("1 + 1", session) == 2


def test_an_answer_of_64_mib_passes_whole_while_another_client_works(client_ws: str) -> None:
    with RawClient(client_ws) as big, RawClient(client_ws) as small:
        big_session, small_session = page_of_its_own(big), page_of_its_own(small)
        expression = f"'a' + 'x'.repeat({BIG_BYTES - 2}) + 'z'"
        big.send(1000, "Runtime.evaluate", {"expression": expression, "returnByValue": True}, big_session)
        send_stamped(small, small_session, "small", 100)
        assert stamps(small.receive_answers(100)) == expected_stamps("small", 100)
        answer = big.receive(BIG_TIMEOUT_S)
        assert answer["id"] == 1000
        value = answer["result"]["result"]["value"]
        assert len(value) == BIG_BYTES
        assert value == "a" + "x" * (BIG_BYTES - 2) + "z"
