"""Commands on past releases: restore, reproduce."""

from __future__ import annotations

import sys

import click

from modelstack.cli.errors import OperatorError
from modelstack.cli.options import Reason
from modelstack.cli.page import say
from modelstack.cli.target_options import Command, TargetOptions, find


@click.command(cls=Command)
@click.option("--at", "when", metavar="TIME|DIGEST", default=None, help="TIME: what served then. DIGEST: that release.")
@click.option("--reason", type=Reason(), required=True, help="Why. It is kept in the audit record.")
@click.option("--although-rejected", is_flag=True, help="Restore it even if it was rolled back: that clears it.")
@click.option("--clear", is_flag=True, help="Let what checkout and config ask for count again.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def restore(
    asked: TargetOptions, *, when: str | None, reason: str, although_rejected: bool, clear: bool, yes: bool
) -> None:
    """Bring a release back that served before: its package, its image, and what it was served with.

    TIME is in UTC, such as 2026-03-01T09:30: what served then is meant. DIGEST is a package digest, or the id, variant
    or recipe of a release, or the first digits of one, at least four. The command finds the release in the audit
    record, checks that its archive is there and that digest and signature are right, and says what will be otherwise.
    The next `pulumi up` then puts that release on trial, as any other, whatever the checkout has. So does every update
    after it, until `restore --clear`.
    """
    from modelstack.cli import restore as restoring  # noqa: PLC0415 - only this command needs it

    if clear == (when is not None):
        raise OperatorError("restore takes either --at, or --clear", "Add --at TIME|DIGEST, or --clear.", 2)
    target = find(asked)
    if when is None:
        _ask(f"Let checkout and config count again on {target.endpoint}?", yes=yes)
        say(restoring.lift(target, reason))
        return
    found = restoring.look(target, when, although_rejected=although_rejected)
    say(restoring.told(found))
    _ask(f"Restore release {found.deployment.release} on {target.endpoint}?", yes=yes)
    say(restoring.restore(target, found, reason, although_rejected=although_rejected))


def _ask(question: str, *, yes: bool) -> None:
    """Continue if the person agrees; OperatorError without a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise OperatorError("nothing was changed: restore asks first, and there is no terminal", "Add --yes.", 2)
    click.confirm(question, abort=True, err=True)


@click.command(cls=Command)
@click.argument("digest")
@click.pass_obj
def reproduce(asked: TargetOptions, digest: str) -> None:
    """Build the package DIGEST again, from the commit, the data and the locks that it was made of, and compare.

    DIGEST is a package digest, or another name of its release. What the stack has signed about the package says where
    it came from. The commit is checked out into a temporary folder, and trained in an environment with its own locks
    and with an empty cache. Nothing of the stack changes. The commands that get commit, config and data of then are
    printed first.

    Exits with 1 when the bytes differ, and names the files of the archive, and what differs around the build.
    """
    from modelstack.cli import reproduce as reproducing  # noqa: PLC0415 - it loads numpy, and only this command needs it
    from modelstack.records.provenance.reproduction import steps  # noqa: PLC0415

    target = find(asked)
    facts = reproducing.facts_of(target, digest)
    say(f"{facts.package.digest}, recipe {facts.id}; its signatures are right. To get what it was made of:")
    for line in steps(facts, target.stack or "STACK"):
        say(f"  {line}")
    outcome = reproducing.reproduce(target, facts, lambda line: say(line, err=True))
    say(reproducing.told(outcome))
    sys.exit(0 if outcome.same else 1)
