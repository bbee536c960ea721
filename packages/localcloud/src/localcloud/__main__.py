"""`localcloud start|env|shell|stop|status|faults|serve`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from localcloud import fault_commands, process
from localcloud.server import orphans
from localcloud.server.configuration import MOST_SCALE, Configuration, ConfigurationError, load, of_project
from localcloud.server.credentials import CredentialsUnusable
from localcloud.server.files import StateUnwritable, require_writable
from localcloud.server.surroundings import Folders, arrange, settings
from localcloud.setup import PORT, Places, SetupFailed, shell, tools
from localcloud.setup.failures import report

_ABOUT = f"An AWS on this machine, at http://127.0.0.1:{PORT}. --port or LOCALCLOUD_PORT names another port."
_AFTER = """in a Pulumi project, with localcloud-ml in its environment:
  localcloud start            installs what is missing, the Pulumi CLI too, and starts the cloud
  eval "$(localcloud env)"    points this shell's pulumi, aws and boto3 at it
  pulumi up
  localcloud stop"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 when it did what was asked, 1 when it could not, 3 when `status` finds nothing running.
    """
    try:
        options = _parser().parse_args(arguments)
        command: Callable[[argparse.Namespace], int] = options.run
        return command(options)
    except SetupFailed as error:
        report(error)
        return 1
    except (process.ProcessError, StateUnwritable, CredentialsUnusable, ConfigurationError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _serve(options: argparse.Namespace) -> int:
    os.umask(0o077)  # the state is its owner's: objects, keys, code
    state, configuration = options.state.resolve(), _configuration(options)
    require_writable(state)
    with process.hold(state) as lock:
        process.require_free(options.port)
        process.sign(lock, options.port)
        orphans.end(state)
        Folders(state).make()
        wanted = settings(Folders(state), options.port, configuration.region, configuration.account)
        arrange(os.environ, wanted)
        # ministack reads its settings, the place for temporary files too, while it is imported.
        from localcloud.host import run  # noqa: PLC0415

        run(Folders(state), options.port, configuration)
    return 0


def _start(options: argparse.Namespace) -> int:
    load(options.config)
    python = options.python or process.named_python()
    if python is None:
        places = Places.around(Path())
        if tools.install(places):
            process.to_stderr(f"local cloud: what it needs is installed in {places.state} and {places.cache}")
        python = process.find_python(places.root)
    state, scale = options.state.resolve(), options.time_scale
    process.start(state, options.port, python, options.config, process.to_stderr, time_scale=scale)
    if state == _state():
        process.to_stderr('local cloud: eval "$(localcloud env)" points pulumi, aws and boto3 at it')
    return 0


def _state() -> Path:
    return Places.around(Path()).server_record.parent


def _found_config() -> Path | None:
    return of_project(Places.around(Path()).root)


def _env(options: argparse.Namespace) -> int:
    places = Places.around(Path())
    if process.find(places.server_record.parent) is None and not shell.cluster(places):
        raise SetupFailed(f"no local cloud runs in {places.root}", "Start it first: `localcloud start`.")
    print(shell.exports(places, account=options.account), flush=True)
    return 0


def _shell(options: argparse.Namespace) -> int:
    shell.enter(Places.around(Path()), options.account)
    return 0


def _configuration(options: argparse.Namespace) -> Configuration:
    configuration = load(options.config)
    return configuration if options.time_scale is None else replace(configuration, time_scale=options.time_scale)


def _stop(options: argparse.Namespace) -> int:
    if not process.stop(options.state.resolve(), process.to_stderr):
        process.to_stderr("local cloud: not running")
    return 0


def _status(options: argparse.Namespace) -> int:
    running = process.find(options.state.resolve())
    if options.json:
        print(json.dumps({"running": running is not None, **(running.as_dict() if running else {})}))
    elif running is None:
        print("local cloud: not running")
    else:
        print(f"local cloud: {'ready' if running.ready else 'starting'} on {running.url} (pid {running.pid})")
        for account in running.accounts:
            print(f"  account {account}")
    return 0 if running is not None else 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="localcloud",
        description=_ABOUT,
        epilog=_AFTER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    state = argparse.ArgumentParser(add_help=False)
    state.add_argument(
        "--state", type=Path, default=_state(), help="folder that holds everything of this cloud (default: %(default)s)"
    )
    port = argparse.ArgumentParser(add_help=False)
    port.add_argument(
        "--port",
        type=_port,
        default=os.environ.get("LOCALCLOUD_PORT") or PORT,
        help="port on 127.0.0.1 (default %(default)s)",
    )
    port.add_argument(
        "--config",
        type=Path,
        default=_found_config(),
        help="a localcloud.toml, or a pyproject.toml with [tool.localcloud] (default: the project's, if it has one)",
    )
    port.add_argument(
        "--time-scale",
        type=_scale,
        metavar="FACTOR",
        help="divide SageMaker's documented waits (baking and the like) by this (default: localcloud.toml's, or 1)",
    )

    start = commands.add_parser("start", parents=[state, port], help="run in the background, return when ready")
    start.add_argument("--python", type=Path, help="of an environment that has all that the cloud needs")
    start.set_defaults(run=_start)
    account = shell.account_option()
    env = commands.add_parser("env", parents=[account], help="print exports that point at the local cloud")
    env.set_defaults(run=_env)
    commands.add_parser("shell", parents=[account], help="start a shell with these").set_defaults(run=_shell)
    stop = commands.add_parser("stop", parents=[state], help="stop, and end everything that it started")
    stop.set_defaults(run=_stop)
    status = commands.add_parser("status", parents=[state], help="tell whether it runs")
    status.add_argument("--json", action="store_true", help="as JSON")
    status.set_defaults(run=_status)
    fault_commands.add_parser(commands, state)
    serve = commands.add_parser("serve", parents=[state, port], help="run in this process (its own environment)")
    serve.set_defaults(run=_serve)
    return parser


def _scale(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= MOST_SCALE:
        raise argparse.ArgumentTypeError(f"{text!r} is no time scale, expected a number from 1 to {MOST_SCALE}")
    return value


def _port(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port, expected a number from 1 to 65535")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
