"""`python -m localcloud faults ...`: ask a running cloud to go wrong, see what does, and end it."""

from __future__ import annotations

import argparse
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from localcloud import process
from localcloud.server import credentials
from localcloud.server.faults import API_EFFECTS, VARIANT_EFFECTS

_PATH = "/_localcloud/faults"
_SECONDS = 10.0


def add_parser(commands: Any, state: argparse.ArgumentParser) -> None:
    """Add the command `faults` and what it does to a command line."""
    faults = commands.add_parser("faults", help="let variants and operations go wrong, for tests")
    actions = faults.add_subparsers(required=True, metavar="ACTION")

    listing = actions.add_parser("list", parents=[state], help="show the faults that last")
    listing.set_defaults(run=_list)
    clear = actions.add_parser("clear", parents=[state], help="end one fault, or all")
    clear.add_argument("id", nargs="?", help="as `list` shows it (default: all)")
    clear.set_defaults(run=_clear)

    limits = argparse.ArgumentParser(add_help=False)
    limits.add_argument("--account", help="only in this account; or a glob (default: in all)")
    limits.add_argument("--share", type=float, help="of the requests that match, 0 to 1 (default 1)")
    limits.add_argument("--calls", type=int, help="end after it has hit so many requests")
    limits.add_argument("--seconds", type=float, help="end after so many seconds")
    limits.add_argument("--milliseconds", type=float, help="of a delay, of a hang, or until a connection is closed")

    variant = actions.add_parser(
        "variant", parents=[state, limits], help="; ".join(f"{name}: {what}" for name, what in VARIANT_EFFECTS.items())
    )
    variant.add_argument("endpoint", help="name, or a glob")
    variant.add_argument("variant", help="name, or a glob")
    variant.add_argument("effect", choices=list(VARIANT_EFFECTS))
    variant.add_argument("--status", type=int, help="of effect error (default 500)")
    variant.add_argument("--body", help="of effect answer")
    variant.set_defaults(run=_add, members=("endpoint", "variant", "status", "body"))

    api = actions.add_parser(
        "api", parents=[state, limits], help="; ".join(f"{name}: {what}" for name, what in API_EFFECTS.items())
    )
    api.add_argument("service", help="such as sagemaker, cloudwatch, dynamodb; or a glob")
    api.add_argument("operation", help="such as UpdateEndpoint; or a glob")
    api.add_argument("effect", choices=list(API_EFFECTS))
    api.add_argument("--containing", help="only requests whose body has this text, such as a resource's name")
    api.set_defaults(run=_add, members=("service", "operation", "containing"))


def _list(options: argparse.Namespace) -> int:
    print(json.dumps(call(options.state, "GET")["faults"], indent=2))
    return 0


def _clear(options: argparse.Namespace) -> int:
    answer = call(options.state, "DELETE", query=f"?id={options.id}" if options.id else "")
    process.to_stderr(f"local cloud: {answer['cleared']} faults cleared")
    return 0


def _add(options: argparse.Namespace) -> int:
    members = (*options.members, "account", "effect", "share", "calls", "seconds", "milliseconds")
    asked = {name: getattr(options, name) for name in members if getattr(options, name) is not None}
    print(json.dumps(call(options.state, "POST", asked)))
    return 0


def call(state: Path, method: str, document: dict[str, Any] | None = None, query: str = "") -> dict[str, Any]:
    """Ask the cloud of a state folder about its faults.

    Args:
        state: The folder.
        method: GET lists, POST adds, DELETE clears.
        document: The fault to add, by the members that the page on faults names.
        query: `?id=fault-3` clears only this one.

    Raises:
        ProcessError: No cloud runs there, or it refuses.
    """
    running = process.find(state.resolve())
    if running is None:
        raise process.ProcessError(f"no local cloud runs on {state}")
    data = None if document is None else json.dumps(document).encode()
    token = {"Authorization": f"Bearer {credentials.of(state.resolve()).token(credentials.FAULTS)}"}
    request = urllib.request.Request(f"{running.url}{_PATH}{query}", data, token, method=method)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - loopback
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise process.ProcessError(json.load(error).get("message", str(error))) from error
    except OSError as error:
        raise process.ProcessError(f"the local cloud on {running.url} does not answer: {error}") from error
