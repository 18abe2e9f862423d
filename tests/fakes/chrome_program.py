"""A program that stands in for Chrome: it says that it listens, and then behaves as told.

`write_program(path, BEHAVIOUR)` makes an executable that writes its pid, its grandchild's pid and its TMPDIR into
`PATH.seen`, prints what Chrome prints, and waits for its end.

polite    ends on SIGTERM
stubborn  ignores SIGTERM, as does the grandchild it leaves in its session
litter    ends on SIGTERM and leaves a grandchild that goes on writing into the profile
escaping  ends on SIGTERM and leaves a grandchild in a session of its own, with its stderr
silent    never says that it listens
broken    says why it cannot start and exits with 7
"""

import json
import sys
from pathlib import Path
from typing import NamedTuple

PORT = 40_000

_PROGRAM = """#!{python}
import json, os, signal, subprocess, sys, time
behaviour = {behaviour!r}
profile = next(word.partition("=")[2] for word in sys.argv if word.startswith("--user-data-dir="))
if behaviour == "broken":
    print("no display and no hope", file=sys.stderr)
    raise SystemExit(7)
if behaviour == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = 0
if behaviour == "stubborn":
    grandchild = subprocess.Popen(["sleep", "600"]).pid
if behaviour == "escaping":
    grandchild = subprocess.Popen(["sleep", "600"], start_new_session=True).pid
if behaviour == "litter":
    litter = "while :; do mkdir -p $0/again; echo x > $0/again/$$; done"
    grandchild = subprocess.Popen(["sh", "-c", litter, profile], stderr=subprocess.DEVNULL).pid
os.makedirs(profile + "/Default")
seen = dict(pid=os.getpid(), grandchild=grandchild, profile=profile, environ=dict(os.environ))
with open(__file__ + ".part", "w") as file:
    json.dump(seen, file)
os.replace(__file__ + ".part", __file__ + ".seen")
print("some noise first", file=sys.stderr, flush=True)
if behaviour != "silent":
    print("DevTools listening on ws://127.0.0.1:{port}/devtools/browser/abc", file=sys.stderr, flush=True)
while True:
    signal.pause()
"""


class Seen(NamedTuple):
    """What the program saw; pids, its profile, its environment."""

    pid: int
    grandchild: int
    profile: Path
    environ: dict[str, str]


def write_program(path: Path, behaviour: str) -> Path:
    """An executable at `path`."""
    path.write_text(_PROGRAM.format(python=sys.executable, behaviour=behaviour, port=PORT))
    path.chmod(0o755)
    return path


def seen_by(program: Path) -> Seen:
    """What it wrote."""
    found = json.loads(Path(f"{program}.seen").read_text())
    return Seen(found["pid"], found["grandchild"], Path(found["profile"]), found["environ"])
