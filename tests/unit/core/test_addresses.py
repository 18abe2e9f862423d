import pytest

from browsergo.core.addresses import is_grpc_address


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:7402", "router-1:7402", "router.internal:1", "[::1]:65535",
        "unix:/run/router-1.sock", "unix:/" + "x" * 106,
    ],
)  # fmt: skip
def test_where_a_service_can_be_dialed(address: str) -> None:
    assert is_grpc_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "", "router-1", ":7402", "router-1:", "router-1:0", "router-1:65536", "router-1:x", "::1:7402x",
        "router-1:7402/path", "user@router-1:7402", "router-1:7402?x", "a b:1", "dns:///router-1:7402",
        "unix:relative.sock", "unix:", "unix:/a\nb", "unix:/" + "x" * 107, "unix:/" + "\xe9" * 54,
    ],
)  # fmt: skip
def test_where_none_can(address: str) -> None:
    assert not is_grpc_address(address)
