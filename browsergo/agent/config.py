"""Configuration of an agent (BROWSERGO_AGENT_*)."""

from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from browsergo.chassis.config import BrowserUrl, ProcessConfig
from browsergo.core.addresses import EDGE_URL_FORM, is_edge_url
from browsergo.core.ids import DEVICE_ID_FORM, is_device_id


class Compression(NamedTuple):
    """Which messages from the browser are compressed: none, those above a size, or these unless the edge is near."""

    mode: Literal["auto", "on", "off"]
    above_bytes: int


class AgentConfig(ProcessConfig):
    """Which browser, which edge, and under what name."""

    section: ClassVar[str] = "agent"

    edges: list[str] = Field(default=["ws://127.0.0.1:3000"], description="edges to dial, in order of preference")
    device_id: str = Field(default="local", description="name of this device")
    name: str = Field(default="", description="name for people")
    token_file: Path | None = Field(default=None, description="file with the device token (scope device:<id>)")
    token: SecretStr | None = Field(default=None, description="the token itself; set it by environment, not by flag")
    chrome: Path | None = Field(default=None, description="browser to start; default: the first one found")
    cdp: BrowserUrl | None = Field(
        default=None, description="http://host:port of a running browser, instead of starting one"
    )
    headless: bool = Field(default=True, description="start the browser without a window")
    state_dir: Path | None = Field(
        default=None, description="folder for the browser's profile; default: a temporary one"
    )
    label: list[str] = Field(default=[], description="key=value, may be repeated; for selecting devices")
    pool: int = Field(default=2, ge=1, le=8, description="data connections to the edge")
    idle_retry_s: float = Field(
        default=10.0, ge=0.0, le=60.0, description="spread of the first reconnect when no channel is open"
    )

    compression: Literal["auto", "on", "off"] = Field(
        default="auto", description="of large messages to the edge; auto: unless the edge is on this machine"
    )
    compress_above_bytes: int = Field(default=16 << 10, ge=0, description="smaller messages are never compressed")

    @field_validator("edges")
    @classmethod
    def _edge_urls(cls, edges: list[str]) -> list[str]:
        if not edges or not all(map(is_edge_url, edges)):
            raise ValueError(f"edges are {EDGE_URL_FORM}; a token goes into --token-file")
        return [edge.rstrip("/") for edge in edges]

    @field_validator("device_id")
    @classmethod
    def _device_form(cls, device_id: str) -> str:
        if not is_device_id(device_id):
            raise ValueError(f"a device id is {DEVICE_ID_FORM}")
        return device_id

    @field_validator("label")
    @classmethod
    def _label_pairs(cls, labels: list[str]) -> list[str]:
        if not all("=" in label for label in labels):
            raise ValueError("a label is key=value")
        return labels

    @model_validator(mode="after")
    def _one_browser(self) -> Self:
        if self.chrome is not None and self.cdp is not None:
            raise ValueError(
                "--chrome (BROWSERGO_AGENT_CHROME) starts a browser, --cdp uses a running one: give one of them"
            )
        return self

    @property
    def labels(self) -> dict[str, str]:
        """The labels as pairs."""
        return dict(label.split("=", 1) for label in self.label)

    def read_token(self) -> str:
        """The device token, read afresh at each connection so that it can be renewed; "" if there is none.

        Raises OSError, and ValueError for a file that holds anything but one token.
        """
        if self.token_file is None:
            return self.token.get_secret_value() if self.token is not None else ""
        token = self.token_file.read_bytes().decode("ascii", "replace").strip()
        if not all(" " < sign <= "~" for sign in token):
            raise ValueError(f"{self.token_file} does not hold one token and nothing else")
        return token
