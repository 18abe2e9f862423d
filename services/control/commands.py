"""Commands for an edge, passed on by whichever router has its trunk."""

from collections.abc import Sequence

from browsergo.core.errors import BrowserGoError
from browsergo.v2 import router_pb2, types_pb2
from services.control.core import fleet
from services.control.core.fleet import EdgeKey
from services.control.peers import RouterPeer, within


async def disconnect_device(
    routers: Sequence[RouterPeer], edge: EdgeKey, device_id: str, reason: str, deadline_s: float
) -> bool:
    """Have the edge close the device's sockets; whether it had any. Raises as `command_edge`."""
    command = router_pb2.DisconnectDevice(device_id=device_id, reason=reason)
    request = router_pb2.CommandEdgeRequest(edge=_message(edge), disconnect_device=command)
    return (await command_edge(routers, edge, request, deadline_s)).device_disconnected.was_connected


async def describe_edge(routers: Sequence[RouterPeer], edge: EdgeKey, deadline_s: float) -> router_pb2.EdgeDescription:
    """The edge's own account of itself. Raises as `command_edge`."""
    request = router_pb2.CommandEdgeRequest(edge=_message(edge), describe_edge=router_pb2.DescribeEdge())
    return (await command_edge(routers, edge, request, deadline_s)).edge_description


async def command_edge(
    routers: Sequence[RouterPeer], edge: EdgeKey, request: router_pb2.CommandEdgeRequest, deadline_s: float
) -> router_pb2.CommandEdgeResponse:
    """Try the routers in turn until one passes the command on; `deadline_s` is for all of them together.

    Raises EdgeLost (no router has its trunk), ServiceUnavailable, DeadlineExceeded, and what the edge answers.
    """
    return await within(deadline_s, _first_that_can(routers, edge, request, deadline_s))


async def _first_that_can(
    routers: Sequence[RouterPeer], edge: EdgeKey, request: router_pb2.CommandEdgeRequest, deadline_s: float
) -> router_pb2.CommandEdgeResponse:
    failures: list[BrowserGoError] = []
    for router in routers:
        try:
            return await router.command(request, deadline_s)
        except BrowserGoError as error:
            if not fleet.may_try_next(error):
                raise
            failures.append(error)
    raise fleet.undelivered(edge, failures)


def _message(edge: EdgeKey) -> types_pb2.EdgeRun:
    return types_pb2.EdgeRun(edge_id=edge.edge_id, boot=edge.boot)
