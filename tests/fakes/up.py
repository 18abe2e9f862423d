"""`browsergo up` with fake children: `python -m tests.fakes.up SCRIPT ARGS...`, SCRIPT being a JSON object.

{"journal": PATH, "behaviours": {NAME: BEHAVIOUR}, "times": {...}, "restarts": {...}}
"""

import json
import os
import sys
from dataclasses import replace
from functools import partial
from typing import Any

from browsergo.cli.launch import module_argv
from deploy import local
from deploy import up as real
from deploy.restarts import RestartTimes
from deploy.supervisor import Times
from deploy.table import ChildSpec, Plan, process_table


def fake_table(script: dict[str, Any], plan: Plan) -> list[ChildSpec]:
    table = process_table(plan)
    names = ",".join(spec.name for spec in table)

    def fake(spec: ChildSpec) -> ChildSpec:
        behaviour = script["behaviours"].get(spec.name, "serve")
        argv = module_argv("tests.fakes.child", behaviour, spec.name, script["journal"], names, *spec.argv)
        return replace(spec, argv=tuple(argv))

    return [fake(spec) for spec in table]


def main() -> None:
    script = json.loads(sys.argv[1])
    times = Times(restarts=RestartTimes(**script["restarts"]), **script["times"])
    local.run(lambda: real.up(sys.argv[2:], os.environ, partial(fake_table, script), times))


if __name__ == "__main__":
    main()
