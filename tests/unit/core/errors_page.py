"""The table of docs/protocol/errors.md, from the classes themselves.

python -m tests.unit.core.errors_page            prints it
python -m tests.unit.core.errors_page --write    and writes it into the page
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from browsergo.core.errors import BrowserGoError

PAGE = Path(__file__).resolve().parents[3] / "docs" / "protocol" / "errors.md"
HEADING = ("code", "category", "says, if nothing more exact is known", "retry", "HTTP", "close", "gRPC", "CDP")


def errors_of(root: type[BrowserGoError]) -> Iterator[type[BrowserGoError]]:
    """Every class that has a code of its own, in the order of the file."""
    if "code" in vars(root):
        yield root
    for child in root.__subclasses__():
        yield from errors_of(child)


def table() -> list[str]:
    """The lines of the table."""
    rows = [_row(cls) for cls in errors_of(BrowserGoError)]
    return [_line(cells) for cells in (HEADING, ["---"] * len(HEADING), *rows)]


def _row(cls: type[BrowserGoError]) -> list[str]:
    retry = "yes" if cls.retryable else "no"
    numbers = [str(number) for number in (cls.http_status, cls.close_code)]
    return [f"`{cls.code}`", cls.category, cls.default_message, retry, *numbers, cls.grpc_status, str(cls.cdp_error)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def written_table() -> list[str]:
    """What the page shows."""
    return [line for line in PAGE.read_text().splitlines() if line.startswith("|")]


def main(arguments: Sequence[str]) -> int:
    """Print, and write if asked to; 2: usage."""
    if list(arguments) not in ([], ["--write"]):
        print("usage: python -m tests.unit.core.errors_page [--write]", file=sys.stderr)
        return 2
    print(*table(), sep="\n")
    if arguments:
        kept = [line for line in PAGE.read_text().splitlines() if not line.startswith("|")]
        PAGE.write_text("\n".join([*kept, *table()]) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
