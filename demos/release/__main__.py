"""`make demo`: a good release is promoted, a faulty one is rolled back, under real traffic on the local stack.

Everything that it prints was observed: weights by DescribeEndpoint, alarms by DescribeAlarms, the verdict in the
journal, and the exit code and words of `pulumi up`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from cli.error_handling import run
from cli.local import up
from cli.local.cloud import Local
from cli.local.stack import Done, Stack
from cli.replay import background
from cli.target import ROOT, Target, resolve
from cli.view.releases import journal_state
from cli.view.snapshot import Snapshot, take
from cli.view.timeline import Timeline, brief, observed
from demos.versions import as_good, at_fault, check_named

STOPPED = "the stack stays as it is. Run `make {}` again, or `make down`."
RATE = 50.0  # requests a second: enough for a verdict in a minute at 10%, little enough for a laptop


def main() -> int:
    """Tell the story; 0 when it went as it should."""
    return run(partial(story, serving=_serving), stopped=STOPPED.format("demo"))


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
    target = resolve(stack.name)
    say = partial(console.print, markup=False, soft_wrap=True)
    timeline = Timeline(show=say)
    with (
        TemporaryDirectory(prefix="modelstack-demo-") as scratch,
        observed(target, timeline),
        background(target, RATE) as answered,
    ):
        first = take(target)
        _title(console, f"1. A model serves: {first.champion}", f"Replaying events at {RATE:.0f} requests a second.")
        good = as_good(stack, Path(scratch), _had_a_verdict(target))
        _title(console, "2. Version 2, another parameter, is released as challenger", _changed(stack, good))
        promoted = _release(good, timeline)
        second = take(target)
        bad = at_fault(good, Path(scratch))
        _title(console, "3. Version 3, faulty by a switch, is released as challenger", _changed(good, bad))
        refused = _release(bad, timeline)
        third = take(target)
    checks = _checks(first, second, third, promoted, refused)
    _title(console, "What happened", "As observed: seconds since the beginning, and what was seen.")
    for line in timeline.lines:
        say(line)
    console.print()
    console.print(answered.table())
    say(f"\n{_why(second, third, refused)}\n")
    for text, held in checks:
        console.print(f"  [{'green]yes' if held else 'red]NO '}[/] {text}")
    if not all(held for _, held in checks):
        return 1
    name = stack.name
    preview = f"`pulumi preview --stack {name}` (it tells the last verdict)"
    say(f"\nNext: `modelstack --stack {name} status`, {preview}, `make down`.")
    say(f"The stack's file still asks for version 1: `pulumi up --stack {name}` puts it on trial beside version 2.")
    return 0


def _serving(console: Console) -> Stack:
    """The stack `local` with a champion; one that serves is taken as it is, since a trial needs traffic first."""
    local = Local.here()
    local.start(console)
    stack = local.select(up.STACK)
    if not stack.outputs().get("champion"):
        return up.ensure(console)
    local.ready(console, stack)
    return stack


def _why(second: Snapshot, third: Snapshot, refused: Done) -> str:
    """Why version 3 does not serve: the verdict on it, or what stopped its update before there was one."""
    if third.verdict and third.verdict != second.verdict:
        return f"Why version 3 was taken back: {third.verdict['text']}"
    return f"Version 3 got no verdict; `pulumi up` said: {refused.error}"


def _checks(
    first: Snapshot, second: Snapshot, third: Snapshot, promoted: Done, refused: Done
) -> list[tuple[str, bool]]:
    outcome = (third.verdict or {}).get("outcome")
    reason = (third.verdict or {}).get("name", "")
    return [
        ("`pulumi up` of version 2 succeeded", promoted.code == 0),
        ("version 2 is champion", second.champion not in (None, first.champion)),
        ("`pulumi up` of version 3 failed", refused.code != 0),
        (f"and said why: {reason}", bool(reason) and reason in refused.output),
        ("version 3 was rolled back", outcome == "rolled_back"),
        ("version 2 is still champion", third.champion == second.champion),
        ("and has all traffic", all(v.weight == (100 if v.role == "champion" else 0) for v in third.variants)),
    ]


def _release(stack: Stack, timeline: Timeline) -> Done:
    timeline.note("pulumi   up begins")
    done = stack.up()
    timeline.note("pulumi   up succeeded" if done.code == 0 else f"pulumi   up failed: {brief(done.error)}")
    return done


def _had_a_verdict(target: Target) -> Callable[[str], bool]:
    state = journal_state(target)
    known = {item.recipe for item in (*state.releases(), *state.rejected.values())}
    return known.__contains__


def _changed(before: Stack, after: Stack) -> str:
    was, now = before.parameters(), after.parameters()
    return ", ".join(f"{name}: {was.get(name)} -> {value}" for name, value in now.items() if was.get(name) != value)


def _title(console: Console, title: str, detail: str) -> None:
    console.print(f"\n[bold]{title}[/bold]")
    console.print(f"  {detail}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
