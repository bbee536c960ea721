"""`make demo-kubernetes`: the story of `make demo`, on stack `local-kubernetes` in a cluster of this machine."""

from __future__ import annotations

import sys
from functools import partial

from rich.console import Console

from cli.error_handling import run
from cli.local import up_kubernetes
from cli.local.cloud import Local
from cli.local.stack import Stack
from demos.release.__main__ import STOPPED, story


def main() -> int:
    """Tell the story; 0 when it went as it should."""
    return run(partial(story, serving=_serving), stopped=STOPPED.format("demo-kubernetes"))


def _serving(console: Console) -> Stack:
    """The stack with a champion; one that serves is taken as it is, since a trial needs traffic first."""
    stack = up_kubernetes.prepared(console)
    if not stack.outputs().get("champion"):
        return up_kubernetes.ensure(console)
    Local.here().ready(console, stack)
    return stack


if __name__ == "__main__":
    sys.exit(main())
