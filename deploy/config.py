"""What `browsergo up` can be told."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from browsergo.chassis.config import BrowserUrl, ProcessConfig
from browsergo.chassis.process import is_loopback


class UpConfig(ProcessConfig):
    """A stack on one machine; section `up` (flags, BROWSERGO_UP_*, table [up])."""

    section: ClassVar[str] = "up"

    log_format: str = Field(default="auto", pattern="^(auto|json)$", description="of the files in logs/: JSON lines")
    host: str = Field(default="127.0.0.1", min_length=1, description="loopback address that the public port listens on")
    port: int = Field(default=3000, ge=0, le=65_535, description="public port; 0: any free one")
    device_origin_port: int = Field(
        default=0, ge=0, le=65_535, description="port that serves the DevTools front ends of devices; 0: any free one"
    )
    data_dir: Path | None = Field(default=None, description="keys, state and logs; default ~/.local/share/browsergo")
    embedded: bool = Field(default=False, description="the router in edge-1's process, for one small machine")
    edges: int | None = Field(
        default=None, ge=1, le=16, description="edge processes, 2 or, embedded, 1; edge-1 has the public port"
    )
    device: bool = Field(default=True, description="run a local browser as device `local`")
    chrome: Path | None = Field(default=None, description="the Chrome or Chromium to start")
    cdp: BrowserUrl | None = Field(
        default=None, description="use a browser that runs already, by the http://host:port of its debugging port"
    )
    insecure_no_auth: bool = Field(default=False, description="ask nobody for a token; loopback only, for experiments")

    @property
    def edge_count(self) -> int:
        """How many edges there are."""
        return self.edges or (1 if self.embedded else 2)


def contradiction(config: UpConfig) -> str | None:
    """What cannot be run in `config`, and what to do; None: all of it can."""
    if not is_loopback(config.host):
        return f"--host {config.host}: only loopback (127.0.0.1, ::1, localhost) is allowed, TLS is not served yet"
    if config.cdp and config.chrome:
        return "--chrome and --cdp: choose one, a browser is either started or there already"
    if not config.device and (config.cdp or config.chrome):
        return "--no-device: no browser is used then, so leave out --chrome and --cdp"
    return None
