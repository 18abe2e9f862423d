"""`browsergo up` as a relay that must not stop: `python -m tests.fakes.two_routers up ARGS...`.

With a second router beside its one, and edges that take their time to drain.
"""

import os
import sys
from dataclasses import replace

from deploy import local
from deploy import up as real
from deploy.table import ChildSpec, Plan, process_table

DRAIN_S = 3  # devices leave within a second, if the machine has time for it


def two_routers(plan: Plan) -> list[ChildSpec]:
    """The table of every stack, and one more router that all who need routers know."""
    second = plan.router.replace("router-1", "router-2")
    table = [_patient(spec, second) if "--routers" in spec.argv else spec for spec in process_table(plan)]
    router = next(spec for spec in table if spec.name == "router-1")
    twin = replace(router, name="router-2", argv=tuple(word.replace("router-1", "router-2") for word in router.argv))
    return [*table, twin]


def _patient(spec: ChildSpec, router: str) -> ChildSpec:
    drain = ("--drain-s", str(DRAIN_S), "--drain-spread-s", "120") if spec.kind == "edge" else ()  # the last one counts
    return replace(spec, argv=(*spec.argv, "--routers", router, *drain))


def main() -> None:
    local.run(lambda: real.up(sys.argv[2:], os.environ, two_routers))


if __name__ == "__main__":
    main()
