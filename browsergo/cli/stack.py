"""The data directory of a stack on one machine, and the record a running stack keeps in it.

- keys/signing.pem: signs tokens (Ed25519), 0600
- state/registry.sqlite: the registry's store
- logs/NAME.log: what each process printed
- run/: of the running stack only: stack.json, lock, sockets, device.token, browser profiles
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from browsergo.cli.exits import NOT_RUNNING, CliError
from browsergo.cli.processes import ProcessIdentity, is_running

LOCAL_DEVICE = "local"


@dataclass(frozen=True, slots=True)
class DataDir:
    """Where everything of one stack lies."""

    root: Path

    @property
    def keys(self) -> Path:
        """The folder of keys."""
        return self.root / "keys"

    @property
    def signing_key(self) -> Path:
        """The key that signs tokens."""
        return self.keys / "signing.pem"

    @property
    def state(self) -> Path:
        """What outlives a stack."""
        return self.root / "state"

    @property
    def logs(self) -> Path:
        """What the processes printed."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """What is there only while a stack runs."""
        return self.root / "run"

    @property
    def record(self) -> Path:
        """The StackRecord of the running stack."""
        return self.run / "stack.json"

    @property
    def lock(self) -> Path:
        """Held (flock) by the running supervisor."""
        return self.run / "lock"

    @property
    def device_token(self) -> Path:
        """The token of the local agent."""
        return self.run / "device.token"


def data_dir_of(flag: Path | None, environ: Mapping[str, str], home: Path) -> DataDir:
    """--data-dir, else $BROWSERGO_DATA_DIR, else $XDG_DATA_HOME/browsergo, else ~/.local/share/browsergo."""
    if flag is not None:
        return DataDir(flag.expanduser().absolute())
    if named := environ.get("BROWSERGO_DATA_DIR"):
        return DataDir(Path(named).expanduser().absolute())
    if (shared := environ.get("XDG_DATA_HOME")) and Path(shared).is_absolute():
        return DataDir(Path(shared) / "browsergo")
    return DataDir(home / ".local" / "share" / "browsergo")


@dataclass(frozen=True, slots=True)
class StackRecord:
    """run/stack.json: what runs, where it listens, and who may be sent a signal.

    `edges` maps edge id to TCP port, edge-1 being the public one. `sockets` is the folder of the unix sockets.
    `device` is None when the stack has no browser of its own. `ready` is true once it served.
    """

    version: str
    supervisor: ProcessIdentity
    host: str
    port: int
    edges: dict[str, int]
    registry_grpc: str
    router_grpc: str
    control_grpc: str
    sockets: str
    device: str | None
    insecure_no_auth: bool
    ready: bool
    children: dict[str, ProcessIdentity]

    def to_json(self) -> str:
        """The text of stack.json."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "StackRecord":
        """Read stack.json. Raises ValueError for anything this version did not write."""
        try:
            fields: dict[str, Any] = json.loads(text)
            supervisor = ProcessIdentity(**fields.pop("supervisor"))
            children = {name: ProcessIdentity(**child) for name, child in fields.pop("children").items()}
            return cls(supervisor=supervisor, children=children, **fields)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a record of a stack: {error}") from error


def read_record(where: DataDir) -> StackRecord | None:
    """The record in `where`, whether or not its stack still runs; None: there is none that can be read."""
    try:
        return StackRecord.from_json(where.record.read_text())
    except (OSError, ValueError):
        return None


def running_record(where: DataDir) -> StackRecord:
    """The record of the stack that runs in `where`. Raises CliError (exit code 3) when none does."""
    record = read_record(where)
    if record is None or not is_running(record.supervisor):
        raise CliError(
            NOT_RUNNING,
            f"no stack runs in {where.root}; start one with `browsergo up`, or name another with --data-dir",
        )
    return record


def ready_record(where: DataDir) -> StackRecord:
    """The same, of a stack that serves already. Raises CliError (exit code 3)."""
    record = running_record(where)
    if not record.ready:
        raise CliError(NOT_RUNNING, f"the stack in {where.root} is still starting; try again in a moment")
    return record
