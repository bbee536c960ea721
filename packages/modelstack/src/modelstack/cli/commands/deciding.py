"""Commands for a person's decisions: approve, promote, rollback, clear, skip-trial, retrain."""

from __future__ import annotations

import json
import sys

import click

from modelstack.cli import agreement
from modelstack.cli import retrain as retraining
from modelstack.cli.errors import OperatorError
from modelstack.cli.options import Reason, as_json_option
from modelstack.cli.page import page, say
from modelstack.cli.rollback import approve as give_approval
from modelstack.cli.rollback import clear_rejection, roll_back, to_take_back
from modelstack.cli.rollback import skip_trial as let_skip
from modelstack.cli.target_options import Command, TargetOptions, find
from modelstack.cli.view import render
from modelstack.cli.view.snapshot import take

_LOOK = ("status", "waiting")  # at what was retrained


@click.command(cls=Command)
@click.argument("release", required=False)
@click.option("--reason", type=Reason(), default=None, help="Why. It is kept. To agree to a release needs one.")
@click.pass_obj
def approve(asked: TargetOptions, release: str | None, reason: str | None) -> None:
    """Let a trial go on that waits for approval, give a trial that is held as much time again, or agree to a release.

    With `modelstack:approval.people` in the stack's config, so many people must agree to a release before it goes on
    trial. RELEASE is its id; without it, the release that the last `pulumi up` named. You agree as who your
    credentials say, and not to what you registered yourself.
    """
    target = find(asked)
    waiting = agreement.waiting(target, release)
    if waiting is None:
        say(give_approval(target, reason or ""))
    elif reason is None:
        raise OperatorError(f"to agree to release {waiting.release} needs a reason", 'Add --reason "...".', 2)
    else:
        say(agreement.agree(target, waiting, reason))


@click.command(cls=Command)
@click.option("--reason", type=Reason(), required=True, help="Why. It is kept with the verdict.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--previous", is_flag=True, help="After a promotion: bring the previous champion back.")
@as_json_option
@click.pass_obj
def rollback(asked: TargetOptions, reason: str, yes: bool, previous: bool, as_json: bool) -> None:
    """Give the champion all traffic again, or after a promotion bring the previous champion back.

    With --yes, a champion is taken back only if --previous is given too. So the same command twice, or a command that
    comes just after the trial has ended, does not take back the release that it should protect.
    """
    target = find(asked)
    before = take(target, alarms=(), packages=())  # what brings traffic back waits for no metrics
    if not yes and not sys.stdin.isatty():
        raise OperatorError("rollback asks first, and there is no terminal to ask on", "Add --yes.", 2)
    what = to_take_back(before, previous=previous, sure=yes)
    if not yes:
        click.confirm(f"{what} on {target.endpoint}?", abort=True, err=True)
    outcome = roll_back(target, reason, before.challenger or before.champion)
    if as_json:
        say(json.dumps(outcome, indent=2))
    else:
        page().print(f"{outcome['outcome'].replace('_', ' ')}: {outcome['text']}", markup=False)
        page().print(render.variants(take(target, alarms=(), packages=()).variants))


@click.command()
@click.argument("stack")
@click.option("--yes", is_flag=True, help="Do not ask.")
def promote(stack: str, yes: bool) -> None:
    """Let STACK take what serves on the stack before it, named in its config (`modelstack:promotion.from`).

    It says what serves there, and runs `pulumi up` on STACK, which takes the same bytes and gives them a trial of their
    own. Exits with 1 when the update fails. It refuses while a release is restored on STACK, which then takes nothing.
    """
    from modelstack.cli import next_release  # noqa: PLC0415 - only this command needs it

    sys.exit(next_release.promote(stack, sure=yes))


@click.command(cls=Command)
@click.argument("release")
@click.pass_obj
def clear(asked: TargetOptions, release: str) -> None:
    """Let a rejected RELEASE be tried again by the next `pulumi up`.

    RELEASE is its id, or another of its names: variant, recipe or package digest.
    """
    target = find(asked)
    say(f"{clear_rejection(target, release)} may be tried again: {target.commands.pulumi_up}")


@click.command("skip-trial", cls=Command)
@click.argument("release")
@click.option("--reason", type=Reason(), required=True, help="Why. It is kept with the verdict.")
@click.pass_obj
def skip_trial(asked: TargetOptions, release: str, reason: str) -> None:
    """Let RELEASE take over at once in the next `pulumi up`, without a trial beside the champion.

    This is for a release that the last update could not put on trial, because the endpoint did not come up and it was
    not, or not surely, the fault of the release.
    """
    target = find(asked)
    let_skip(target, release, reason)
    say(f"{release} takes over in the next `{target.commands.pulumi_up}`, without a trial")


@click.command(cls=Command)
@click.argument("action", type=click.Choice([*_LOOK, *retraining.ACTIONS]), default="status")
@click.option(
    "--reason", type=Reason(), help="Why. It is kept in the history. Every action except status and waiting needs it."
)
@as_json_option
@click.pass_obj
def retrain(asked: TargetOptions, action: str, reason: str | None, as_json: bool) -> None:
    """Show what was retrained and why, or act on it.

    start begins a retraining, whatever the cool-down and the budget say. approve and decline answer its question;
    decline also drops a candidate that waits. stop ends the job that runs. forget lets the config's window of training
    data count again. waiting exits with 1 when no candidate waits for `pulumi up`.
    """
    target = find(asked)
    if action in _LOOK:
        seen = retraining.look(target)
        if as_json:
            say(json.dumps(seen.as_dict(), indent=2))
        elif action == "waiting":
            say(retraining.waits(seen, target.commands))
        else:
            page().print(retraining.told(seen, target.commands))
        sys.exit(1 if action == "waiting" and seen.waits is None else 0)
    if reason is None:
        raise OperatorError(f"retrain {action} needs a reason", f'Add --reason "...": {action} is kept with it.', 2)
    say(retraining.ask(target, action, reason))
