"""Messages of /v2/control (design/endpoints.md, "/v2/control"); the envelope is that of /v2/device.

server -> operator  control:status   {status, timestamp, version, uptime (s), connections{total, active, errors},
resources{memoryUsage, queueSize, connectionPoolSize}, parts[{name, healthy, detail}],
edges[{edgeId, overload (ok, saving, refusing, closing), memoryUsage, memoryLimit, loopLagMs}],
commands{pending}, devices{total, active}, insecureNoAuth}
operator -> server  control:status   {}
operator -> server  control:command  {command, params}
server -> operator  control:command  {command, success, result}          (the id echoed)
server -> operator  error            {error, message}                    (the id echoed)
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from browsergo.core.errors import BadMessage, InvalidArgument, InvalidDeviceId
from browsergo.core.ids import is_device_id

SUBPROTOCOL = "browsergo.control.v2"
STATUS = "control:status"
COMMAND = "control:command"
ERROR = "error"

LIST_DEVICES = "listDevices"
DISCONNECT_DEVICE = "disconnectDevice"

# What each command needs to be allowed.
COMMAND_SCOPES = {LIST_DEVICES: "control:read", DISCONNECT_DEVICE: "control:write"}


class Command(NamedTuple):
    """An operator's command; `params` as sent."""

    name: str
    params: Mapping[str, Any]


def read_command(body: Mapping[str, Any]) -> Command:
    """`data` of control:command. Raises BadMessage or InvalidArgument (an unknown command; the known are named)."""
    name, params = body.get("command"), body.get("params", {})
    if not isinstance(name, str) or not isinstance(params, dict):
        raise BadMessage("control:command is {command, params}")
    if name not in COMMAND_SCOPES:
        raise InvalidArgument(f"no command {name[:64]!r}; there are {', '.join(COMMAND_SCOPES)}")
    return Command(name, params)


def read_device_id(params: Mapping[str, Any]) -> str:
    """`params.deviceId`. Raises InvalidDeviceId."""
    device = params.get("deviceId")
    if not isinstance(device, str) or not is_device_id(device):
        raise InvalidDeviceId
    return device
