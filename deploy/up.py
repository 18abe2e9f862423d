"""`browsergo up`: checks the machine, puts the parts together, and runs them until told to stop."""

import argparse
import asyncio
import functools
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import browsergo
from browsergo.chassis.config import ConfigError, refuse
from browsergo.chassis.process import Stop
from browsergo.cli.exits import FAILED, INTERRUPTED, OK, USAGE
from browsergo.cli.processes import ProcessIdentity, identity_of
from browsergo.cli.stack import LOCAL_DEVICE, DataDir, StackRecord, data_dir_of
from browsergo.cli.urls import admin_token, client_token, device_token, mint_tokens, stack_urls
from deploy import announcements, readiness
from deploy.chrome import find_chrome
from deploy.config import UpConfig, contradiction
from deploy.private_files import write_private
from deploy.refusals import Refused
from deploy.screen import Screen
from deploy.supervisor import StartFailed, Supervisor, Times
from deploy.table import ChildSpec, EdgePlace, Plan, child_environ, process_table
from deploy.tenancy import signing_key, take

PROGRAM = "browsergo up"
_BACKLOG = 1024
_PRIVATE_UMASK = 0o077

Table = Callable[[Plan], list[ChildSpec]]


def up(
    argv: Sequence[str],
    environ: Mapping[str, str],
    table: Table = process_table,
    times: Times | None = None,
) -> int:
    """Run a stack until it is told to stop; the exit code (docs/operations/exit-codes.md)."""
    os.umask(_PRIVATE_UMASK)
    screen = Screen()
    try:
        with ExitStack() as held:
            stack = _take_stack(argv, environ, table=table, times=times or Times(), screen=screen, held=held)
            # Not under uvloop: it keeps SIGCHLD, by which children are noticed, to itself.
            asyncio.run(stack.run(Stop()))
            return stack.exit_code
    except (Refused, ConfigError) as error:
        refuse(PROGRAM, str(error))
    except StartFailed as error:
        screen.complain(f"{PROGRAM}: {error}")
        return USAGE if error.misconfigured else FAILED
    finally:
        screen.close()


def _take_stack(
    argv: Sequence[str], environ: Mapping[str, str], *, table: Table, times: Times, screen: Screen, held: ExitStack
) -> "_Stack":
    """All that must be had before the first child is started; `held` gives it back. Raises Refused or ConfigError."""
    began_s = time.monotonic()
    config = UpConfig.load(argv, environ)
    if why := contradiction(config):
        raise Refused(why)
    chrome = find_chrome(config.chrome, environ, Path.home()) if config.device and not config.cdp else None
    where = data_dir_of(config.data_dir, environ, Path.home())
    tenancy = take(where)
    held.callback(tenancy.leave)
    listeners = _listen(config, held)
    origin = held.enter_context(_listen_on(config.host, config.device_origin_port, flag="--device-origin-port"))
    hint = announcements.data_dir_hint(config.data_dir)
    plan = Plan(
        data_dir=where,
        sockets=tenancy.sockets,
        edges=_places(listeners, origin),
        embedded=config.embedded,
        log_level=config.log_level,
        insecure_no_auth=config.insecure_no_auth,
        chrome=chrome,
        cdp=config.cdp,
    )
    return _Stack(
        plan=plan,
        table=table(plan),
        environ=child_environ(environ, _config_file(argv)),
        key=_key(where, screen, hint),
        listeners=[*listeners, origin],
        screen=screen,
        times=times,
        hint=hint,
        began_s=began_s,
    )


@dataclass
class _Stack:
    """One run: the record in run/stack.json, the supervisor, and what is said meanwhile."""

    plan: Plan
    table: list[ChildSpec]
    environ: Mapping[str, str]
    key: Ed25519PrivateKey
    listeners: list[socket.socket]
    screen: Screen
    times: Times
    hint: str
    began_s: float
    exit_code: int = OK

    def __post_init__(self) -> None:
        self._record = _first_record(self.plan, identity_of(os.getpid()))

    async def run(self, stop: Stop) -> None:
        """Start, serve, stop. Raises StartFailed."""
        self._listen_to_signals(stop)
        where = self.plan.data_dir
        self._write_record()
        if self.plan.has_device:
            write_private(where.device_token, device_token(self.key, LOCAL_DEVICE).encode())
        self.screen.say(announcements.starting([spec.name for spec in self.table], where), "dim")
        supervisor = Supervisor(
            table=self.table,
            environ=self.environ,
            where=where,
            screen=self.screen,
            times=self.times,
            changed=self._children_changed,
        )
        supervisor.start()
        serving = asyncio.ensure_future(self._serve(supervisor, stop))
        asked = asyncio.ensure_future(stop.requested.wait())
        try:
            await asyncio.wait([serving, asked], return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
        finally:
            serving.cancel()
            asked.cancel()
            self.screen.end_progress()
            self.screen.say(announcements.stopping(), "dim")
            # Nobody can be accepted any more: better refused than left to wait in a queue.
            for listener in self.listeners:
                listener.close()
            await supervisor.stop(stop.forced)

    async def _serve(self, supervisor: Supervisor, stop: Stop) -> None:
        edge = self.plan.edges[0]
        wanted = readiness.probes(client_token(self.key, LOCAL_DEVICE), self.plan.has_device)
        await supervisor.wait_ready(functools.partial(readiness.missing, edge.host, edge.port, wanted))
        self._record = replace(self._record, ready=True)
        self._write_record()
        self._announce(time.monotonic() - self.began_s)
        await supervisor.wait_for(stop.requested)

    def _announce(self, after_s: float) -> None:
        urls = stack_urls(self._record, LOCAL_DEVICE, mint_tokens(self.key, LOCAL_DEVICE))
        first, pastes, last = announcements.ready(urls, self._record, after_s, self.plan.data_dir, self.hint)
        self.screen.say(first, "bold green")
        self.screen.say(f"\n{pastes}\n")
        self.screen.say(last, "dim")
        if self._record.insecure_no_auth:
            self.screen.say(announcements.insecure(), "bold red")

    def _listen_to_signals(self, stop: Stop) -> None:
        """Ctrl-C and SIGTERM drain, and so does a closed terminal; only a second Ctrl-C is impatience."""
        loop = asyncio.get_running_loop()

        def ask() -> None:
            if not stop.requested.is_set():
                stop.signal()

        def interrupted() -> None:
            self.exit_code = INTERRUPTED
            stop.signal()

        loop.add_signal_handler(signal.SIGINT, interrupted)
        loop.add_signal_handler(signal.SIGTERM, ask)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup wants it ignored
            loop.add_signal_handler(signal.SIGHUP, ask)

    def _children_changed(self, children: dict[str, ProcessIdentity]) -> None:
        self._record = replace(self._record, children=children)
        self._write_record()

    def _write_record(self) -> None:
        try:
            write_private(self.plan.data_dir.record, self._record.to_json().encode())
        except OSError as error:
            self.screen.say(f"{self.plan.data_dir.record}: cannot be written ({error.strerror})", "yellow")


def _first_record(plan: Plan, supervisor: ProcessIdentity) -> StackRecord:
    return StackRecord(
        version=browsergo.__version__,
        supervisor=supervisor,
        host=plan.edges[0].host,
        port=plan.edges[0].port,
        edges={place.edge_id: place.port for place in plan.edges},
        registry_grpc=plan.registry,
        router_grpc=plan.router,
        control_grpc=plan.control,
        sockets=str(plan.sockets),
        device=LOCAL_DEVICE if plan.has_device else None,
        insecure_no_auth=plan.insecure_no_auth,
        ready=False,
        children={},
    )


def _listen(config: UpConfig, held: ExitStack) -> list[socket.socket]:
    """The sockets of all edges: the public one, and a free port of the same address for every further edge."""
    public = held.enter_context(_listen_on(config.host, config.port))
    address = public.getsockname()[0]
    return [public, *(held.enter_context(_listen_on(address, 0)) for _ in range(1, config.edge_count))]


def _listen_on(host: str, port: int, flag: str = "--port") -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Refused(announcements.port_refused(host, port, error.strerror or str(error), flag)) from None


def _places(listeners: Sequence[socket.socket], device_origin: socket.socket) -> tuple[EdgePlace, ...]:
    """Where each edge is. People dial the first one, so it has the device origin."""
    places = [_place(number, listener) for number, listener in enumerate(listeners, 1)]
    return replace(places[0], device_origin_fd=device_origin.fileno()), *places[1:]


def _place(number: int, listener: socket.socket) -> EdgePlace:
    host, port = listener.getsockname()[:2]
    return EdgePlace(f"edge-{number}", host, port, listener.fileno())


def _key(where: DataDir, screen: Screen, hint: str) -> Ed25519PrivateKey:
    key, made = signing_key(where)
    if made:
        screen.say(announcements.first_run(where, admin_token(key), hint))
    return key


def _config_file(argv: Sequence[str]) -> Path | None:
    """The file that --config names: it has tables for the children, too."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path)
    named: Path | None = parser.parse_known_args(list(argv))[0].config
    return named.absolute() if named else None
