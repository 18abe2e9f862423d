"""Where an edge finds a device: as the registry's watch told, at once, and as it told last while it is away."""

from pathlib import Path

import pytest

from browsergo.core.errors import HandshakeRefused
from tests.fakes.device_client import EchoDevice, registration
from tests.fakes.edge_world import World, play, until


async def both_known(world: World) -> None:
    """The watch has told of the laptop."""
    placement = world.edge.parts.placement
    await until(
        lambda: placement.routes.is_current and placement.routes.view.get("laptop") is not None,
        "the route of the laptop",
    )


def test_clients_come_in_while_the_registry_is_away(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world, registration("laptop"), world.edges[-1])
        await both_known(world)
        await world.stop_registry()
        await until(lambda: not world.edge.parts.placement.routes.is_current, "the end of the watch")
        client = await world.client()
        assert (await client.call(1, "Fake.say"))["result"]["device"] == "laptop"
        with pytest.raises(HandshakeRefused) as refused:
            await world.client("phone")
        assert refused.value.status == 503, "nobody can say where it is"
        await client.close()
        await echo.leave()

    play(tmp_path, scenario, edges=2)


def test_a_device_that_moves_is_found_where_it_is(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        for boot, edge in (("boot-1", world.edges[1]), ("boot-2", world.edges[2]), ("boot-3", world.edges[1])):
            echo = await EchoDevice.start(world, registration("laptop", boot=boot), edge)
            client = await world.client()
            assert (await client.call(1, "Fake.say"))["result"]["device"] == "laptop"
            await client.close()
            await echo.leave()
        await until(lambda: world.edge.parts.placement.routes.view.get("laptop") is None, "that it is gone")
        with pytest.raises(HandshakeRefused) as refused:
            await world.client()
        assert (refused.value.status, "DEVICE_OFFLINE" in refused.value.body) == (503, True)

    play(tmp_path, scenario, edges=3)
