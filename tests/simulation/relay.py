"""A small world around the production cores of the delivery protocol; what it sees must obey design/delivery.md.

ClientEnds and DeviceEnd are the real ones. Edges, routers, links, the registry, the browser and its clients are
modelled here as the shells behave. Between a device end and a client end lies a `Pipe`: one per link connection,
client edge and router; it may die, or go on for a while as a zombie. Links and pipes keep the order of each channel's
frames and mix channels at will, which is more than the queues of the real ones do. All chance comes from `chance`, by
its seed or as machine.py steers it. What happens, and in which order, is in play.py.
"""

import random
from collections.abc import Callable
from functools import partial

from browsergo.core import errors
from browsergo.core.channel import client_state, device_state, payloads
from browsergo.core.channel.frames import EVERY_EDGE, NO_EDGE, Frame, Kind
from tests.simulation.cast import (
    BIG_BYTES,
    DEVICE,
    DEVICE_LIMITS,
    PATIENT_DEVICE_LIMITS,
    POOL,
    ROUTERS,
    Agent,
    ChromeSocket,
    Client,
    Edge,
    Home,
    Link,
    Mode,
    Pipe,
    Violation,
)
from tests.simulation.witness import Witness, padded, parsed

_ON_A_PATH = frozenset({Kind.MSG, Kind.CACK})


class World(Witness):
    """The whole of it; what breaks an invariant raises Violation."""

    def __init__(self, chance: random.Random, mode: Mode | None = None) -> None:
        super().__init__(mode or Mode())
        self.chance = chance
        self.now = 1000.0
        self.addresses = 0
        self.epoch = 0
        self.boots = 0
        self.link_numbers = 0
        self.pipes: list[Pipe] = []
        self.current: dict[tuple[int, int], Pipe] = {}  # device edge's choice, by (link, client edge)
        self.by_name: dict[tuple[int, int, str], Pipe] = {}  # what a client edge's path names
        self.mail: list[tuple[Edge, str, Frame]] = []  # frames that seek the device, by client edge and router
        self.old_opens: list[tuple[Edge, str, Frame]] = []
        self.notices: list[Callable[[], None]] = []  # news of faults that have not arrived yet
        self.clients: list[Client | None] = [None] * self.mode.clients
        self.by_channel: dict[bytes, Client] = {}
        self.edges = [self._new_edge(), self._new_edge()]
        self.agents: list[Agent] = []
        self.links: list[Link] = []
        self.registered_at = self.edges[0]
        self.new_boot()

    # --- parts --------------------------------------------------------------------------------------------------

    def _new_edge(self) -> Edge:
        self.addresses += 1
        name, limits = f"edge-{self.addresses}", self.mode.client_limits
        return Edge(self.addresses, self.mode.client_ends(self.addresses, name, self.chance.getrandbits, limits))

    @property
    def agent(self) -> Agent:
        return self.agents[-1]

    def new_boot(self) -> None:
        """The agent was restarted, or so it seems: an old run may still live behind zombies."""
        self.boots += 1
        limits = PATIENT_DEVICE_LIMITS if self.mode.gentle or self.mode.patient else DEVICE_LIMITS
        for link in self.links:
            self.cut(link)
        self.agents.append(Agent(self.mode.device_end(DEVICE, f"boot-{self.boots}", self.chance.getrandbits, limits)))
        self.register()

    def register(self) -> None:
        """The agent dials an edge: a new epoch. It gives up the links it had."""
        agent = self.agent
        for link in list(agent.links):
            self.cut(link)
            self.agent_notices(link)
        if self.mode.epochs_restart and self.chance.random() < 0.2:
            self.epoch = 0
        self.epoch += 1
        self.registered_at = self.chance.choice(self.edges)
        agent.end.registered(self.epoch)
        for _ in range(self.chance.randint(1, POOL)):
            self.refill()
        self.stats["register"] += 1

    def move(self) -> None:
        """The agent goes to another edge: it is linked there before it leaves its links here, which linger."""
        older = list(self.agent.links)
        self.epoch += 1
        self.registered_at = self.chance.choice(self.edges)
        self.agent.end.registered(self.epoch)
        self.refill()
        for link in older:
            self.agent_notices(link)
            self.notices.append(partial(self.cut, link))
        self.stats["move"] += 1

    def refill(self) -> None:
        """One more link connection to the edge where the device is registered."""
        if not self.registered_at.alive:
            self.register()
            return
        self.link_numbers += 1
        link = Link(self.link_numbers, self.agent, self.registered_at)
        self.links.append(link)
        self.agent.links.append(link)
        self.apply_device(self.agent, self.agent.end.link_up(link.number, self.now))

    def cut(self, link: Link) -> None:
        """The connection breaks. Both sides will notice, in their own time; what is in flight may still arrive."""
        if not link.alive:
            return
        if self.chance.random() < 0.5:
            link.alive = False
            link.up.clear()
            link.down.clear()
        else:
            self.notices.append(lambda: self._die(link))
        self.notices.append(lambda: self.agent_notices(link))
        self.notices.append(lambda: self.edge_notices(link))

    def _die(self, link: Link) -> None:
        link.alive = False
        link.up.clear()
        link.down.clear()

    def agent_notices(self, link: Link) -> None:
        if link in link.agent.links:
            link.agent.links.remove(link)
            self.apply_device(link.agent, link.agent.end.link_lost(link.number, self.now))

    def edge_notices(self, link: Link) -> None:
        if link.noticed or not link.edge.alive:
            return
        link.noticed = True
        for pipe in [pipe for pipe in self.pipes if pipe.link is link and pipe.state == "up"]:
            pipe.up.append(Frame(Kind.LINK_LOST, source=link.edge.address, link=link.number))
            pipe.state = "zombie"

    def pipe(self, link: Link, edge: Edge, router: str | None = None) -> Pipe:
        """The way from a link to a client edge: the one in use, or a new one through a router that works."""
        pipe = self.current.get((link.number, edge.address))
        if pipe is None or pipe.state != "up" or (router is not None and pipe.router != router):
            if pipe is not None and pipe.state == "up":
                pipe.state = "zombie"
            pipe = Pipe(link, edge, router or self.chance.choice(ROUTERS))
            if not edge.alive or link.noticed:
                pipe.state = "dead"
            self.pipes.append(pipe)
            self.current[link.number, edge.address] = pipe
            self.by_name[link.number, edge.address, pipe.router] = pipe
        return pipe

    def edge_at(self, address: int) -> Edge | None:
        return next((edge for edge in self.edges if edge.address == address), None)

    # --- frames -------------------------------------------------------------------------------------------------

    def up_from_link(self, link: Link, frame: Frame) -> None:
        """The device's edge hands on what its agent says."""
        if not link.edge.alive or link.noticed or frame.edge == NO_EDGE:
            return
        if frame.edge == EVERY_EDGE:
            for every in self.edges:
                self.pipe(link, every).up.append(frame)
            return
        edge = self.edge_at(frame.edge)
        pipe = self._home(link, edge, frame) if edge else None
        if pipe is not None and pipe.state == "up":
            pipe.up.append(frame)

    def _home(self, link: Link, edge: Edge, frame: Frame) -> Pipe | None:
        """A binding stays on the pipe on which it was named; when that dies, frames are dropped until the next one."""
        if frame.kind == Kind.HELLO:
            pipe = self.pipe(link, edge)
            for channel in payloads.decode_hello(frame.payload).named:
                self._settle(channel, Home(frame.at, link, pipe))
            return pipe
        if frame.kind == Kind.OPENED:
            self._settle(frame.channel, Home(frame.at, link, self.pipe(link, edge)))
        home = link.edge.homes.get(frame.channel)
        if self.mode.frames_hop and home is not None:
            return self.pipe(link, edge) if home.pipe.state != "up" else home.pipe
        if home is not None and home[:2] == (frame.at, link):
            return home.pipe
        return None if frame.kind in _ON_A_PATH else self.pipe(link, edge)

    @staticmethod
    def _settle(channel: bytes, home: Home) -> None:
        homes = home.link.edge.homes
        if channel not in homes or homes[channel].at < home.at:
            homes[channel] = home

    def up_from_pipe(self, pipe: Pipe, frame: Frame) -> None:
        edge = pipe.edge
        if not edge.alive:
            return
        if frame.kind == Kind.LINK_LOST:
            effects = edge.ends.link_lost(frame.source, frame.link, self.now)
        else:
            stamped = frame._replace(source=pipe.link.edge.address, link=pipe.link.number)
            effects = edge.ends.frame(pipe.router, stamped, self.now, 0)
        self.apply_client(edge, effects)

    def down_from_pipe(self, pipe: Pipe, frame: Frame) -> None:
        link = pipe.link
        if link.edge.alive and link.alive and not link.noticed:
            link.down.append(frame._replace(source=pipe.edge.address))

    def down_from_link(self, link: Link, frame: Frame) -> None:
        self.apply_device(link.agent, link.agent.end.frame(link.number, frame, self.now))

    def seek(self, edge: Edge, router: str, frame: Frame) -> None:
        """An OPEN or ANNOUNCE reaches the edge it names, or the one that the registry names."""
        target = self.registered_at if frame.edge == NO_EDGE else self.edge_at(frame.edge)
        if target is None or not target.alive or not edge.alive:
            return
        links = [link for link in self.links if link.edge is target and not link.noticed]
        if frame.kind == Kind.ANNOUNCE:
            for link in links:
                self.pipe(link, edge, router)
                link.down.append(Frame(Kind.PATH_LOST, source=edge.address))
        elif links:
            self.chance.choice(links).down.append(frame)
        else:
            refusal = payloads.Ending(payloads.decode_open(frame.payload).claim, "DEVICE_NOT_HERE", "")
            answer = Frame(Kind.REFUSED, channel=frame.channel, payload=payloads.encode_ending(refusal))
            self.apply_client(edge, edge.ends.frame(router, answer, self.now, 0))

    # --- effects ------------------------------------------------------------------------------------------------

    def apply_device(self, agent: Agent, effects: list[device_state.DeviceEffect]) -> None:
        for effect in effects:
            if isinstance(effect, device_state.Transmit):
                link = next((link for link in self.links if link.number == effect.link), None)
                if link is not None and link.alive:
                    link.up.append(effect.frame)
            elif isinstance(effect, device_state.Dial):
                agent.dialing.append(effect.channel)
            elif isinstance(effect, device_state.Dispatch):
                self.execute(agent.sockets[effect.channel], effect.payload)
            elif isinstance(effect, device_state.HangUp):
                agent.sockets.pop(effect.channel, None)
                if effect.channel in agent.dialing:
                    agent.dialing.remove(effect.channel)
            else:
                agent.sockets[effect.channel].paused = effect.paused

    def apply_client(self, edge: Edge, effects: list[client_state.Effect]) -> None:
        """Nothing comes of a process that is dead."""
        for effect in effects if edge.alive else []:
            if isinstance(effect, client_state.Send):
                pipe = self.by_name.get((effect.path.link, edge.address, effect.path.router))
                if pipe is not None and pipe.state != "dead":
                    pipe.down.append(effect.frame)
            elif isinstance(effect, client_state.Seek):
                self.mail.append((edge, self.chance.choice(ROUTERS), effect.frame))
                if effect.frame.kind == Kind.OPEN:
                    self.old_opens.append(self.mail[-1])
            elif isinstance(effect, client_state.Finished):
                self.by_channel[bytes.fromhex(str(effect.record.attributes["browsergo.channel"]))].finished += 1
            else:
                self.tell(self.by_channel[effect.channel], effect)

    def tell(self, client: Client, effect: client_state.Effect) -> None:
        """What a client sees."""
        if client.gone:
            raise Violation("something for a client whose socket is closed")
        if isinstance(effect, client_state.Upgraded):
            if client.open:
                raise Violation("upgraded twice")
            client.open = True
        elif isinstance(effect, client_state.Refused):
            self.refused(client)
        elif isinstance(effect, client_state.Deliver):
            self.delivered(client, parsed(bytes(effect.payload)))
        elif isinstance(effect, client_state.Hold):
            client.held = effect.held
        elif isinstance(effect, client_state.Ended):
            self.ended(client, effect.error)

    # --- the browser --------------------------------------------------------------------------------------------

    def execute(self, socket: ChromeSocket, payload: bytes) -> None:
        command = parsed(payload)
        self.executed(self.by_channel[socket.channel], socket, command["params"]["op"])
        socket.running.append(command)

    def plug(self, agent: Agent, channel: bytes) -> None:
        """The channel's Chrome socket is open; a HangUp that comes at once closes it again."""
        agent.sockets[channel] = ChromeSocket(channel)
        self.apply_device(agent, agent.end.dialed(channel, self.now))

    def browser_says(self, agent: Agent, socket: ChromeSocket, *, event: bool) -> None:
        """One message of Chrome's: the answer to any running command, or an event."""
        socket.said += 1
        pad = padded(BIG_BYTES if self.chance.random() < self.mode.big else self.chance.choice((1, 20, 60)))
        if event and self.chance.random() < 0.15:
            socket.sessions += 1
            params = f'{{"sessionId":"S{socket.sessions}","no":{socket.said}}}'
            text = f'{{"method":"Target.attachedToTarget","params":{params}}}'
        elif event:
            text = f'{{"method":"Page.event","params":{{"no":{socket.said},{pad}}}}}'
        else:
            command = socket.running.pop(self.chance.randrange(len(socket.running)))
            op = command["params"]["op"]
            self.said[socket.channel, socket.said] = op
            text = f'{{"id":{command["id"]},"result":{{"op":"{op}","no":{socket.said},{pad}}}}}'
        self.apply_device(agent, agent.end.message(socket.channel, text.encode(), self.now, 0))

    # --- clients ------------------------------------------------------------------------------------------------

    def connect(self, place: int) -> None:
        channel = self.chance.getrandbits(128).to_bytes(16)
        client = Client(channel, self.chance.choice(self.edges))
        self.clients[place] = self.by_channel[channel] = client
        self.apply_client(client.edge, client.edge.ends.open(channel, DEVICE, "/devtools/browser", self.now))

    def command(self, client: Client) -> None:
        number = len(client.issued) + 1
        op = f"{client.channel.hex()}.{number}"
        client.issued.append(op)
        client.waiting[number] = op
        pad = padded(BIG_BYTES if self.chance.random() < self.mode.big else 10)
        text = f'{{"id":{number},"method":"Page.run","params":{{"op":"{op}",{pad}}}}}'
        self.stats["commands"] += 1
        self.apply_client(client.edge, client.edge.ends.command(client.channel, text.encode(), self.now, 0))

    def refused(self, client: Client) -> None:
        if client.open:
            raise Violation("refused after the upgrade")
        if self.mode.gentle:
            raise Violation("I8: refused")
        self.stats["refused"] += 1
        self.hang_up(client)

    def ended(self, client: Client, error: errors.BrowserGoError | None) -> None:
        if client.waiting or (client.sessions and error is not None):  # after Browser.close nobody asks for sessions
            raise Violation("I2: closed with commands unanswered or sessions attached")
        if self.mode.gentle:
            raise Violation("I8: closed")
        if isinstance(error, errors.BadFrame):
            raise Violation(f"closed for {error.message}")
        self.stats[error.code if error else "closed by client"] += 1
        self.hang_up(client)

    def hang_up(self, client: Client) -> None:
        """The client's socket is closed; whatever it still waits for, it knows nothing of."""
        client.gone = True
        if client.open and not client.waiting and client.finished != client.answered:
            raise Violation("commands and their spans are not the same number")
        self.clients[self.clients.index(client)] = None
