"""`python -m localcloud.cluster up|status|env|kill|down`, what the make targets call."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

from localcloud.cluster import access, binaries, contents, machine, node, processes
from localcloud.cluster.access import layout_of
from localcloud.cluster.api import Api
from localcloud.cluster.layout import API_URL, Layout
from localcloud.setup import environments
from localcloud.setup.environments import Installer
from localcloud.setup.exclusive import exclusive
from localcloud.setup.failures import SetupFailed, explain
from localcloud.setup.places import Places

_LOCK = Path("/run/lock/localcluster")
_NOT_RUNNING = 3


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 when it did what was asked, 1 when it could not or something is broken, 3 when there is no cluster.
    """
    options = _parser().parse_args(arguments)
    try:
        places = Places.of(options.root)
        return int(options.run(places, layout_of(places), options))
    except SetupFailed as error:
        print(f"error: {error}", file=sys.stderr)
        for line in error.advice:
            print(f"  {line}", file=sys.stderr)
    except OSError as error:
        print(f"error: {explain(str(error), f'{options.command} failed')}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nstopped; what was finished stays, run it again to go on", file=sys.stderr)
        return 130
    return 1


def _up(places: Places, layout: Layout, _: argparse.Namespace) -> int:
    begun = time.monotonic()
    _refuse_another(layout)
    machine.provide(layout, places.logs / "cluster-packages.log")
    provided = binaries.provide(places, Installer(places))
    environments.link(places, provided.programs["kubectl"].parents[1], "kubectl")
    api = Api(layout, provided.programs["kubectl"])
    with exclusive(_LOCK, "the cluster"):
        _refuse_another(layout)
        images = contents.Images(layout, provided.programs)
        node.start(layout, provided.programs, api, images.begin)
        _say(f"cluster: its node is ready ({time.monotonic() - begun:.1f} s)")
        contents.furnish(layout, provided, api, images, _say)
        access.write(places)
    _say(f"cluster: ready on {API_URL} after {time.monotonic() - begun:.1f} s")
    return 0


def _down(_: Places, layout: Layout, __: argparse.Namespace) -> int:
    if not layout.state.exists() and layout.state not in processes.owners():
        return 0
    if os.geteuid() != 0:
        raise SetupFailed("Root started the cluster, and root ends it")
    with exclusive(_LOCK, "the cluster"):
        others = _others(layout)
        if others:
            node.forget(layout)
        else:
            node.stop(layout)
    _say("cluster: stopped")
    return 0


def _status(places: Places, layout: Layout, _: argparse.Namespace) -> int:
    if layout.state not in processes.owners():
        others = "".join(f"; that of {other} is" for other in _others(layout))
        print(f"cluster: not running{others}")
        return _NOT_RUNNING
    programs = binaries.provided(places.cache).programs
    api = Api(layout, programs["kubectl"])
    missing = node.missing(layout, programs)
    if missing:
        print(f"cluster: {', '.join(missing)} ended; `up` starts what is missing")
        return 1
    well = api.ready() and node.ready(api)
    print(f"cluster: {'ready' if well else 'not ready'} on {API_URL}")
    return 0 if well else 1


def _env(places: Places, _: Layout, __: argparse.Namespace) -> int:
    found = access.variables(places)
    if not found:
        print("error: the cluster is not running; start it", file=sys.stderr)
        return _NOT_RUNNING
    print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in found.items()))
    return 0


def _kill(places: Places, layout: Layout, options: argparse.Namespace) -> int:
    if layout.state not in processes.owners():
        print("error: the cluster is not running; start it", file=sys.stderr)
        return _NOT_RUNNING
    node.kill(layout, binaries.provided(places.cache).programs, options.name)
    return 0


def _refuse_another(layout: Layout) -> None:
    """One cluster a machine: its network is one."""
    for other in _others(layout):
        raise SetupFailed(
            f"This machine runs the cluster of another checkout: its state is in {other}",
            "A machine has one cluster at a time. End that one first: `make down` there.",
        )


def _others(layout: Layout) -> list[Path]:
    return sorted(state for state in processes.owners() if state != layout.state)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    about = "A Kubernetes cluster of one node, on this machine."
    parser = argparse.ArgumentParser(prog="python -m localcloud.cluster", description=about)
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout (default: the working directory)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start it, or mend what is missing").set_defaults(run=_up)
    commands.add_parser("down", help="end it and forget all that is in it").set_defaults(run=_down)
    commands.add_parser("status", help="tell whether it runs").set_defaults(run=_status)
    kill = commands.add_parser(
        "kill", help="end some of its programs at once, as a fault would; `up` starts them again"
    )
    kill.add_argument("name", nargs="+", help="such as etcd, apiserver, kubelet or prometheus")
    kill.set_defaults(run=_kill)
    commands.add_parser("env", help="print exports that point a client at it").set_defaults(run=_env)
    return parser


if __name__ == "__main__":
    sys.exit(main())
