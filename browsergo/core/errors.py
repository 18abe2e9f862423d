"""Every error of this system, each class with its code for every wire.

    BrowserGoError
    ├── NetworkError       connections that drop or never come up
    │   ├── DeviceOffline, DeviceLost, DeviceRestarted, DeviceReplaced, EdgeLost
    │   ├── ServiceUnavailable, DeadlineExceeded
    │   ├── HandshakeRefused
    ├── ProtocolError      somebody said what may not be said
    │   ├── BadMessage, BadFrame, UnsupportedVersion, MessageTooBig
    ├── StateError         right message, wrong moment
    │   ├── StaleEpoch, Draining, DeviceGone, SessionGone
    ├── ResourceError      a bound was reached
    │   ├── Overloaded, SlowConsumer, RateLimited
    └── BusinessError      understood, and refused
        ├── DeviceNotFound, TargetNotFound, FrontendNotFound, EdgeNotFound, NoSuchEndpoint, BrowserUnavailable
        ├── MethodNotAllowed
        ├── InvalidArgument, InvalidDeviceId, DeviceConflict, TakenOver
        └── Unauthenticated, TokenExpired, Forbidden, BadHost, BadOrigin

The five categories are the seed's; close codes and HTTP statuses are those of design/delivery.md
("Close codes"): 4000-4499 reconnecting may help, 4500-4999 it will not. docs/protocol/errors.md shows them all.
"""

from typing import ClassVar, Self

CDP_SERVER_ERROR = -32000
CLOSE_REASON_MAX_BYTES = 123


class BrowserGoError(Exception):
    """Base of all. `message` says in words what happened and, where something can be done, what."""

    code: ClassVar[str] = "INTERNAL"
    category: ClassVar[str] = "state"
    retryable: ClassVar[bool] = False
    grpc_status: ClassVar[str] = "INTERNAL"
    close_code: ClassVar[int] = 1011
    http_status: ClassVar[int] = 500
    cdp_error: ClassVar[int] = CDP_SERVER_ERROR  # the code in the answer to a command; CDP has no other for a server
    default_message: ClassVar[str] = "internal error"

    def __init__(self, message: str = "", *, retry_after_s: int | None = None) -> None:
        self.message = message or self.default_message
        self.retry_after_s = retry_after_s
        super().__init__(self.message)

    @property
    def close_reason(self) -> str:
        """The reason for a close frame: `CODE: message`, cut to 123 bytes (RFC 6455, 5.5)."""
        return cut_utf8(f"{self.code}: {self.message}", CLOSE_REASON_MAX_BYTES)


def cut_utf8(text: str, limit_bytes: int) -> str:
    """The longest start of `text` that fits `limit_bytes` of UTF-8, without half a character."""
    return text.encode("utf-8", "replace")[:limit_bytes].decode("utf-8", "ignore")


class NetworkError(BrowserGoError):
    category = "network"
    retryable = True
    grpc_status = "UNAVAILABLE"
    http_status = 503
    close_code = 1013


class DeviceOffline(NetworkError):
    code = "DEVICE_OFFLINE"
    grpc_status = "NOT_FOUND"
    close_code = 4001
    default_message = "the device is known but not connected now"


class DeviceLost(NetworkError):
    code = "DEVICE_LOST"
    close_code = 4001
    default_message = "device lost"


class DeviceRestarted(NetworkError):
    code = "DEVICE_RESTARTED"
    close_code = 4001
    default_message = "the device's agent or browser was restarted"


class DeviceReplaced(NetworkError):
    """For clients; the instance that lost the device is told TakenOver."""

    code = "DEVICE_REPLACED"
    close_code = 4002
    default_message = "another instance took this device over"


class EdgeLost(NetworkError):
    code = "EDGE_LOST"
    close_code = 4001
    default_message = "the edge that held the device is gone"


class ServiceUnavailable(NetworkError):
    code = "SERVICE_UNAVAILABLE"
    default_message = "a service this needs does not answer"


class DeadlineExceeded(NetworkError):
    code = "DEADLINE"
    grpc_status = "DEADLINE_EXCEEDED"
    http_status = 504
    default_message = "no answer in time"


class HandshakeRefused(NetworkError):
    """A server that was dialed answered the upgrade with an HTTP status. Whoever dialed says what that means."""

    code = "HANDSHAKE_REFUSED"
    http_status = 502
    default_message = "the server refused the WebSocket"
    status: int = 0
    body: str = ""

    @classmethod
    def answered(cls, status: int, body: str) -> Self:
        """What the server's answer was: its status and text."""
        error = cls(f"HTTP {status}: {body.strip()[:200]}")
        error.status, error.body = status, body
        return error


class ProtocolError(BrowserGoError):
    category = "protocol"
    retryable = False
    grpc_status = "INVALID_ARGUMENT"
    http_status = 400
    close_code = 4502


class BadMessage(ProtocolError):
    code = "BAD_MESSAGE"
    default_message = "the message could not be read"


class BadFrame(ProtocolError):
    """A frame or batch that its own layout rules out (docs/protocol/batch-layout.md)."""

    code = "BAD_FRAME"
    default_message = "a frame could not be read"


class UnsupportedVersion(ProtocolError):
    code = "VERSION"
    grpc_status = "FAILED_PRECONDITION"
    close_code = 4504
    default_message = "this version of the protocol is not spoken here"


class MessageTooBig(ProtocolError):
    code = "MESSAGE_TOO_BIG"
    grpc_status = "RESOURCE_EXHAUSTED"
    http_status = 413
    close_code = 1009
    default_message = "the message is too big"


class StateError(BrowserGoError):
    """Raised itself where a state machine lists no such step."""

    category = "state"
    retryable = False
    close_code = 1011
    code = "INVALID_STATE_TRANSITION"
    grpc_status = "FAILED_PRECONDITION"
    http_status = 409
    default_message = "this is not possible in the present state"


class StaleEpoch(StateError):
    code = "STALE_EPOCH"
    retryable = True  # by a client; the device's own agent leaves its session
    close_code = 4002
    default_message = "a newer registration of this device exists"


class Draining(StateError):
    code = "DRAINING"
    retryable = True
    grpc_status = "UNAVAILABLE"
    http_status = 503
    close_code = 4004
    default_message = "this edge is shutting down; connect again"


class DeviceGone(StateError):
    """The device end freed a channel; `why` of the frame became the message."""

    code = "CHANNEL_GONE"
    retryable = True
    close_code = 4001
    http_status = 502
    default_message = "the device ended this channel"


class SessionGone(StateError):
    """A command's session was detached while it was in flight. Ends no channel."""

    code = "SESSION_GONE"
    default_message = "its session is gone, with its tab or by being detached"


class ResourceError(BrowserGoError):
    category = "resource"
    retryable = True
    grpc_status = "RESOURCE_EXHAUSTED"
    http_status = 503


class Overloaded(ResourceError):
    code = "OVERLOADED"
    close_code = 4005
    default_message = "too much to do; try again later"


class SlowConsumer(ResourceError):
    code = "SLOW_CONSUMER"
    close_code = 4003
    default_message = "messages were not taken for too long"


class RateLimited(ResourceError):
    code = "RATE_LIMITED"
    http_status = 429
    close_code = 4005
    default_message = "too many attempts"


class BusinessError(BrowserGoError):
    category = "business"
    retryable = False
    grpc_status = "FAILED_PRECONDITION"
    http_status = 400
    close_code = 4501


class DeviceNotFound(BusinessError):
    code = "DEVICE_NOT_FOUND"
    grpc_status = "NOT_FOUND"
    http_status = 404
    default_message = "no such device"


class TargetNotFound(BusinessError):
    code = "TARGET_NOT_FOUND"
    grpc_status = "NOT_FOUND"
    http_status = 404
    default_message = "the browser has no such target"


class FrontendNotFound(BusinessError):
    code = "FRONTEND_NOT_FOUND"
    grpc_status = "NOT_FOUND"
    http_status = 404
    default_message = "the browser's DevTools front end has no such file"


class NoSuchEndpoint(BusinessError):
    code = "NO_SUCH_ENDPOINT"
    grpc_status = "NOT_FOUND"
    http_status = 404
    default_message = "no WebSocket here; there are /v2/device, /v2/control and /v2/cdp/{deviceId}"


class MethodNotAllowed(BusinessError):
    code = "METHOD_NOT_ALLOWED"
    grpc_status = "INVALID_ARGUMENT"
    http_status = 405
    default_message = "this method is not for that path"


class EdgeNotFound(BusinessError):
    code = "EDGE_NOT_FOUND"
    grpc_status = "NOT_FOUND"
    http_status = 404
    default_message = "no such edge is connected"


class BrowserUnavailable(BusinessError):
    code = "BROWSER_UNAVAILABLE"
    retryable = True
    grpc_status = "UNAVAILABLE"
    http_status = 502
    close_code = 4001
    default_message = "the device's browser does not answer its agent"


class InvalidArgument(BusinessError):
    code = "INVALID_ARGUMENT"
    grpc_status = "INVALID_ARGUMENT"
    close_code = 4502
    default_message = "an argument is not valid"


class InvalidDeviceId(InvalidArgument):
    code = "INVALID_DEVICE_ID"
    default_message = "a device id is 1 to 128 of A-Z a-z 0-9 . _ -"


class DeviceConflict(BusinessError):
    code = "CONFLICT_REJECTED"
    grpc_status = "ALREADY_EXISTS"
    http_status = 409
    close_code = 4505
    default_message = "another instance holds this device id"


class TakenOver(BusinessError):
    code = "TAKEN_OVER"
    grpc_status = "ABORTED"
    http_status = 409
    close_code = 4510
    default_message = "another instance took this device id over"


class Unauthenticated(BusinessError):
    code = "UNAUTHENTICATED"
    grpc_status = "UNAUTHENTICATED"
    http_status = 401
    close_code = 4500
    default_message = "a token is needed"


class TokenExpired(Unauthenticated):
    code = "TOKEN_EXPIRED"
    retryable = True
    close_code = 4006
    default_message = "the token has expired; get a fresh one (browsergo urls)"


class Forbidden(BusinessError):
    code = "FORBIDDEN"
    grpc_status = "PERMISSION_DENIED"
    http_status = 403
    close_code = 4501
    default_message = "the token does not allow this"


class BadHost(BusinessError):
    code = "BAD_HOST"
    http_status = 421
    default_message = "this Host is not served here"


class BadOrigin(BusinessError):
    code = "BAD_ORIGIN"
    http_status = 403
    default_message = "this Origin is not allowed"


def _tree(root: type[BrowserGoError]) -> dict[str, type[BrowserGoError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        # A category class shares its parent's code; the first (most general) name keeps it.
        for code, cls in _tree(child).items():
            found.setdefault(code, cls)
    return found


BY_CODE = _tree(BrowserGoError)


def from_code(code: str, message: str = "") -> BrowserGoError:
    """The error that a frame or an ErrorDetail names; an unknown code is an internal error that says so."""
    cls = BY_CODE.get(code)
    if cls is None:
        return BrowserGoError(f"{code}: {message}")
    return cls(message)
