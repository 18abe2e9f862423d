"""What `browsergo up` says to people, as text. Pure."""

import signal
from pathlib import Path

from browsergo.cli.stack import DataDir, StackRecord
from browsergo.cli.urls import Urls, authority, paste_text


def starting(names: list[str], where: DataDir) -> str:
    """The first line."""
    return f"starting {', '.join(names)} in {where.root}"


def first_run(where: DataDir, token: str, hint: str) -> str:
    """Said once in the life of a data directory: the only time this token is shown."""
    return (
        f"first run: made the signing key {where.signing_key}\n"
        f"admin token, shown only now, for 30 days (fresh ones: `browsergo urls{hint} --json`):\n\n{token}\n"
    )


def ready(urls: Urls, record: StackRecord, after_s: float, where: DataDir, hint: str) -> tuple[str, str, str]:
    """That it serves; what to paste; where things are."""
    device = f"the local browser is device `{record.device}`" if record.device else "without a browser of its own"
    return (
        f"ready after {after_s:.1f} s: http://{authority(record.host, record.port)}, {device}",
        paste_text(urls),
        f"fresh URLs: browsergo urls{hint}\nstop: Ctrl-C, or browsergo down{hint}\nlogs: {where.logs}",
    )


def insecure() -> str:
    """Said at every start without authentication."""
    return "no authentication (--insecure-no-auth): every program and every user of this machine may drive the browser"


def data_dir_hint(chosen: Path | None) -> str:
    """The flag that other commands need to find this stack."""
    return f" --data-dir {chosen}" if chosen is not None else ""


def waiting(missing: str, after_s: float) -> str:
    """The progress line."""
    return f"waiting {after_s:.0f} s for {missing}"


def still_waiting(missing: str, after_s: float, give_up_s: float) -> str:
    """Said once, when a start takes unusually long."""
    return f"not ready after {after_s:.0f} s: {missing}; waiting until {give_up_s:.0f} s"


def gave_up(missing: str, after_s: float, where: DataDir) -> str:
    """Why the start failed."""
    return f"not ready after {after_s:.0f} s: {missing}; see {where.logs}"


def exit_text(code: int) -> str:
    """How a process ended: its exit code, or the signal that ended it."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"


def died(code: int, delay_s: float, last_line: str) -> str:
    """A child ended by itself."""
    said = f": {last_line}" if code != 0 and last_line else ""
    return f"{exit_text(code)}, again in {delay_s:.1f} s{said}"


def stopping() -> str:
    """Said when asked to stop."""
    return "stopping (Ctrl-C again: at once)"


def stubborn(after_s: float) -> str:
    """A child had to be killed."""
    return f"did not end within {after_s:.0f} s of SIGTERM: killed"


def misconfigured(name: str, last_line: str) -> str:
    """A child refused its configuration, so the start is over."""
    return f"{name} refuses to start: {last_line or 'exit code 2, without a word'}"


def left_out(count: int, log: Path) -> str:
    """More lines came than a terminal should show."""
    return f"({count} more lines in {log})"


def port_refused(host: str, port: int, why: str, flag: str) -> str:
    """A port that `flag` names cannot be had."""
    variable = f"BROWSERGO_UP_{flag.removeprefix('--').replace('-', '_').upper()}"
    return f"port {port} on {host} cannot be used ({why}); choose another with {flag} or {variable}"
