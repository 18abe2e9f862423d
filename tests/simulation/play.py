"""What happens in the world of relay.py, step by step: traffic, time and faults; then quiet until all has settled."""

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from browsergo.core import errors
from browsergo.core.channel import payloads
from browsergo.core.channel.frames import Frame, Kind
from browsergo.core.ids import UNBOUND, Binding
from tests.simulation.bounds import check_client_end, check_device_end
from tests.simulation.cast import (
    POOL,
    ROUTERS,
    Agent,
    Client,
    Edge,
    Lanes,
    Mode,
    Pipe,
    Violation,
)
from tests.simulation.relay import World

STEPS = 1000
QUIET_STEPS = 8000
STEP_S = 0.01


class Play(World):
    """One course of the simulation: `run` plays it by chance alone."""

    def __init__(self, chance: random.Random, mode: Mode | None = None) -> None:
        super().__init__(chance, mode)
        self.quiet = False
        self.bindings: dict[tuple[int, bytes], Binding] = {}
        traffic: list[tuple[float, Callable[[], None]]] = [
            (110, self.carry), (30, self.issue), (26, self.browse), (6, self.post), (8, self.learn), (5, self.dial),
            (6, self.take), (3, self.stall), (3, self.arrive), (2, self.fade),
        ]  # fmt: skip
        faults = [
            (0.6, self.lose_link), (0.7, self.regain_link), (0.6, self.lose_router), (0.7, self.lose_trunk),
            (0.5, self.redial_trunk), (0.5, self.register), (0.3, self.move), (0.2, self.away), (0.4, self.false_alarm),
        ]  # fmt: skip
        losses = [
            (0.15, self.new_boot), (0.5, self.leave), (0.2, self.close_target), (0.2, self.close_browser),
            (0.1, self.end_channel),
        ]  # fmt: skip
        deadlines = [(0.3, self.crash_edge), (0.2, self.wait)]  # a dead edge's channels are freed by deadlines only
        actions = traffic + faults
        actions += [] if self.mode.gentle else losses
        actions += [] if self.mode.gentle or self.mode.patient else deadlines
        if self.mode.late_open:
            actions.append((2, self.late_open))
        if self.mode.moving:
            actions.append((2, self.move))
        if self.mode.torn:
            actions.append((5, self.redial_trunk))
        self.actions = [action for _, action in actions]
        self.weights = [weight for weight, _ in actions]
        calm = [(weight, action) for weight, action in traffic if action != self.issue] + [(1.0, self.regain_link)]
        self.calm_actions = [action for _, action in calm]
        self.calm_weights = [weight for weight, _ in calm]

    def run(self, steps: int = STEPS) -> None:
        for _ in range(steps):
            self.step()
        self.settle()

    def settle(self) -> None:
        """No more faults: all must come to rest, with every command answered and nothing left over (I2, I6)."""
        self.quiet = True
        for _ in range(QUIET_STEPS):
            self.step()
            if self.settled():
                return
        if any(client.waiting for client in self.clients if client):
            raise Violation("I2: commands never answered")
        raise Violation("I6: never settled: something leaks or is stuck")

    def step(self) -> None:
        actions, weights = (self.calm_actions, self.calm_weights) if self.quiet else (self.actions, self.weights)
        self.chance.choices(actions, weights)[0]()
        self.pass_time(1.0 if self.quiet and self.idle() else STEP_S)
        self.check()

    def pass_time(self, seconds: float) -> None:
        """Deadlines that are over by then are acted upon."""
        self.now += seconds
        for edge in self.edges:
            due = edge.ends.next_deadline()
            if due is not None and due <= self.now:
                self.apply_client(edge, edge.ends.tick(self.now))
        for agent in self.agents:
            due = agent.end.next_deadline()
            if due is not None and due <= self.now:
                self.apply_device(agent, agent.end.tick(self.now))

    # --- traffic ------------------------------------------------------------------------------------------------

    def carry(self) -> None:
        """Some frames go one hop further."""
        hops = self.hops()
        if hops:
            hop = self.chance.choice(hops)
            for _ in range(self.chance.choice((1, 1, 2, 4, 8))):
                if not hop():
                    break

    def hops(self) -> list[Callable[[], bool]]:
        """For each queue that is not empty: carries its next frame one hop further; whether there are more."""
        hops: list[Callable[[], bool]] = []
        for link in self.links:
            if link.up:
                hops.append(partial(self._hop, link.up, partial(self.up_from_link, link)))
            if link.down:
                hops.append(partial(self._hop, link.down, partial(self.down_from_link, link)))
        for pipe in self.pipes:
            if pipe.up:
                hops.append(partial(self._hop, pipe.up, partial(self.up_from_pipe, pipe)))
            if pipe.down:
                hops.append(partial(self._hop, pipe.down, partial(self.down_from_pipe, pipe)))
        return hops

    def _hop(self, queue: Lanes, onward: Callable[[Frame], None]) -> bool:
        if queue:
            onward(queue.pop(self.chance))
        return bool(queue)

    def issue(self) -> None:
        able = [client for client in self.clients if client and client.open and not client.held]
        if able:
            self.command(self.chance.choice(able))

    def browse(self) -> None:
        agent = self.agent if self.quiet or self.chance.random() < 0.9 else self.chance.choice(self.agents)
        sockets = [socket for socket in agent.sockets.values() if not socket.paused]
        event = not self.quiet and self.chance.random() < 0.3
        sockets = sockets if event else [socket for socket in sockets if socket.running]
        if sockets:
            self.browser_says(agent, self.chance.choice(sockets), event=event)

    def post(self) -> None:
        if self.mail:
            letter = self.mail.pop(self.chance.randrange(len(self.mail)))
            if self.quiet or self.chance.random() > 0.05:
                self.seek(*letter)

    def late_open(self) -> None:
        if self.old_opens:
            self.mail.append(self.chance.choice(self.old_opens))

    def learn(self) -> None:
        """News of a fault arrives somewhere."""
        if self.notices:
            self.notices.pop(self.chance.randrange(len(self.notices)))()

    def dial(self) -> None:
        for agent in self.agents:
            if agent.dialing:
                self._dial(agent, agent.dialing.pop(self.chance.randrange(len(agent.dialing))))

    def _dial(self, agent: Agent, channel: bytes) -> None:
        if self.mode.gentle or self.quiet or self.chance.random() > 0.05:
            self.plug(agent, channel)
        else:
            self.apply_device(agent, agent.end.dial_failed(channel, errors.TargetNotFound()))

    def take(self) -> None:
        """A client becomes slow, or quick again."""
        clients = [client for client in self.clients if client and client.open]
        if clients:
            client = self.chance.choice(clients)
            client.writable = self.quiet or not client.writable
            self.apply_client(client.edge, client.edge.ends.writable(client.channel, client.writable))

    def stall(self) -> None:
        """A browser takes no commands, or takes them again."""
        for agent in self.agents if self.quiet else [self.agent]:
            sockets = [socket for socket in agent.sockets.values() if not (self.quiet and socket.taking)]
            if sockets:
                socket = self.chance.choice(sockets)
                socket.taking = not socket.taking
                self.apply_device(agent, agent.end.browser_takes(socket.channel, socket.taking))

    def arrive(self) -> None:
        for place, client in enumerate(self.clients):
            if client is None:
                self.connect(place)

    def fade(self) -> None:
        """What is dead is forgotten, zombies die; not before they have told that their link is lost: trunks do not."""
        for pipe in self.pipes:
            telling = pipe.link.noticed and pipe.up
            if pipe.state == "zombie" and not telling and (self.quiet or self.chance.random() < 0.5):
                self._dead(pipe)
        self.pipes = [pipe for pipe in self.pipes if pipe.state != "dead"]
        self.links = [link for link in self.links if link.alive or link in link.agent.links or not link.noticed]

    @staticmethod
    def _dead(pipe: Pipe) -> None:
        pipe.state = "dead"
        pipe.up.clear()
        pipe.down.clear()

    # --- faults -------------------------------------------------------------------------------------------------

    def lose_link(self) -> None:
        if self.agent.links:
            self.cut(self.chance.choice(self.agent.links))
            self.stats["link lost"] += 1

    def regain_link(self) -> None:
        if not self.agent.links and self.chance.random() < 0.5:
            self.register()
        elif len(self.agent.links) < POOL:
            self.refill()

    def lose_router(self) -> None:
        router = self.chance.choice(ROUTERS)
        self._lose_pipes([pipe for pipe in self.pipes if pipe.router == router])
        for edge in self.edges:
            self.notices.append(partial(self._router_lost, edge, router))
        self.stats["router lost"] += 1

    def lose_trunk(self) -> None:
        """One edge loses its stream to one router, which tells the other edges."""
        router, edge = self.chance.choice(ROUTERS), self.chance.choice(self.edges)
        mine = [pipe for pipe in self.pipes if edge in (pipe.edge, pipe.link.edge)]
        self._lose_pipes([pipe for pipe in mine if pipe.router == router])
        self.notices.append(partial(self._router_lost, edge, router))
        for other in self.edges:
            self.notices.append(partial(self._edge_lost, other, edge.address))
        self.stats["trunk lost"] += 1

    def redial_trunk(self) -> None:
        """A client's edge loses its trunk and has it back before the device's edge hears of it.

        What is under way is lost; what comes next passes, until an agent answers with a HELLO. The router tells the
        device's edge, for a HELLO may be among what is lost.
        """
        router, edge = self.chance.choice(ROUTERS), self.chance.choice(self.edges)
        for pipe in self.pipes:
            if pipe.router == router and pipe.edge is edge and pipe.state == "up":
                pipe.up.clear()
                pipe.down.clear()
                self.notices.append(partial(self._path_lost, pipe))
        self._router_lost(edge, router)  # it hears first: what comes over the new trunk comes after
        self.stats["trunk redialed"] += 1

    def _lose_pipes(self, pipes: list[Pipe]) -> None:
        for pipe in pipes:
            if pipe.state == "up":
                pipe.state = "zombie"
                if self.chance.random() < 0.5:
                    self._dead(pipe)
                self.notices.append(partial(self._path_lost, pipe))

    def _path_lost(self, pipe: Pipe) -> None:
        link = pipe.link
        if link.alive and not link.noticed and link.edge.alive:
            link.down.append(Frame(Kind.PATH_LOST, source=pipe.edge.address))

    def _router_lost(self, edge: Edge, router: str) -> None:
        self.apply_client(edge, edge.ends.router_lost(router, self.now))

    def _edge_lost(self, edge: Edge, address: int) -> None:
        self.apply_client(edge, edge.ends.edge_lost(address, self.now))

    def away(self) -> None:
        """The device is cut off altogether."""
        for link in list(self.agent.links):
            self.cut(link)
            self.agent_notices(link)

    def false_alarm(self) -> None:
        """Somebody believes something lost or over that is not."""
        if self.pipes:
            pipe = self.chance.choice(self.pipes)
            self.chance.choice(
                (
                    partial(self._path_lost, pipe),
                    partial(self._router_lost, pipe.edge, pipe.router),
                    partial(self._edge_lost, pipe.edge, pipe.link.edge.address),
                    partial(self._close_anothers, pipe),
                )
            )()

    def _close_anothers(self, pipe: Pipe) -> None:
        """A client end says that it is gone, of a channel that has another by now."""
        channels = list(pipe.link.agent.end._channels)
        if channels:
            claim = payloads.encode_claim("another")
            pipe.down.append(Frame(Kind.CLOSE, channel=self.chance.choice(channels), payload=claim))

    def crash_edge(self) -> None:
        place = self.chance.randrange(len(self.edges))
        edge = self.edges[place]
        edge.alive = False
        self.edges[place] = self._new_edge()
        for pipe in self.pipes:
            if edge in (pipe.edge, pipe.link.edge):
                self._dead(pipe)
                self.notices.append(partial(self._path_lost, pipe))
        for link in self.links:
            if link.edge is edge:
                self._die(link)
                self.notices.append(partial(self.agent_notices, link))
        for other in self.edges:
            self.notices.append(partial(self._edge_lost, other, edge.address))
        for client in self.clients:
            if client and client.edge is edge:
                client.gone = True
                self.clients[self.clients.index(client)] = None
        self.stats["edge crashed"] += 1

    def leave(self) -> None:
        """A client closes its socket, perhaps before its upgrade is answered."""
        client = self._somebody()
        if client:
            client.gone = True
            self.clients[self.clients.index(client)] = None
            self.apply_client(client.edge, client.edge.ends.client_gone(client.channel))

    def _somebody(self, *, opened: bool = False) -> Client | None:
        clients = [client for client in self.clients if client and (client.open or not opened)]
        return self.chance.choice(clients) if clients else None

    def wait(self) -> None:
        """Nothing happens for a while; deadlines pass."""
        self.pass_time(self.chance.choice((2.0, 5.0, 9.0, 16.0)))

    def close_target(self) -> None:
        """The browser closes a channel's socket by itself."""
        if self.agent.sockets:
            channel = self.chance.choice(list(self.agent.sockets))
            self.apply_device(self.agent, self.agent.end.chrome_closed(channel, errors.DeviceGone("target closed")))

    def close_browser(self) -> None:
        client = self._somebody(opened=True)
        if client:
            text = b'{"id":0,"method":"Browser.close"}'
            self.apply_client(client.edge, client.edge.ends.command(client.channel, text, self.now, 0))

    def end_channel(self) -> None:
        client = self._somebody(opened=True)
        if client:
            self.apply_client(client.edge, client.edge.ends.end(client.channel, errors.Draining()))

    # --- invariants ---------------------------------------------------------------------------------------------

    def check(self) -> None:
        """I6: every buffer within its bound. I7: neither epochs nor bindings go back."""
        for edge in self.edges:
            for device, view in edge.ends._devices.items():
                if view.epoch < edge.epochs.get(device, 0):
                    raise Violation("I7: an epoch went back")
                edge.epochs[device] = view.epoch
            for entry in edge.ends._channels.values():
                if entry.at < self.bindings.get((edge.address, entry.id), UNBOUND):
                    raise Violation("I7: a binding went back")
                self.bindings[edge.address, entry.id] = entry.at
                check_client_end(entry)
        check_device_end(self.agent.end)

    def up_from_pipe(self, pipe: Pipe, frame: Frame) -> None:
        """I7: a frame of an epoch that is over for its channel changes nothing of it."""
        channels = pipe.edge.ends._channels
        entry = channels.get(frame.channel)
        stale = entry if entry is not None and UNBOUND.epoch < frame.at.epoch < entry.at.epoch else None
        before = replace(stale) if stale else None
        super().up_from_pipe(pipe, frame)
        if before is not None and channels.get(frame.channel) != before:
            raise Violation(f"I7: {frame.kind.name} of a stale epoch changed something")

    def idle(self) -> bool:
        """Nothing is on its way."""
        if self.notices or self.mail or any(agent.dialing for agent in self.agents):
            return False
        return not any(pipe.up or pipe.down for pipe in self.pipes) and not any(
            link.up or link.down for link in self.links
        )

    def settled(self) -> bool:
        """Nothing is on its way, every client open and answered, and no channel or socket that is not a client's."""
        if not self.idle() or None in self.clients:
            return False
        clients = [client for client in self.clients if client]
        if any(not client.open or client.waiting or not client.writable for client in clients):
            return False
        channels = {client.channel for client in clients}
        ends = {channel for edge in self.edges for channel in edge.ends._channels}
        return channels == ends == set(self.agent.end._channels) == set(self.agent.sockets)
