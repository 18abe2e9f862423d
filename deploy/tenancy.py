"""Taking possession of a data directory: folders, lock, signing key, and what a crashed run left in it."""

import fcntl
import os
import re
import shutil
import signal
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from browsergo.cli.processes import ProcessIdentity, all_stats, command_line_of, identity_of, is_running
from browsergo.cli.stack import DataDir, read_record
from browsergo.core.tokens import load_key, new_key_pem
from deploy.leash import descendants
from deploy.private_files import PRIVATE_FILE, clear_folder, make_private_folder, write_private
from deploy.refusals import Refused

# sun_path holds 108 bytes with its closing zero (unix(7)).
MAX_SOCKET_PATH_BYTES = 107
_LONGEST_SOCKET = "registry.sock"
# gRPC reads `unix:` addresses as URIs; anything else in a path would need an escape there.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._~+=@-]+\Z")
_TEMPORARY_PREFIX = "browsergo-run-"
_SWEEP_GRACE_S = 3.0
_LOOK_EVERY_S = 0.02


class Tenancy:
    """A data directory that is ours until `leave`."""

    def __init__(self, where: DataDir, lock: int, sockets: Path) -> None:
        self.where = where
        self.sockets = sockets
        self._lock = lock

    def leave(self) -> None:
        """Remove everything of this run, and let go of the lock."""
        _clear_run(self.where, self.sockets)
        os.close(self._lock)


def take(where: DataDir) -> Tenancy:
    """Make the folders of `where`, lock it, and clear what a crashed run left. Raises Refused."""
    try:
        for folder in (where.keys, where.state, where.logs, where.run):
            make_private_folder(folder)
        lock = os.open(where.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    except OSError as error:
        raise Refused(
            f"the data directory {where.root} cannot be written ({error.strerror}); name another with --data-dir"
        ) from None
    try:
        _lock_or_refuse(where, lock)
        sweep(where)
        return Tenancy(where, lock, _sockets_folder(where))
    except BaseException:
        os.close(lock)
        raise


def _lock_or_refuse(where: DataDir, lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        record = read_record(where)
        who = f" (pid {record.supervisor.pid}, port {record.port})" if record else ""
        raise Refused(
            f"the data directory {where.root} is in use by another running stack{who};"
            " stop it with `browsergo down`, or name another with --data-dir"
        ) from None


def signing_key(where: DataDir) -> tuple[Ed25519PrivateKey, bool]:
    """The key that signs tokens, and whether it was made just now. Raises Refused for a file that is no key."""
    made = not where.signing_key.exists()
    try:
        if made:
            write_private(where.signing_key, new_key_pem())
        where.signing_key.chmod(PRIVATE_FILE)
        return load_key(where.signing_key.read_bytes()), made
    except OSError as error:
        raise Refused(f"{where.signing_key}: cannot be used ({error.strerror})") from None
    except ValueError:
        raise Refused(f"{where.signing_key}: not an Ed25519 key in PEM; move it away and a new one is made") from None


def _sockets_folder(where: DataDir) -> Path:
    """run/, or a private folder of the system's where the path of run/ does not suit a socket. Raises Refused."""
    if _suits_sockets(where.run):
        return where.run
    for place in _temporary_places():
        if _suits_sockets(place / f"{_TEMPORARY_PREFIX}12345678"):
            return Path(tempfile.mkdtemp(prefix=_TEMPORARY_PREFIX, dir=place))
    raise Refused(f"{where.root}: too long a path for sockets, and so is TMPDIR; name a shorter one with --data-dir")


def _suits_sockets(folder: Path) -> bool:
    longest = str(folder / _LONGEST_SOCKET)
    return len(os.fsencode(longest)) <= MAX_SOCKET_PATH_BYTES and _PLAIN_PATH.match(longest) is not None


def _temporary_places() -> list[Path]:
    return [place for place in (Path(tempfile.gettempdir()), Path("/tmp")) if place.is_dir()]  # noqa: S108 - mkdtemp's


def sweep(where: DataDir) -> None:
    """End what a crashed run in `where` left running, and remove its files. The lock must be held.

    Ended is only what is provably ours: recorded pids with their start times, browsers whose profile is in run/, and
    what stems from either.
    """
    record = read_record(where)
    recorded = [*record.children.values()] if record else []
    ours = [child for child in recorded if child.start_ticks is not None and is_running(child)] + _browsers_of(where)
    below = descendants(all_stats(), {process.pid for process in ours})
    _end(ours + [ProcessIdentity(stat.pid, stat.start_ticks) for stat in below])
    _clear_run(where, Path(record.sockets) if record else where.run)


def _browsers_of(where: DataDir) -> list[ProcessIdentity]:
    profile = f"--user-data-dir={where.run}/chrome-"
    pids = [stat.pid for stat in all_stats() if any(word.startswith(profile) for word in command_line_of(stat.pid))]
    return [identity_of(pid) for pid in pids]


def _end(processes: list[ProcessIdentity]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + _SWEEP_GRACE_S
        for process in processes:
            _signal(process, number)
        while any(map(is_running, processes)) and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S)


def _signal(process: ProcessIdentity, number: int) -> None:
    if not is_running(process):
        return
    try:
        os.kill(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return


def _clear_run(where: DataDir, sockets: Path) -> None:
    clear_folder(where.run, keep=where.lock)
    if sockets.parent in _temporary_places() and sockets.name.startswith(_TEMPORARY_PREFIX):
        shutil.rmtree(sockets, ignore_errors=True)
