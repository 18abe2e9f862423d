"""The registry's configuration: `[registry]`, BROWSERGO_REGISTRY_*, flags."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from browsergo.chassis.config import ProcessConfig
from services.registry.core.conflicts import Policy


class RegistryConfig(ProcessConfig):
    """All settings of one registry."""

    section: ClassVar[str] = "registry"

    listen: list[str] = Field(min_length=1, description="address to serve: host:port or unix:/path; may be repeated")
    database: Path = Field(description="SQLite file of the epochs; made if absent")
    instance_id: str = Field(default="registry-1", min_length=1, max_length=128, description="name of this process")
    lease_ttl_s: float = Field(default=45.0, gt=0, le=3600, description="how long a lease holds without renewal")
    member_ttl_s: float = Field(
        default=15.0, gt=0, le=3600, description="the same for a router or an edge; they renew at a third of it"
    )
    conflict_policy: Policy = Field(
        default=Policy.TAKEOVER, description="another instance asks for a held device id: takeover or reject"
    )
