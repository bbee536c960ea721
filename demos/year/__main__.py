"""`make year`: the year's flights on a live endpoint that retrains itself, and a page on what that was good for.

python -m demos.year                              # March to December
python -m demos.year 2013-03-01 2013-05-01        # a part of it
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from demos import ROOT
from demos.year import WRITTEN, policies, report
from demos.year.facts import LIVE, Year, gain
from demos.year.live import Live
from demos.year.losses import Losses, by_day, form
from demos.year.plan import Plan
from demos.year.policies import MONTHLY, NEVER
from modelstack.cli.error_handling import run
from modelstack.cli.local import down, up
from modelstack.cli.local.cloud import Local
from modelstack.cli.local.stack import Stack
from modelstack.cli.target import Target, resolve
from modelstack.pipeline import step

STACK = "local-year"


def main(days: Sequence[str] = ()) -> int:
    """Run the year; 0 when it came to its end.

    Args:
        days: The first day and the one after the last, YYYY-MM-DD, instead of the plan's.
    """
    return run(
        lambda console: _story(console, days), stopped="run `make year` again, which begins anew, or `make down`."
    )


def _story(console: Console, days: Sequence[str]) -> int:
    local = Local.here()
    local.start(console)
    # Its monitors have seen a year already, and its champion was trained on it.
    if STACK in local.stack_names() and (code := down.destroy(console, local, STACK)):
        return code
    stack = up.ensure(console, STACK)

    def say(text: str) -> None:
        console.print(f"  {text}", markup=False)

    plan = replace(Plan(), since=days[0], until=days[1]) if len(days) > 1 else Plan()
    year = live_through(stack, resolve(STACK), plan, say)
    page, facts = report.write(year, WRITTEN)
    console.print(f"\n{page.relative_to(ROOT)}\n{facts.relative_to(ROOT)}")
    return 0


def live_through(stack: Stack, target: Target, plan: Plan, say: Callable[[str], None]) -> Year:
    """Let a stack that serves live through a plan, and hold it against other policies.

    Raises:
        OperatorError: The replay ended early, or the other policies could not be scored.
    """
    live = Live(stack, target, plan, form(stack.root / "model"), say)
    year = live.run()
    say("what other policies would have answered")
    losses, day_of = {LIVE: live.traffic.answered.losses, **others(stack, plan, say)}, live.traffic.answered.day_of
    pairs = ((LIVE, NEVER), (LIVE, MONTHLY), (MONTHLY, NEVER))
    return replace(
        year,
        days=tuple(by_day(losses, day_of, plan.days)),
        gains=tuple(gain(losses, day_of, policy, against) for policy, against in pairs),
    )


def others(stack: Stack, plan: Plan, say: Callable[[str], None]) -> dict[str, Losses]:
    """What the policies without an endpoint would have answered, computed in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        given = ("--parameters", json.dumps(stack.parameters()), "--since", plan.since, "--until", plan.until)
        step.run(stack.root, policies.__name__, [*given, "--out", name], say)
        return json.loads((Path(name) / policies.FILE).read_text())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:3]))
