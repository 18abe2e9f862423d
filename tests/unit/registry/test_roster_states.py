"""Whatever happens in whatever order: epochs only grow, and a stale one changes nothing (delivery.md, I7)."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.registry.core.conflicts import Policy, Verdict, judge
from services.registry.core.roster import EdgeRun, Lease, Newcomer, Renewal, Renewed, Roster

TTL_S = 45.0
DEVICES = st.sampled_from(["a", "b"])
EDGES = st.sampled_from([EdgeRun("edge-1", 1), EdgeRun("edge-1", 2), EdgeRun("edge-2", 1)])
NAMES = st.sampled_from(["x", "y"])
STALENESS = st.integers(min_value=-1, max_value=2)


class RosterAndStore(RuleBasedStateMachine):
    """The roster as the servicer uses it, over a store that is a dict and survives restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.roster = Roster(TTL_S)
        self.newest: dict[str, int] = {}
        self.shown: dict[str, int] = {}

    @rule(device=DEVICES, instance=NAMES, boot=NAMES, edge=EDGES, behind=STALENESS)
    def register(self, device: str, instance: str, boot: str, edge: EdgeRun, behind: int) -> None:
        newcomer = Newcomer(device, instance, boot, edge, "connection", b"")
        incumbent = self.roster.live(device, self.now_s)
        previous = self.newest.get(device, 0) - behind
        if judge(incumbent, newcomer, previous, Policy.TAKEOVER) is Verdict.KEPT:
            assert incumbent is not None
            assert incumbent.epoch == previous == self.newest[device]
            assert self.roster.keep(newcomer, self.now_s, 0) is not None
            return
        self.newest[device] = self.newest.get(device, 0) + 1
        assert self.roster.place(newcomer, self.newest[device], self.now_s, 0) == incumbent

    @rule(device=DEVICES, edge=EDGES, behind=STALENESS, active=st.none() | st.booleans())
    def renew(self, device: str, edge: EdgeRun, behind: int, active: bool | None) -> None:
        renewal = Renewal(device, self.newest.get(device, 0) - behind, active, 0)
        before = self.snapshot()
        outcome = self.roster.renew(edge, renewal, self.now_s)
        if outcome is Renewed.UNKNOWN and self.newest.get(device) == renewal.epoch:
            newcomer = Newcomer(device, "x", "x", edge, "connection", b"")
            assert self.roster.take_back(newcomer, renewal, 0, self.now_s)
            outcome = Renewed.RENEWED
        if outcome is Renewed.RENEWED:
            assert renewal.epoch == self.newest[device]
        else:
            assert self.snapshot() == before

    @rule(device=DEVICES, behind=STALENESS)
    def release(self, device: str, behind: int) -> None:
        epoch = self.newest.get(device, 0) - behind
        before = self.snapshot()
        if self.roster.release(device, epoch, self.now_s):
            assert epoch == self.newest[device]
            assert self.roster.live(device, self.now_s) is None
        else:
            assert self.snapshot() == before

    @rule(seconds=st.sampled_from([0.0, 1.0, 20.0, TTL_S]))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule()
    def tick(self) -> None:
        alive = self.snapshot()
        for lease in self.roster.tick(self.now_s):
            assert lease.expires_s <= self.now_s
        assert self.snapshot() == alive
        deadline_s = self.roster.next_deadline()
        assert deadline_s is None or deadline_s > self.now_s

    @rule()
    def restart(self) -> None:
        self.roster = Roster(TTL_S)

    @invariant()
    def epochs_never_decrease(self) -> None:
        for lease in self.snapshot():
            assert lease.epoch >= self.shown.get(lease.device_id, 0)
            assert lease.epoch == self.newest[lease.device_id]
            self.shown[lease.device_id] = lease.epoch

    @invariant()
    def the_listing_is_what_is_live(self) -> None:
        listed = [lease.device_id for lease in self.snapshot()]
        assert listed == [device for device in ("a", "b") if self.roster.live(device, self.now_s) is not None]

    @invariant()
    def no_lease_ends_before_the_deadline(self) -> None:
        deadline_s = self.roster.next_deadline()
        assert all(deadline_s is not None and deadline_s <= lease.expires_s for lease in self.snapshot())

    def snapshot(self) -> list[Lease]:
        return [replace(lease) for lease in self.roster.page("", 10, 1 << 20, self.now_s).leases]


TestRosterAndStore = RosterAndStore.TestCase
TestRosterAndStore.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, derandomize=True, database=None
)
