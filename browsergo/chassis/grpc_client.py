"""gRPC channels to the other processes."""

from grpc import aio

# The counterpart of grpc_server.SERVER_OPTIONS: pings every 10 s, dead after 5 s more; first
# reconnects come fast, since on one machine a restarted service is back within a second.
CLIENT_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", 8 << 20),
    ("grpc.max_send_message_length", 8 << 20),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # A keepalive ping rides on one that gRPC sends of its own accord and has not had back; that one may take a minute
    # unless this is said, and a silent cut would not be seen before.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]


def open_channel(address: str) -> aio.Channel:
    """A gRPC channel to `host:port` or `unix:/path`; it connects when it is first used."""
    return aio.insecure_channel(address, options=CLIENT_OPTIONS)
