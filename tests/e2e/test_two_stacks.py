"""Two stacks on one machine share nothing."""

from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.e2e.raw_cdp import RawClient
from tests.fakes.stack import Stack


@pytest.mark.chrome
def test_two_stacks_side_by_side_never_touch_each_other(relay: Stack, tmp_path: Path) -> None:
    with RawClient(relay.urls.client_ws) as client:
        with Stack(tmp_path) as second:
            with RawClient(second.urls.client_ws) as other:
                assert client.call("Target.getTargets") != other.call("Target.getTargets")
            address = second.urls.client_ws.partition("?")[0]
            with pytest.raises(InvalidStatus) as refused, RawClient(f"{address}?token={relay.urls.tokens['client']}"):
                pass
            assert refused.value.response.status_code == 401
        # The second has ended (and left nothing, as Stack asserts); the first never noticed.
        assert "Chrome/" in client.call("Browser.getVersion")["product"]
