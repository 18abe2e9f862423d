import pytest

from browsergo.core.errors import DeviceConflict
from services.registry.core.conflicts import Policy, Verdict, judge
from services.registry.core.roster import EdgeRun, Lease, Newcomer

EDGE = EdgeRun("edge-1", 11)
INCUMBENT = Lease(Newcomer("laptop", "instance-a", "boot-1", EDGE, "connection-1", b""), 5, True, 0, 0, 45.0)


def verdict(
    *,
    incumbent: Lease | None = INCUMBENT,
    instance: str = "instance-a",
    boot: str = "boot-1",
    edge: EdgeRun = EDGE,
    previous_epoch: int = 5,
    policy: Policy = Policy.TAKEOVER,
) -> Verdict:
    return judge(incumbent, Newcomer("laptop", instance, boot, edge, "connection-2", b""), previous_epoch, policy)


def test_a_device_that_nobody_holds_is_given_out() -> None:
    assert verdict(incumbent=None) is Verdict.FIRST


def test_the_same_boot_on_the_same_edge_that_knows_its_epoch_keeps_it() -> None:
    assert verdict() is Verdict.KEPT


@pytest.mark.parametrize("previous_epoch", [0, 4, 6])
def test_the_same_boot_that_does_not_know_the_current_epoch_gets_a_new_one(previous_epoch: int) -> None:
    assert verdict(previous_epoch=previous_epoch) is Verdict.RECONNECT


@pytest.mark.parametrize("edge", [EdgeRun("edge-2", 11), EdgeRun("edge-1", 12)])
def test_the_same_boot_on_another_edge_run_gets_a_new_epoch(edge: EdgeRun) -> None:
    assert verdict(edge=edge) is Verdict.RECONNECT


@pytest.mark.parametrize("policy", list(Policy))
def test_a_new_boot_of_the_same_instance_is_a_restart_under_either_policy(policy: Policy) -> None:
    assert verdict(boot="boot-2", policy=policy) is Verdict.RESTART


def test_another_instance_takes_over_where_that_is_the_policy() -> None:
    assert verdict(instance="instance-b", boot="boot-1") is Verdict.TAKEOVER


def test_another_instance_is_rejected_where_that_is_the_policy() -> None:
    with pytest.raises(DeviceConflict, match=r"laptop is held by another instance through edge-1"):
        verdict(instance="instance-b", policy=Policy.REJECT)
