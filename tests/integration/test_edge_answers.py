"""Answers that a browser does not give in time, or gives without an id, at real edges; the browser is an echo."""

from pathlib import Path

from tests.fakes.device_client import EchoDevice
from tests.fakes.edge_process import edge_process
from tests.fakes.edge_world import World, play, until
from tests.fakes.websocket_client import dial_socket

LAPTOP = "/v2/cdp/laptop"


def test_a_command_has_its_deadline_and_the_channel_goes_on(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        async with edge_process(world, tmp_path, "--command-deadline-s", "0.5") as edge:
            await edge.until_failing()
            client = await dial_socket(edge.address, LAPTOP, headers=world.bearer("cdp:laptop:full"))
            client.send_json({"id": 7, "method": "Hold.answer", "params": {}, "sessionId": "S"})
            late = await client.receive_json()
            assert (late["id"], late["sessionId"]) == (7, "S")
            assert late["error"]["message"] == "Browser-Go: no answer in time; command may have been executed"
            assert late["error"]["data"].startswith("reason=DEADLINE executed=unknown retry=unsafe device=laptop")
            assert (await client.call(8, "Fake.say"))["id"] == 8
            client.send_json({"id": 7, "method": "Fake.say", "params": {}})
            assert "already in flight" in (await client.receive_json())["error"]["message"]
            [channel] = echo.open
            echo.say(channel, {"id": 7, "result": {"late": True}})
            answer = await client.call(9, "Fake.say")  # what came before it, in order, was dropped
            assert answer["id"] == 9
            assert (await client.call(7, "Fake.say"))["result"]["method"] == "Fake.say"
            assert echo.executed == ["Hold.answer", "Fake.say", "Fake.say", "Fake.say"]
            await client.close()
            await until(lambda: not echo.open, "the device lets its channel go")
        await echo.leave()

    play(tmp_path, scenario)


def test_an_error_of_the_browsers_without_an_id_ends_its_channel_and_no_other(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        echo = await EchoDevice.start(world)
        client = await world.client()
        [channel] = echo.open
        other = await world.client()
        for number in (3, 4):
            client.send_json({"id": number, "method": "Hold.answer", "params": {}})
        await until(lambda: echo.executed == ["Hold.answer"] * 2, "both commands are executed")
        echo.say(channel, {"error": {"code": -32700, "message": "Message must be a valid JSON"}})
        for number in (3, 4):
            refusal = await client.receive_json()
            assert refusal["id"] == number
            assert refusal["error"]["data"].startswith("reason=BAD_MESSAGE executed=unknown")
        closed = await client.closed()
        assert closed.code == 4502
        assert closed.reason.startswith("BAD_MESSAGE: the browser answered without an id")
        assert (await other.call(3, "Fake.say"))["id"] == 3
        await until(lambda: len(echo.open) == 1, "the device lets that channel go")
        await echo.leave()

    play(tmp_path, scenario)
