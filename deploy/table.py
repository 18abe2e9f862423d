"""The process table of a stack on one machine, as data: what is started, how, and in which order it stops."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from browsergo.cli.launch import module_argv, module_environ
from browsergo.cli.stack import LOCAL_DEVICE, DataDir
from browsergo.cli.urls import authority

# Stopping goes from those who ask to those who answer, so that nobody misses an answer while he drains.
STOP_ORDER = ("agent", "edge", "control", "router", "registry")
EDGE_DRAIN_S = 1
BROWSER_PROFILES = "chrome-*"
_SETTLED = frozenset({"BROWSERGO_AGENT_CHROME", "BROWSERGO_AGENT_CDP"})


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One process: its name (of its log, too), its kind (a word of STOP_ORDER), command line and inherited sockets.

    `scratch` is a pattern of what it keeps in run/ for one run only: removed when it has ended, however it ended.
    """

    name: str
    kind: str
    argv: tuple[str, ...]
    inherited_fds: tuple[int, ...] = ()
    scratch: str | None = None


@dataclass(frozen=True, slots=True)
class EdgePlace:
    """An edge's listening sockets, bound by the supervisor: `fd` is inherited, `host` and `port` are where it is.

    `device_origin_fd` is that of its device origin; None: it has none, because people dial another edge.
    """

    edge_id: str
    host: str
    port: int
    fd: int
    device_origin_fd: int | None = None

    @property
    def fds(self) -> tuple[int, ...]:
        """What its process inherits."""
        return (self.fd,) if self.device_origin_fd is None else (self.fd, self.device_origin_fd)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the command lines depend on. `chrome` and `cdp` are both None when there is no local device.

    `embedded`: the first edge's process is the router, too.
    """

    data_dir: DataDir
    sockets: Path
    edges: tuple[EdgePlace, ...]
    embedded: bool
    log_level: str
    insecure_no_auth: bool
    chrome: Path | None
    cdp: str | None

    @property
    def registry(self) -> str:
        """The registry's gRPC address."""
        return f"unix:{self.sockets / 'registry.sock'}"

    @property
    def router(self) -> str:
        """The router's gRPC address."""
        return f"unix:{self.sockets / 'router-1.sock'}"

    @property
    def control(self) -> str:
        """The control service's gRPC address."""
        return f"unix:{self.sockets / 'control.sock'}"

    def health(self, edge_id: str) -> str:
        """Where an edge serves gRPC health."""
        return f"unix:{self.sockets / edge_id}.sock"

    @property
    def has_device(self) -> bool:
        """Whether a local browser takes part."""
        return self.chrome is not None or self.cdp is not None


def process_table(plan: Plan) -> list[ChildSpec]:
    """Every process of the stack, in the order in which they are started."""
    routers = [] if plan.embedded else [_router(plan)]
    table = [_registry(plan), *routers, _control(plan), *(_edge(plan, place) for place in plan.edges)]
    return [*table, _agent(plan)] if plan.has_device else table


def stop_groups(table: list[ChildSpec]) -> list[list[str]]:
    """The names of the children, in groups that stop one after the other."""
    groups = [[spec.name for spec in table if spec.kind == kind] for kind in STOP_ORDER]
    return [group for group in groups if group]


def child_environ(environ: Mapping[str, str], config_file: Path | None) -> dict[str, str]:
    """What children see of the environment: all but our own settings, and the configuration file that --config named.

    Which browser is settled by then, in the agent's flags. Output must not lie in a buffer when a child dies.
    """
    kept = {key: value for key, value in environ.items() if not key.startswith("BROWSERGO_UP_") and key not in _SETTLED}
    result = module_environ(kept)
    result["PYTHONUNBUFFERED"] = "1"
    if config_file is not None:
        result["BROWSERGO_CONFIG"] = str(config_file)
    return result


def _logs(plan: Plan) -> tuple[str, ...]:
    # JSON whatever the environment says: the supervisor reads the levels of the lines.
    return ("--log-level", plan.log_level, "--log-format", "json")


def _registry(plan: Plan) -> ChildSpec:
    database = plan.data_dir.state / "registry.sqlite"
    words = ("--listen", plan.registry, "--database", str(database), "--instance-id", "registry-1")
    return ChildSpec("registry", "registry", (*module_argv("services.registry"), *words, *_logs(plan)))


def _router(plan: Plan) -> ChildSpec:
    words = ("--listen", plan.router, "--registry", plan.registry, "--instance-id", "router-1")
    return ChildSpec("router-1", "router", (*module_argv("services.router"), *words, *_logs(plan)))


def _control(plan: Plan) -> ChildSpec:
    words = ("--listen", plan.control, "--registry", plan.registry, "--routers", plan.router)
    named = ("--instance-id", "control-1")
    return ChildSpec("control", "control", (*module_argv("services.control"), *words, *named, *_logs(plan)))


def _edge(plan: Plan, place: EdgePlace) -> ChildSpec:
    words = (
        *("--edge-id", place.edge_id, "--fd", str(place.fd)),
        *("--registry", plan.registry, "--routers", plan.router, "--control", plan.control),
        *("--signing-key", str(plan.data_dir.signing_key), "--health", plan.health(place.edge_id)),
        # When the whole stack stops, there is no other edge that clients could fall upon.
        *("--drain-s", str(EDGE_DRAIN_S), "--drain-spread-s", "0"),
        *(("--insecure-no-auth",) if plan.insecure_no_auth else ()),
        *(("--device-origin-fd", str(place.device_origin_fd)) if place.device_origin_fd is not None else ()),
    )
    module = "deploy.embedded" if plan.embedded and place is plan.edges[0] else "edge"
    return ChildSpec(place.edge_id, "edge", (*module_argv(module), *words, *_logs(plan)), place.fds)


def _agent(plan: Plan) -> ChildSpec:
    """The agent dials the last edge first and the public one last: commands then cross two edges and the router."""
    urls = [f"ws://{authority(place.host, place.port)}" for place in reversed(plan.edges)]
    browser = ("--cdp", plan.cdp) if plan.cdp is not None else ("--chrome", str(plan.chrome))
    words = (
        *(word for url in urls for word in ("--edges", url)),
        *("--device-id", LOCAL_DEVICE, "--token-file", str(plan.data_dir.device_token)),
        *("--state-dir", str(plan.data_dir.run), *browser),
        # One agent on one machine is no thundering herd: it may come back at once.
        *("--idle-retry-s", "0.5"),
    )
    argv = (*module_argv("browsergo.agent"), *words, *_logs(plan))
    return ChildSpec("agent", "agent", argv, scratch=BROWSER_PROFILES)
