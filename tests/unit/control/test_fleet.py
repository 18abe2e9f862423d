import pytest

from browsergo.core.errors import (
    BrowserGoError,
    DeadlineExceeded,
    DeviceNotFound,
    EdgeLost,
    EdgeNotFound,
    ServiceUnavailable,
)
from services.control.core import fleet
from services.control.core.fleet import EdgeKey, Part

EDGE_1 = EdgeKey("edge-1", 11)
EDGE_2 = EdgeKey("edge-2", 22)


def test_a_part_that_is_silent_is_described_by_its_deadline() -> None:
    assert fleet.unwell("registry", DeadlineExceeded(), 2.0) == Part("registry", False, "no answer within 2 s")


def test_a_part_that_fails_is_described_by_its_error() -> None:
    part = fleet.unwell("registry", ServiceUnavailable("connection refused"), 2.0)
    assert part == Part("registry", False, "SERVICE_UNAVAILABLE: connection refused")


def test_one_part_that_is_unwell_degrades_the_whole() -> None:
    well = fleet.well("registry")
    assert fleet.overall([well]) == "ok"
    assert fleet.overall([well, Part("router a", False, "gone")]) == "degraded"


def test_an_edge_that_has_too_much_to_do_is_unwell() -> None:
    assert fleet.overloaded("edge a", "ok", 0, 0, 0) == fleet.well("edge a")
    assert fleet.overloaded("edge a", "", 0, 0, 0) == fleet.well("edge a")  # of a version without the ladder
    detail = "overloaded (refusing): memory 850 of 1000 MiB, loop lag 7 ms"
    assert fleet.overloaded("edge a", "refusing", 850 << 20, 1000 << 20, 7) == Part("edge a", False, detail)


def test_an_edge_is_reached_through_every_router_that_has_its_trunk() -> None:
    trunks = {"a": [EDGE_1], "b": [EDGE_1, EDGE_2], "c": []}
    assert fleet.routes(trunks) == {EDGE_1: ["a", "b"], EDGE_2: ["b"]}


def test_an_edge_that_holds_devices_but_has_no_trunk_is_named() -> None:
    (part,) = fleet.cut_off({EDGE_1: 1, EDGE_2: 3}, {EDGE_1: ["a"]})
    assert part == Part("edge edge-2", False, "holds 3 device(s), but no router that answered has its trunk")


@pytest.mark.parametrize(
    ("error", "may"),
    [(EdgeNotFound(), True), (ServiceUnavailable(), True), (DeadlineExceeded(), False), (DeviceNotFound(), False)],
)
def test_another_router_is_tried_only_if_the_command_reached_no_edge(error: BrowserGoError, may: bool) -> None:
    assert fleet.may_try_next(error) is may


def test_an_edge_without_any_trunk_is_lost() -> None:
    assert isinstance(fleet.undelivered(EDGE_1, [EdgeNotFound(), EdgeNotFound()]), EdgeLost)


def test_an_edge_whose_router_may_be_the_one_that_is_down_is_not_called_lost() -> None:
    error = fleet.undelivered(EDGE_1, [EdgeNotFound(), ServiceUnavailable("connection refused")])
    assert isinstance(error, ServiceUnavailable)
    assert error.message == "edge edge-1 was not reached: connection refused"
