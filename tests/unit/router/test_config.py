import pytest

from browsergo.chassis.config import ConfigError
from services.router.config import RouterConfig


def test_a_router_tells_nobody_of_itself_unless_it_is_told_to() -> None:
    config = RouterConfig.load([], {})
    assert (config.registry, config.advertise) == (None, None)


def test_where_edges_reach_it_is_an_address_that_can_be_dialed() -> None:
    assert RouterConfig.load(["--advertise", "router-1.internal:7402"], {}).advertise == "router-1.internal:7402"
    for address in ("http://router-1:7402", "router-1", ""):
        with pytest.raises(ConfigError, match="advertise: this is HOST:PORT"):
            RouterConfig.load(["--advertise", address], {})
