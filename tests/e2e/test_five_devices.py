"""Five devices at once: none disconnects another, and no message meets the wrong browser.

Both happened in the original system: a registration re-homed other devices, and answers were matched by CDP id across
clients.
"""

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.at_once import together
from tests.e2e.fleet import (
    CLIENTS,
    DEVICES,
    EDGES,
    FAKE,
    FIRST_EDGE,
    HEARTBEAT_S,
    Fleet,
    speak,
)

pytestmark = pytest.mark.chrome

COMMANDS = 250  # of each client: a thousand for each device
POLL_S = 0.5
DEVICE_LOST = 4001
# What the parts write when a device, a link or a registration came to an end.
ENDS = {
    "device gone",
    "device connection lost",
    "device has no link",
    "device_released",
    "device_lease_expired",
    "device_refused",
    "devices_fenced",
    "link closed",
    "edge lost",
    "taken over",
    "registration refused",
    "refused by the edge",
    "trunk down",
}


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """All five; the last test kills them."""
    # In a folder with a short path, all that a killed agent leaves behind lies in the profile.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, Fleet(Path(folder)) as fleet:
        yield fleet


def events(fleet: Fleet) -> list[str]:
    """The names of all log lines so far."""
    lines = [line for line in fleet.parts.logs().splitlines() if line.startswith("{")]
    return [json.loads(line)["event"] for line in lines]


def stay_connected(fleet: Fleet, duration_s: float) -> None:
    """All five are there for so long, each on its first connection, and so is a client of each.

    The clients are silent meanwhile: it is by their heartbeats that the devices stay.
    """
    first = fleet.registered()
    assert set(first) == set(DEVICES)
    assert {name: device.edge for name, device in first.items()} == FIRST_EDGE
    assert {device.state for device in first.values()} == {"ACTIVE"}
    assert len({device.connection_id for device in first.values()}) == len(DEVICES)
    seen = fleet.last_seen_ms()
    with ExitStack() as opened:
        clients = {name: opened.enter_context(fleet.client(name, EDGES[0])) for name in DEVICES}
        for client in clients.values():
            client.call("Browser.getVersion")
        ends_s = time.monotonic() + duration_s
        while time.monotonic() < ends_s:
            time.sleep(POLL_S)  # nothing is expected to happen: there is no event to wait for
            assert fleet.registered() == first
        for client in clients.values():
            client.call("Browser.getVersion")
    now = fleet.last_seen_ms()
    assert all(now[name] - seen[name] > (duration_s - 2 * HEARTBEAT_S) * 1000 for name in DEVICES)
    happened = events(fleet)
    assert happened.count("registered") == happened.count("device registered") == len(DEVICES)
    assert not ENDS & set(happened), fleet.parts.logs()


def test_five_that_register_in_one_moment_are_all_there_and_stay(fleet: Fleet) -> None:
    stay_connected(fleet, 7)


@pytest.mark.slow
def test_five_stay_connected_for_a_minute_of_heartbeats(fleet: Fleet) -> None:
    stay_connected(fleet, 60)


def speak_all(fleet: Fleet, topic: str) -> None:
    """Four clients of each device, at both edges, all with the ids 1 to n, all at once."""
    start = threading.Barrier(CLIENTS * len(DEVICES))

    def converse(device: str, number: int) -> None:
        # Names are the same at every device: only the browser's stamp tells them apart.
        speech = fleet.speech(device, number, f"{topic}-{number}")
        with fleet.client(device, EDGES[number % len(EDGES)]) as client:
            speak(client, speech, COMMANDS, start)

    pairs = [(device, number) for device in DEVICES for number in range(CLIENTS)]
    together([lambda device=device, number=number: converse(device, number) for device, number in pairs])  # type: ignore[misc]
    asked = {f"{topic}-{number}:{n}" for number in range(CLIENTS) for n in range(1, COMMANDS + 2)}
    for name in FAKE:
        counted = {key: times for key, times in fleet.fakes[name].executions.items() if key.startswith(topic)}
        assert counted == dict.fromkeys(asked, 1)


def test_a_thousand_commands_to_each_at_once_are_answered_by_the_right_browser_once_and_in_order(fleet: Fleet) -> None:
    before = fleet.registered()
    speak_all(fleet, "parallel")
    assert fleet.registered() == before


@pytest.mark.slow
def test_five_that_are_killed_at_once_come_back_as_themselves(fleet: Fleet) -> None:
    before = fleet.registered()
    with ExitStack() as opened:
        idle = {name: opened.enter_context(fleet.client(name, EDGES[1])) for name in DEVICES}
        for client in idle.values():
            client.call("Browser.getVersion")
        fleet.kill_agents()
        fleet.start_agents()
        for name, client in idle.items():
            assert client.receive_rest() == [], f"{name}'s client heard something"
            assert client.socket.close_code == DEVICE_LOST
    after = fleet.registered()
    assert set(after) == set(DEVICES)
    for name in DEVICES:
        assert after[name].epoch > before[name].epoch
        assert after[name].boot != before[name].boot
        assert after[name].state == "ACTIVE"
    speak_all(fleet, "again")
    assert fleet.registered() == after
