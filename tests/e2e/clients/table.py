"""The table of docs/clients/README.md, as a run gives it.

python -m tests.e2e.clients.table            runs every client and prints the table
python -m tests.e2e.clients.table --write    and writes it into the page
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.clients.bystander import Aftermath
from tests.e2e.clients.matrix import ROWS, Comparison, Matrix, Relay
from tests.e2e.clients.scenario import LEFT_PATH, STEPS, Step
from tests.fakes.forward import Forward
from tests.fakes.site import Site
from tests.fakes.stack import ROOT, Stack

PAGE = ROOT / "docs" / "clients" / "README.md"
BEGIN = "<!-- written by `python -m tests.e2e.clients.table --write`; a test compares it with what it runs -->\n"
END = "<!-- end of what is written -->\n"
_MARKS = {"same": "✓", "better": "✓ (relay only)", "cannot": "no", "chance": "?", "worse": "✗"}


def table(comparisons: Sequence[Comparison]) -> str:
    """The table in Markdown, with a note for each step that is not simply the same."""
    names = ["client", "version", "given the browser by", *(step.name for step in STEPS)]
    heading = [*names, "after its close: Chrome itself", "through the relay"]
    notes: list[str] = []
    lines = [_line(heading), _line(["---"] * len(heading))]
    for comparison in comparisons:
        cells = [_cell(comparison, step, notes) for step in STEPS]
        row = comparison.row
        after = [_after(comparison, run.aftermath) for run in (comparison.direct, comparison.relay)]
        lines.append(_line([row.client.name, comparison.relay.version, row.way.words, *cells, *after]))
    return "\n".join([*lines, "", *(f"{number}. {note}" for number, note in enumerate(notes, 1))]).rstrip() + "\n"


def _cell(comparison: Comparison, step: Step, notes: list[str]) -> str:
    verdict = comparison.verdict(step)
    if verdict == "same":
        return _MARKS[verdict]
    note = f"{comparison.row.client.name}, {step.name}: {_why(comparison, step, verdict)}"
    if note not in notes:
        notes.append(note)
    return f"{_MARKS[verdict]} ({notes.index(note) + 1})"


def _why(comparison: Comparison, step: Step, verdict: str) -> str:
    direct = comparison.direct.steps.get(step.name, {}).get("cannot", "not reached")
    return {
        "cannot": f"cannot against Chrome itself: {direct}",
        "better": f"cannot against Chrome itself: {direct}; through the relay it can",
        "chance": "left to chance by the client, against Chrome itself too",
        "worse": f"through the relay: {comparison.relay.steps.get(step.name, {}).get('cannot', 'something else')}",
    }[verdict]


def _after(comparison: Comparison, aftermath: Aftermath) -> str:
    if not aftermath.browser_lives:
        return "browser ended"
    if comparison.row.client.by_chance:
        return "browser lives"
    others = "" if aftermath.bystander_kept else ", others harmed"
    page = "stays" if LEFT_PATH in (aftermath.pages_left or ()) else "closed"
    return f"browser lives, its page {page}{others}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def written_table(page: str) -> str:
    """The table that a page holds."""
    return page.partition(BEGIN)[2].partition(END)[0]


def with_table(page: str, fresh: str) -> str:
    """The page with another table. Raises ValueError if it has no place for one."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"no place for a table: {BEGIN.strip()} and {END.strip()}")
    return before + begin + fresh + end + after


def main(arguments: Sequence[str]) -> int:
    """Run all and print; 2: usage."""
    if list(arguments) not in ([], ["--write"]):
        print("usage: python -m tests.e2e.clients.table [--write]", file=sys.stderr)
        return 2
    with (
        tempfile.TemporaryDirectory() as folder,
        Site() as site,
        Stack(Path(folder)) as stack,
        Forward(stack.data_dir) as forward,
    ):
        matrix = Matrix(Relay(stack, forward.address), site.url)
        fresh = table([matrix.comparison(row) for row in ROWS])
    print(fresh)
    if arguments:
        PAGE.write_text(with_table(PAGE.read_text(), fresh))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
