"""`modelstack promote`: runs `pulumi up` on a stack that takes the champion of another one."""

from __future__ import annotations

import subprocess

from cli.errors import OperatorError
from cli.next_release import taken_from
from cli.page import say
from cli.target import ROOT, config_of, if_up
from cli.view.releases import journal_state


def promote(stack: str, *, sure: bool) -> int:
    """Let a stack take its source's champion; returns Pulumi's exit code. `sure` skips Pulumi's question."""
    source = config_of(stack).get("promotion", {}).get("from")
    if not source:
        raise OperatorError(
            f"stack {stack} takes its releases from no other: modelstack:promotion.from is not set",
            "docs/how-to/promote.md tells how it is set.",
            2,
        )
    _refuse_while_restored(stack)
    release = taken_from(stack, source)
    say(f"{source} serves release {release['id']}, {release['package_digest']}; {stack} takes it", err=True)
    asked = ("--yes", "--non-interactive") if sure else ()
    return subprocess.run(["pulumi", "up", "--stack", stack, *asked], cwd=ROOT, check=False).returncode


def _refuse_while_restored(stack: str) -> None:
    target = if_up(stack)
    restored = journal_state(target).restored if target else None
    if target and restored:
        raise OperatorError(
            f"stack {stack} takes nothing while release {restored.release} is restored there: {restored.reason.text}",
            f"To lift that, type: {target.commands.lift}",
        )
