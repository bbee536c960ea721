"""`python3.11 -m localcloud.setup [install|env|shell|lock|clean]`, what the make targets call."""

import argparse
import os
import shutil
import sys
from pathlib import Path

from localcloud.setup import environments, locks, shell, tools
from localcloud.setup.environments import LEVELS, Installer
from localcloud.setup.exclusive import exclusive
from localcloud.setup.failures import SetupFailed, explain, report
from localcloud.setup.places import Places


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it did what was asked, 1 when not, with the reason and what to do on stderr."""
    options = _parser().parse_args(arguments)
    try:
        places = Places.of(options.root)
        options.run(places, options)
    except SetupFailed as error:
        report(error)
        return 1
    except BrokenPipeError:  # whoever reads our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        report(explain(str(error), f"{options.command} failed"))
        return 1
    except KeyboardInterrupt:
        print("\nstopped; what was finished stays, run it again to go on", file=sys.stderr)
        return 130
    return 0


def install(places: Places, level: str, *, with_engine: bool = True, kubernetes: bool = False) -> bool:
    """Set a project with locks up.

    Args:
        places: The project.
        level: `app`, or `dev` for tests, checks and benches too.
        with_engine: Also the local cloud's environment, the Pulumi CLI and the local plugin.
        kubernetes: With these, also the plugin for Kubernetes; to build it takes some minutes.

    Returns:
        Whether anything had to be done.

    Raises:
        SetupFailed: Something is missing; the message says what.
    """
    installer = Installer(places)
    with exclusive(places.state / "project.lock", str(places.root)):
        changed = environments.project(places, installer, level)
        changed |= environments.policy_pack(places, installer)
        if with_engine:
            changed |= tools.install(places, kubernetes=kubernetes, awscli=level == "dev")
    return changed


def _install(places: Places, options: argparse.Namespace) -> None:
    with_engine, kubernetes = not options.packages_only, options.plugin == "kubernetes"
    changed = install(places, options.level, with_engine=with_engine, kubernetes=kubernetes)
    if changed or not options.quiet:
        print("Set-up is complete." if changed else "Set-up is complete; there was nothing to do.", file=sys.stderr)


def _env(places: Places, options: argparse.Namespace) -> None:
    print(shell.exports(places, account=options.account), flush=True)


def _shell(places: Places, options: argparse.Namespace) -> None:
    shell.enter(places, options.account)


def _lock(places: Places, options: argparse.Namespace) -> None:
    locks.compile_all(places, Installer(places), options.upgrade)


def _clean(places: Places, _: argparse.Namespace) -> None:
    if places.server_record.exists():
        raise SetupFailed("The local cloud may still be running", "Stop it first.")
    if places.cluster.exists():
        raise SetupFailed("The cluster may still be running", "End it first: `python -m localcloud.cluster down`.")
    with exclusive(places.state / "project.lock", str(places.root)):
        for folder in (places.venv, places.state):
            shutil.rmtree(folder, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3.11 -m localcloud.setup", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout (default: the working directory)")
    commands = parser.add_subparsers(dest="command", required=True)
    setup = commands.add_parser("install", help="make everything ready")
    setup.add_argument("--level", choices=LEVELS, default="app", help="which of the project's locks")
    extent = setup.add_mutually_exclusive_group()
    extent.add_argument(
        "--packages-only",
        action="store_true",
        help="the environments of the project and its policy pack, and nothing else",
    )
    extent.add_argument(
        "--with",
        dest="plugin",
        choices=["kubernetes"],
        help="one more plugin; where the official one cannot be had, it is built, for some minutes",
    )
    setup.add_argument("--quiet", action="store_true", help="say nothing when there is nothing to do")
    setup.set_defaults(run=_install)
    account = shell.account_option()
    env = commands.add_parser("env", parents=[account], help="print exports that point at the local stack")
    env.set_defaults(run=_env)
    commands.add_parser("shell", parents=[account], help="start a shell on the local stack").set_defaults(run=_shell)
    lock = commands.add_parser("lock", help="compile the lock files")
    lock.add_argument("--upgrade", action="store_true", help="take newer versions")
    lock.set_defaults(run=_lock)
    commands.add_parser("clean", help="remove what set-up made in this checkout").set_defaults(run=_clean)
    return parser


if __name__ == "__main__":
    sys.exit(main())
