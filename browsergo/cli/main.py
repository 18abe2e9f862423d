"""The `browsergo` command: reads a stack's record, mints tokens, and starts programs of ours by name.

It never imports a program it starts; what a command alone needs is imported when that command runs,
so that `browsergo up` costs next to nothing before the supervisor begins.
"""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import browsergo
from browsergo.cli.exits import INTERRUPTED, OK, USAGE, CliError
from browsergo.cli.launch import module_argv, module_environ
from browsergo.cli.stack import LOCAL_DEVICE, DataDir, data_dir_of, ready_record

app = typer.Typer(
    help="Browser-Go: drive any browser that can dial out, with any CDP client.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
token_app = typer.Typer(help="Tokens, signed with the key of a stack on this machine.", rich_markup_mode=None)
app.add_typer(token_app, name="token")

# The program gets its words exactly as they stand, --help among them.
_UNPARSED = {"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False}

DataDirFlag = Annotated[
    Path | None,
    typer.Option(
        help="Where the stack keeps its keys and state. [default: $BROWSERGO_DATA_DIR, else ~/.local/share/browsergo]"
    ),
]


def _data_dir(flag: Path | None) -> DataDir:
    return data_dir_of(flag, os.environ, Path.home())


def _become(module: str, arguments: list[str]) -> None:
    """Be that program from here on, under the same pid, so that signals and the exit code are its own."""
    argv = module_argv(module, *arguments)
    os.execve(argv[0], argv, module_environ(os.environ))  # noqa: S606 - no shell: that is the point


@app.command(context_settings=_UNPARSED, add_help_option=False)
def up(context: typer.Context) -> None:
    """Start everything on this machine, with a local browser as device `local`."""
    _become("deploy.local", context.args)


@app.command()
def down(data_dir: DataDirFlag = None) -> None:
    """Stop the stack of a data directory, and wait until it is gone."""
    from browsergo.cli.down import stop_stack

    where = _data_dir(data_dir)
    pid = stop_stack(where)
    typer.echo(f"stopped the stack in {where.root} (pid {pid})")


@app.command()
def urls(
    data_dir: DataDirFlag = None,
    device: Annotated[str, typer.Option(help="The device that the URLs are for.")] = LOCAL_DEVICE,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Print the URLs of the running stack with fresh tokens, ready to paste."""
    from browsergo.cli.tokens import read_signing_key
    from browsergo.cli.urls import mint_tokens, paste_text, stack_urls
    from browsergo.core.ids import DEVICE_ID_FORM, is_device_id

    if not is_device_id(device):
        raise CliError(USAGE, f"--device {device!r}: a device id is {DEVICE_ID_FORM}")
    where = _data_dir(data_dir)
    record = ready_record(where)
    found = stack_urls(record, device, mint_tokens(read_signing_key(where.signing_key), device))
    typer.echo(json.dumps(found, indent=2) if as_json else paste_text(found))


@app.command(context_settings=_UNPARSED, add_help_option=False)
def edge(context: typer.Context) -> None:
    """Run one edge: the WebSocket and HTTP server that devices, clients and operators dial."""
    _become("edge", context.args)


@app.command(context_settings=_UNPARSED, add_help_option=False)
def registry(context: typer.Context) -> None:
    """Run the registry: which device is where."""
    _become("services.registry", context.args)


@app.command(context_settings=_UNPARSED, add_help_option=False)
def router(context: typer.Context) -> None:
    """Run a router: the switch between edges."""
    _become("services.router", context.args)


@app.command(context_settings=_UNPARSED, add_help_option=False)
def control(context: typer.Context) -> None:
    """Run a control service: the operator's view."""
    _become("services.control", context.args)


@app.command(context_settings=_UNPARSED, add_help_option=False)
def agent(context: typer.Context) -> None:
    """Run the agent beside a browser, which makes it a device."""
    _become("browsergo.agent", context.args)


@app.command()
def forward(
    device: Annotated[str, typer.Argument(help="The device to serve.")] = LOCAL_DEVICE,
    port: Annotated[int, typer.Option(help="Loopback port to listen on; 0: any free one.", min=0, max=65535)] = 9222,
    edge: Annotated[str, typer.Option(help="http(s)://host:port of an edge. [default: the stack here]")] = "",
    token_file: Annotated[Path | None, typer.Option(help="A token (scope cdp:ID:full) for that edge.")] = None,
    data_dir: DataDirFlag = None,
) -> None:
    """Serve one device at the root of a loopback port, for clients that know only host and port."""
    from browsergo.cli.forward import run_forward, upstream_of

    run_forward(upstream_of(device, edge, token_file, _data_dir(data_dir)), port)


@token_app.command("create")
def create_token(
    scope: Annotated[
        list[str], typer.Option(help="What it allows: control:read, device:ID, cdp:ID:full, ... May be repeated.")
    ],
    subject: Annotated[str, typer.Option(help="Whom it is for; stands in logs and audits.")] = "cli",
    ttl: Annotated[str, typer.Option(help="How long it holds: 90s, 15m, 1h, 7d.")] = "1h",
    data_dir: DataDirFlag = None,
) -> None:
    """Print one token."""
    from browsergo.cli.tokens import check_scope, mint_now, parse_duration_s, read_signing_key

    ttl_s = parse_duration_s(ttl)
    scopes = [check_scope(part) for words in scope for part in words.split()]
    typer.echo(mint_now(read_signing_key(_data_dir(data_dir).signing_key), subject, scopes, ttl_s))


@token_app.callback()
def token() -> None:
    """Keep `token` a group, so that `create` is always spelled out."""


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(browsergo.__version__)


def run(argv: list[str]) -> int:
    """Do what `argv` says; the exit code. Errors are one line on stderr."""
    try:
        code = app(args=argv, prog_name="browsergo", standalone_mode=False)
    except CliError as error:
        return _complain(str(error), error.exit_code)
    except typer.TyperException as error:
        return _complain(f"{error.format_message()} (`browsergo --help` shows what there is)", USAGE)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    return code if isinstance(code, int) else OK


def _complain(message: str, exit_code: int) -> int:
    typer.echo(f"browsergo: {' '.join(message.split())}", err=True)
    return exit_code


def main() -> None:
    """The entry point of the installed command."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
