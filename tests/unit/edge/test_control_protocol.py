"""What operators may ask, and how it is read."""

from typing import Any

import pytest

from browsergo.core.errors import BadMessage, InvalidArgument, InvalidDeviceId
from edge.core.control_protocol import COMMAND_SCOPES, Command, read_command, read_device_id


def test_a_command_is_read_with_and_without_params() -> None:
    assert read_command({"command": "listDevices"}) == Command("listDevices", {})
    assert read_command({"command": "disconnectDevice", "params": {"deviceId": "a"}}).params == {"deviceId": "a"}


@pytest.mark.parametrize(
    "body",
    [{}, {"command": 1}, {"command": None}, {"command": "listDevices", "params": []}, {"command": ["listDevices"]}],
)
def test_what_is_no_command_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(BadMessage):
        read_command(body)


def test_an_unknown_command_is_refused_with_those_that_exist() -> None:
    with pytest.raises(InvalidArgument) as refused:
        read_command({"command": "x" * 1000})
    assert all(name in refused.value.message for name in COMMAND_SCOPES)
    assert len(refused.value.message) < 200


def test_only_reading_needs_only_the_right_to_read() -> None:
    assert COMMAND_SCOPES == {"listDevices": "control:read", "disconnectDevice": "control:write"}


@pytest.mark.parametrize("device", [None, 7, "", "no such", "any", ["a"]])
def test_a_device_id_must_be_one(device: Any) -> None:
    with pytest.raises(InvalidDeviceId):
        read_device_id({"deviceId": device})
