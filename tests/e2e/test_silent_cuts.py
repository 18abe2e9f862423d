"""A network that falls silent is a pause: nothing is lost, and nothing is done twice when it speaks again."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import pytest

from tests.e2e import faults
from tests.e2e.figures import percentile, say
from tests.e2e.fleet import asking_a_fake
from tests.e2e.steady_client import SteadyClient
from tests.fakes.browser import FakeBrowser
from tests.fakes.parts import Parts
from tests.fakes.stack import free_port
from tests.fakes.tcp_proxy import FROM_TARGET, TO_TARGET, TcpProxy

pytestmark = pytest.mark.slow

LATENCY_S = 0.02
SLOW_S = 0.02
ENVIRONMENT = {"BROWSERGO_AGENT_IDLE_RETRY_S": "0.2"}
PAUSE_S = 15.0
NOTICED_S = 4.0  # less than any keepalive takes: a shorter pause was none of the cut's doing
# The device and which directions of its way to its edge fall silent.
DEVICES = {"silent": (TO_TARGET, FROM_TARGET), "mute": (TO_TARGET,), "deaf": (FROM_TARGET,)}
SIDES = "ab"
PATIENCE_S = 45.0


class Network(NamedTuple):
    """Clients of every device at edge-1; each device's own way to edge-2; the trunk of edge-1 to router-1."""

    clients: dict[str, list[SteadyClient]]
    ways: dict[str, TcpProxy]
    trunk: TcpProxy

    def go_on(self, answers: int) -> None:
        """Every client gets so many more answers."""
        for both in self.clients.values():
            for client in both:
                client.more(answers, PATIENCE_S)


def proxy_to(url: str) -> TcpProxy:
    host, _, port = url.rpartition("/")[2].partition(":")
    return TcpProxy((host, int(port)))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """All channels go through router-1 at first, since router-2 came later.

    At the end all must have been answered, in order, and done once.
    """
    with ExitStack() as opened:
        parts = opened.enter_context(Parts(tmp_path_factory.mktemp("network"), ENVIRONMENT))
        address = f"127.0.0.1:{free_port()}"
        trunk = opened.enter_context(proxy_to(address))
        parts.registry()
        parts.router("router-1", also_listen=(address,))
        parts.control()
        second = parts.router_address("router-2")
        parts.edge("edge-1", routers=(f"127.0.0.1:{trunk.port}", second))
        parts.edge("edge-2", routers=(address, second))
        parts.edge("edge-3", routers=(address, second))
        browsers = {device: opened.enter_context(FakeBrowser(LATENCY_S, device)) for device in DEVICES}
        ways = {device: opened.enter_context(proxy_to(parts.edge_url("edge-2"))) for device in DEVICES}
        for device, way in ways.items():
            dial = [f"ws://127.0.0.1:{way.port}", parts.edge_url("edge-3")]
            parts.agent(device, ["edge-2"], browsers[device].url, dial=dial)
        clients = {
            device: [
                opened.enter_context(SteadyClient(parts.client_ws("edge-1", device), asking_a_fake(device, side)))
                for side in SIDES
            ]
            for device in DEVICES
        }
        network = Network(clients, ways, trunk)
        network.go_on(20)
        router = parts.router("router-2")
        faults.until(lambda: router.text.count('"trunk up"') == 3, "all edges are on it")
        yield network
        for device, both in clients.items():
            for client in both:
                client.finish()
                client.check_complete()
            said = {
                f"{side}:{n}": 1 for side, client in zip(SIDES, both, strict=True) for n in range(1, client.sent + 1)
            }
            assert browsers[device].executions == said


def pause(what: str, network: Network, began_s: float) -> None:
    """Every client was cut off and goes on: say and judge its pause."""
    network.go_on(20)
    pauses = {device: [client.longest_pause_s(began_s) for client in both] for device, both in network.clients.items()}
    for device, both in pauses.items():
        say(f"{what}, device {device}: pauses of {', '.join(f'{pause_s * 1000:.0f} ms' for pause_s in both)}")
    every = [pause_s for both in pauses.values() for pause_s in both]
    assert min(every) >= NOTICED_S, "not cut off"
    assert percentile(every, 0.99) <= PAUSE_S


def test_an_edge_cut_silently_from_the_router_of_its_channels_goes_on_over_the_other(network: Network) -> None:
    began_s = time.monotonic()
    network.trunk.stall()
    pause("the trunk", network, began_s)
    network.trunk.flow()
    network.go_on(50)


def test_a_slow_way_between_agent_and_edge_that_falls_silent_is_a_pause(network: Network) -> None:
    for way in network.ways.values():
        way.delay(SLOW_S)
    network.go_on(20)
    began_s = time.monotonic()
    for device, directions in DEVICES.items():
        network.ways[device].stall(*directions)
    pause("the way of a device", network, began_s)
    # What lay in the way all the time arrives now, at ends that have moved on.
    for way in network.ways.values():
        way.flow()
    network.go_on(50)
