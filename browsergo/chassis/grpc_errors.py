"""Errors across gRPC, both directions side by side.

An error travels as its gRPC status, its words, and an ErrorDetail in trailing metadata.
"""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError
from grpc import aio

from browsergo.core import errors
from browsergo.v2 import types_pb2

DETAIL_KEY = "browsergo-error-bin"

_FROM_STATUS: dict[grpc.StatusCode, type[errors.BrowserGoError]] = {
    grpc.StatusCode.UNAVAILABLE: errors.ServiceUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.CANCELLED: errors.ServiceUnavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.Overloaded,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: errors.Forbidden,
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidArgument,
}


async def abort(context: "aio.ServicerContext[Any, Any]", error: errors.BrowserGoError) -> NoReturn:
    """End the RPC with `error`."""
    detail = types_pb2.ErrorDetail(
        code=error.code, category=error.category, message=error.message, retryable=error.retryable
    )
    await context.abort(grpc.StatusCode[error.grpc_status], error.message, ((DETAIL_KEY, detail.SerializeToString()),))
    raise AssertionError("abort returned")


def from_rpc(error: grpc.RpcError) -> errors.BrowserGoError:
    """The error behind a failed RPC: the peer's own if it sent one, else by status."""
    if not isinstance(error, aio.AioRpcError):
        return errors.ServiceUnavailable(str(error))
    metadata = cast("aio.Metadata", error.trailing_metadata())  # the stubs say tuple
    raw = metadata.get(DETAIL_KEY)
    if isinstance(raw, bytes):
        with contextlib.suppress(DecodeError):  # a detail that cannot be read is none: the status still says something
            detail = types_pb2.ErrorDetail.FromString(raw)
            return errors.from_code(detail.code, detail.message)
    cls = _FROM_STATUS.get(error.code())
    if cls is None:
        return errors.BrowserGoError(f"{error.code().name}: {error.details()}")
    return cls(error.details() or "")


T = TypeVar("T")


async def translated(call: Awaitable[T]) -> T:
    """Await an RPC; what fails is raised as a BrowserGoError."""
    try:
        return await call
    except grpc.RpcError as error:
        raise from_rpc(error) from None


def aborting(
    method: Callable[[Any, Any, "aio.ServicerContext[Any, Any]"], Awaitable[T]],
) -> Callable[[Any, Any, "aio.ServicerContext[Any, Any]"], Awaitable[T]]:
    """Decorate a unary servicer method: a BrowserGoError it raises ends the RPC properly."""

    async def guarded(self: Any, request: Any, context: "aio.ServicerContext[Any, Any]") -> T:
        try:
            return await method(self, request, context)
        except errors.BrowserGoError as error:
            await abort(context, error)

    guarded.__name__ = method.__name__
    guarded.__doc__ = method.__doc__
    return guarded
