"""What a stranger can learn of a gRPC server: its health, and by reflection its services.

The stubs of these two packages differ in their types from one distribution of type stubs to the next, hence Any.
"""

from collections.abc import AsyncIterator
from typing import Any

from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health(channel: Any, service: str) -> int:
    """The status of one service."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    return int((await stub.Check(health_pb2.HealthCheckRequest(service=service))).status)


async def health_changes(channel: Any) -> AsyncIterator[int]:
    """The status of the server as a whole, now and whenever it changes."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    async for answer in stub.Watch(health_pb2.HealthCheckRequest()):
        yield int(answer.status)


async def services(channel: Any) -> set[str]:
    """The full names of all services."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    return {service.name async for answer in call for service in answer.list_services_response.service}
