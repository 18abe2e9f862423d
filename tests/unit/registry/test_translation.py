import pytest

from browsergo.core.errors import BrowserGoError, InvalidArgument, InvalidDeviceId
from browsergo.v2 import types_pb2
from services.registry import translation
from services.registry.core.roster import EdgeRun, Lease
from tests.fakes.devices import EDGE_1, identity, renewal

EDGE = EdgeRun("edge-1", 11)


def refusal(changed: types_pb2.DeviceIdentity, connection: str = "connection-1") -> BrowserGoError:
    with pytest.raises(InvalidArgument) as caught:
        translation.newcomer(changed, EDGE, connection)
    return caught.value


def test_a_device_comes_out_as_it_went_in() -> None:
    said = identity()
    newcomer = translation.newcomer(said, translation.edge_run(EDGE_1), "connection-1")
    device = translation.device_message(Lease(newcomer, 7, True, 1_000, 2_000, 145.0), now_s=100.0, now_unix_ms=9_000)
    assert device.identity == said
    assert device.edge == EDGE_1
    assert (device.epoch, device.state, device.connection_id) == (7, types_pb2.DEVICE_STATE_ACTIVE, "connection-1")
    assert (device.registered_unix_ms, device.last_seen_unix_ms, device.lease_expires_unix_ms) == (1_000, 2_000, 54_000)


@pytest.mark.parametrize("device_id", ["", "any", "..", "a/b", "a b", "ü", "x" * 129])
def test_a_device_id_of_another_form_is_refused(device_id: str) -> None:
    assert isinstance(refusal(identity(device_id)), InvalidDeviceId)


@pytest.mark.parametrize("text", ["", "x" * 129, "ü" * 65])
def test_instance_boot_and_connection_need_a_name_of_bounded_size(text: str) -> None:
    assert refusal(identity(instance=text)).message.startswith("identity.instance_id must be")
    assert refusal(identity(boot=text)).message.startswith("identity.boot_id must be")
    assert refusal(identity(), connection=text).message.startswith("connection_id must be")


@pytest.mark.parametrize("field", ["labels", "metadata"])
@pytest.mark.parametrize(
    "entries", [{f"key-{n}": "" for n in range(65)}, {"": "x"}, {"k" * 129: "x"}, {"key": "v" * 1025}]
)
def test_labels_and_metadata_are_bounded(field: str, entries: dict[str, str]) -> None:
    said = identity()
    getattr(said, field).update(entries)
    assert refusal(said).message.startswith(f"identity.{field}")


def test_an_identity_is_bounded_as_a_whole() -> None:
    said = identity()
    said.capabilities.user_agent = "x" * 9_000
    assert "at most 8192 are allowed" in refusal(said).message


@pytest.mark.parametrize("edge", [types_pb2.EdgeRun(edge_id="edge-1"), types_pb2.EdgeRun(boot=1)])
def test_an_edge_needs_a_name_and_a_boot(edge: types_pb2.EdgeRun) -> None:
    with pytest.raises(InvalidArgument):
        translation.edge_run(edge)


@pytest.mark.parametrize(
    ("state", "active"),
    [
        (types_pb2.DEVICE_STATE_REGISTERED, False),
        (types_pb2.DEVICE_STATE_ACTIVE, True),
        (types_pb2.DEVICE_STATE_UNSPECIFIED, None),
        (types_pb2.DEVICE_STATE_ERROR, None),
    ],
)
def test_a_renewal_changes_the_state_to_registered_or_active_only(
    state: types_pb2.DeviceState.ValueType, active: bool | None
) -> None:
    assert translation.renewal(renewal(epoch=7, state=state).device).active is active
