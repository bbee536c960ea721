"""`make demo`: a good release is promoted, a faulty one is rolled back, under real traffic on a local stack.

python -m demos.release                     # on stack local
python -m demos.release local-kubernetes    # the same in a cluster of this machine: `make demo-kubernetes`

Everything that it prints was observed, by `modelstack watch`, `status` and `replay`, and by `pulumi up`.
"""

from __future__ import annotations

import sys
import textwrap
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from demos import ROOT
from demos.stack_session import Session
from demos.versions import as_good, at_fault, check_named
from modelstack.cli.error_handling import run
from modelstack.cli.local import up
from modelstack.cli.local.cloud import Local
from modelstack.cli.local.stack import Done, Stack
from modelstack.cli.target import LOCAL_CLUSTER

RATE = 50  # requests a second: enough for a verdict in a minute at 10%, little enough for a laptop
_LINE = 110
_TOLD = ("weights", "rollout", "alarm", "verdict", "moved", "cannot look")


class Timeline:
    """Lines of what was observed, each with its seconds since the beginning.

    Args:
        show: Called for each as it comes.
    """

    def __init__(self, show: Callable[[str], object]) -> None:
        self.lines: list[str] = []
        self._show, self._began, self._lock = show, time.monotonic(), threading.Lock()

    def note(self, text: str) -> None:
        """Add a line now."""
        with self._lock:
            self.lines.append(f"  {time.monotonic() - self._began:7.1f} s  {text}")
            self._show(self.lines[-1])

    def observe(self, line: str) -> None:
        """Add what a line of `modelstack watch` says after its time, unless it is about the evidence so far."""
        text = line.partition("  ")[2]
        if text.startswith(_TOLD):
            self.note(text)


def main(stack: str = up.STACK) -> int:
    """Tell the story on a stack; 0 when it went as it should."""
    serving, word = (_on_kubernetes, "demo-kubernetes") if stack == LOCAL_CLUSTER else (_on_local_cloud, "demo")
    stopped = f"the stack stays as it is. Run `make {word}` again, or `make down`."
    return run(partial(story, serving=serving), stopped=stopped)


def story(console: Console, serving: Callable[[Console], Stack]) -> int:
    """Tell the story of a stack.

    Args:
        console: Where it is shown.
        serving: Brings the stack up, with a champion.

    Returns:
        0 when it went as it should.
    """
    check_named(ROOT)
    stack = serving(console)
    session, say = Session(stack), partial(console.print, markup=False, soft_wrap=True)
    timeline = Timeline(say)
    with (
        TemporaryDirectory(prefix="modelstack-demo-") as scratch,
        session.background("watch", "--every", "0.5", on_line=timeline.observe),
        session.background("replay", "--rate", str(RATE)) as replayed,
    ):
        first = session.status()
        _title(console, f"1. A model serves: {first['champion']}", f"Replaying events at {RATE} requests a second.")
        good = as_good(stack, Path(scratch), session.has_released)
        _title(console, "2. Version 2, another parameter, is released as challenger", _changed(stack, good))
        promoted = _release(good, timeline)
        second = session.status()
        bad = at_fault(good, Path(scratch))
        _title(console, "3. Version 3, faulty by a switch, is released as challenger", _changed(good, bad))
        refused = _release(bad, timeline)
        third = session.status()
    _title(console, "What happened", "As observed: seconds since the beginning, and what was seen.")
    for line in (*timeline.lines, "", *replayed):
        say(line)
    say(f"\n{_why(second, third, refused)}\n")
    checks = _checks(first, second, third, promoted, refused)
    for text, held in checks:
        console.print(f"  [{'green]yes' if held else 'red]NO '}[/] {text}")
    if not all(held for _, held in checks):
        return 1
    name = stack.name
    preview = f"`pulumi preview --stack {name}` (it tells the last verdict)"
    say(f"\nNext: `modelstack --stack {name} status`, {preview}, `make down`.")
    say(f"The stack's file still asks for version 1: `pulumi up --stack {name}` puts it on trial beside version 2.")
    return 0


def _on_local_cloud(console: Console) -> Stack:
    """The stack `local` with a champion; one that serves is taken as it is, since a trial needs traffic first."""
    local = Local.here()
    local.start(console)
    stack = local.select(up.STACK)
    if not stack.outputs().get("champion"):
        return up.ensure(console)
    local.ready(console, stack)
    return stack


def _on_kubernetes(console: Console) -> Stack:
    """The same in the cluster of this machine."""
    from modelstack.cli.local import up_kubernetes  # noqa: PLC0415 - it loads what talks to a cluster

    stack = up_kubernetes.prepared(console)
    if not stack.outputs().get("champion"):
        return up_kubernetes.ensure(console)
    Local.here().ready(console, stack)
    return stack


def _why(second: dict[str, Any], third: dict[str, Any], refused: Done) -> str:
    """Why version 3 does not serve: the verdict on it, or what stopped its update before there was one."""
    if third["verdict"] and third["verdict"] != second["verdict"]:
        return f"Why version 3 was taken back: {third['verdict']['text']}"
    return f"Version 3 got no verdict; `pulumi up` said: {refused.error}"


def _checks(
    first: dict[str, Any], second: dict[str, Any], third: dict[str, Any], promoted: Done, refused: Done
) -> list[tuple[str, bool]]:
    verdict, variants = third["verdict"] or {}, third["variants"]
    reason = verdict.get("name", "")
    return [
        ("`pulumi up` of version 2 succeeded", promoted.code == 0),
        ("version 2 is champion", second["champion"] not in (None, first["champion"])),
        ("`pulumi up` of version 3 failed", refused.code != 0),
        (f"and said why: {reason}", bool(reason) and reason in refused.output),
        ("version 3 was rolled back", verdict.get("outcome") == "rolled_back"),
        ("version 2 is still champion", third["champion"] == second["champion"]),
        ("and has all traffic", all(v["weight"] == (100 if v["role"] == "champion" else 0) for v in variants)),
    ]


def _release(stack: Stack, timeline: Timeline) -> Done:
    timeline.note("pulumi   up begins")
    done = stack.up()
    failed = textwrap.shorten(done.error, _LINE, placeholder=" ...")
    timeline.note("pulumi   up succeeded" if done.code == 0 else f"pulumi   up failed: {failed}")
    return done


def _changed(before: Stack, after: Stack) -> str:
    was, now = before.parameters(), after.parameters()
    return ", ".join(f"{name}: {was.get(name)} -> {value}" for name, value in now.items() if was.get(name) != value)


def _title(console: Console, title: str, detail: str) -> None:
    console.print(f"\n[bold]{title}[/bold]")
    console.print(f"  {detail}", markup=False)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
