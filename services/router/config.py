"""Configuration of a router (BROWSERGO_ROUTER_*)."""

from typing import ClassVar

from pydantic import Field

from browsergo.chassis.config import ProcessConfig


class RouterConfig(ProcessConfig):
    """What a router needs to know; it keeps nothing on disk."""

    section: ClassVar[str] = "router"

    listen: list[str] = Field(default=["127.0.0.1:7402"], description="addresses to serve: host:port or unix:/path")
    instance_id: str = Field(default="router-1", pattern=r"^[A-Za-z0-9._-]{1,64}$", description="name of this router")
