"""Configuration of an edge (BROWSERGO_EDGE_*)."""

from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, field_validator, model_validator

from browsergo.chassis.config import ProcessConfig
from browsergo.chassis.process import is_loopback
from edge.core.forwarding import TrustedProxies

_ORIGIN = r"^(https?://[^/?#@\s]+)?$"


class EdgeConfig(ProcessConfig):
    """Where it listens, whom it trusts, and where the other processes are."""

    section: ClassVar[str] = "edge"

    edge_id: str = Field(default="edge-1", pattern=r"^[A-Za-z0-9._-]{1,64}$", description="name of this edge")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=3000, ge=0, le=65535, description="port to listen on; 0: any free one")
    fd: int | None = Field(default=None, ge=3, description="an inherited listening socket, instead of host and port")
    registry: str = Field(default="127.0.0.1:7401", description="address of the registry: host:port or unix:/path")
    routers: list[str] = Field(
        default=["127.0.0.1:7402"],
        description="addresses of routers to begin with, kept for good ([]: none); the registry tells of others",
    )
    control: str = Field(default="127.0.0.1:7403", description="address of the control service")
    health: list[str] = Field(
        default=[], description="addresses that serve gRPC health and reflection: host:port or unix:/path ([]: none)"
    )
    signing_key: Path | None = Field(default=None, description="Ed25519 key (PEM) that signed the tokens")
    insecure_no_auth: bool = Field(default=False, description="ask for no token; loopback only")
    url_tokens: bool = Field(default=True, description="accept ?token= on CDP URLs")
    public_url: str = Field(
        default="", pattern=_ORIGIN, description="how clients reach this edge, for URLs it hands out"
    )
    trusted_proxies: list[str] = Field(
        default=[], description="addresses or networks (CIDR) of proxies whose X-Forwarded-* headers are believed"
    )
    device_origin_port: int | None = Field(
        default=None, ge=0, le=65535, description="port of the device origin, which serves devices' DevTools; 0: any"
    )
    device_origin_fd: int | None = Field(
        default=None, ge=3, description="an inherited listening socket, instead of device_origin_port"
    )
    device_origin_url: str = Field(
        default="",
        pattern=_ORIGIN,
        description="how people reach the device origin; without a port of its own its host name tells it apart",
    )
    public_hosts: list[str] = Field(default=[], description="names, besides loopback, that a Host header may have")
    allowed_origins: list[str] = Field(
        default=["devtools://devtools"], description="Origins that may connect; a web page is never one by default"
    )
    drain_s: float = Field(default=600.0, ge=0.0, description="how long clients may finish after SIGTERM")
    drain_spread_s: float = Field(
        default=120.0, ge=0.0, description="over how long the clients are sent away that have not; 0: all at once"
    )
    max_client_message_bytes: int = Field(default=64 << 20, ge=1024, description="largest message a client may send")
    heartbeat_interval_s: float = Field(default=20.0, ge=1.0, le=300.0, description="how often devices report")
    lease_renewal_s: float = Field(default=15.0, ge=0.5, description="how often leases are renewed, in one batch")
    resume_window_s: float = Field(default=30.0, ge=0.0, le=120.0, description="how long a device may be away")
    command_deadline_s: float | None = Field(
        default=None,
        ge=0.5,
        le=86_400.0,
        description="until a command must be answered, or its client gets DEADLINE; none: as long as the channel lives",
    )
    memory_limit_bytes: int | None = Field(
        default=None, ge=64 << 20, description="what this edge may hold of the memory, instead of memory_share"
    )
    memory_share: float = Field(
        default=0.5, gt=0.0, le=1.0, description="of the memory of the cgroup or the machine, what this edge may hold"
    )
    overload_lag_s: float = Field(default=0.5, gt=0.0, description="event-loop lag at which the edge is overloaded")
    overload_stay_s: float = Field(
        default=10.0, ge=0.0, description="how long each rung of the overload ladder lasts before it is left"
    )
    link_pool: int = Field(default=2, ge=1, le=8, description="data connections a device may open")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        TrustedProxies(value)
        return value

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.fd is None and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host} is not loopback: TLS is still to come, put nothing on a network without it"
            )
        if self.signing_key is None and not self.insecure_no_auth:
            raise ValueError("signing_key is needed to check tokens (or --insecure-no-auth, on loopback only)")
        if self.device_origin_url and self.device_origin_url == self.public_url:
            raise ValueError("device_origin_url must be another origin than public_url")
        return self
