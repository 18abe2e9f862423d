"""Configuration of a router (BROWSERGO_ROUTER_*)."""

from typing import ClassVar

from pydantic import Field, field_validator

from browsergo.chassis.config import ProcessConfig
from browsergo.core.addresses import GRPC_ADDRESS_FORM, is_grpc_address


class RouterConfig(ProcessConfig):
    """What a router needs to know; it keeps nothing on disk."""

    section: ClassVar[str] = "router"

    listen: list[str] = Field(default=["127.0.0.1:7402"], description="addresses to serve: host:port or unix:/path")
    instance_id: str = Field(default="router-1", pattern=r"^[A-Za-z0-9._-]{1,64}$", description="name of this router")
    registry: str | None = Field(
        default=None,
        min_length=1,
        description="address of the registry, which tells edges of this router; none: it is not told of",
    )
    advertise: str | None = Field(
        default=None, description="address at which edges reach this router; none: the first that it serves"
    )

    @field_validator("advertise")
    @classmethod
    def _dialable(cls, value: str | None) -> str | None:
        if value is not None and not is_grpc_address(value):
            raise ValueError(f"this is {GRPC_ADDRESS_FORM}")
        return value
