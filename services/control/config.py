"""The control service's configuration: `[control]`, BROWSERGO_CONTROL_*, flags."""

from typing import ClassVar

from pydantic import Field

from browsergo.chassis.config import ProcessConfig


class ControlConfig(ProcessConfig):
    """All settings of one control service."""

    section: ClassVar[str] = "control"

    listen: list[str] = Field(min_length=1, description="address to serve: host:port or unix:/path; may be repeated")
    registry: str = Field(min_length=1, description="address of the registry")
    routers: list[str] = Field(
        min_length=1, description="address of a router; may be repeated; the registry tells others"
    )
    instance_id: str = Field(default="control-1", min_length=1, max_length=128, description="name of this process")
