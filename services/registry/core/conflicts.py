"""Who gets a device id when somebody holds it already (design/endpoints.md, "/v2/device"). Pure."""

from enum import StrEnum

from browsergo.core.errors import DeviceConflict
from services.registry.core.roster import Lease, Newcomer


class Policy(StrEnum):
    """What happens when another instance asks for an id that is held."""

    TAKEOVER = "takeover"
    REJECT = "reject"


class Verdict(StrEnum):
    """Why a newcomer gets the device. All but KEPT mean a new epoch."""

    FIRST = "first"  # nobody holds it
    KEPT = "kept"  # the same boot, still on the same edge: its channels go on under the same epoch
    RECONNECT = "reconnect"  # the same boot from elsewhere, or without proof of its epoch
    RESTART = "restart"  # the same instance, a new boot: the old one is fenced
    TAKEOVER = "takeover"  # another instance


def judge(incumbent: Lease | None, newcomer: Newcomer, previous_epoch: int, policy: Policy) -> Verdict:
    """Decide by the live lease, if there is one.

    Raises DeviceConflict when another instance holds it and the policy is `reject`.
    """
    if incumbent is None:
        return Verdict.FIRST
    holder = incumbent.newcomer
    if holder.instance_id != newcomer.instance_id:
        if policy is Policy.REJECT:
            raise DeviceConflict(
                f"device {newcomer.device_id} is held by another instance through {holder.edge.edge_id}; "
                "stop that one, or wait until its lease ends"
            )
        return Verdict.TAKEOVER
    if holder.boot_id != newcomer.boot_id:
        return Verdict.RESTART
    if previous_epoch == incumbent.epoch and holder.edge == newcomer.edge:
        return Verdict.KEPT
    return Verdict.RECONNECT
