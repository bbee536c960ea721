"""The command `pr-report`, which writes the comment on a pull request."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from modelstack.cli.errors import OperatorError
from modelstack.cli.page import say
from modelstack.cli.target_options import Command, TargetOptions


@click.command("pr-report", cls=Command)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False, writable=True), help="Write it into a file, not to stdout."
)
@click.option(
    "--config-file",
    "config",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The stack's file. The default is stacks/Pulumi.STACK.yaml.",
)
@click.pass_obj
def pr_report(asked: TargetOptions, out: Path | None, config: Path | None) -> None:
    """Write what this checkout would change on a stack, as a comment for a pull request (Markdown).

    It runs `pulumi preview` with the policy pack, builds this checkout's model (nothing is trained twice), fetches the
    champion, and lets both answer the same rows. The comment tells what changes in the infrastructure, its permissions
    and its cost; in the model and its decisions; in the training data; which policies fail; and how long the rollout
    takes at today's traffic. Nothing in the cloud is changed. What cannot be found out is missing with its reason.

    Exits with 1 when a policy or the program refuses the change, and when the model cannot be built or is below its
    gates; with 2 when the stack's config is wrong, and 3 when Pulumi's state, the cloud or the champion cannot be read.
    The comment is written in any case, and its first lines name the cause. A release that is rejected on this stack is
    a warning there.
    """
    from modelstack.cli.local.stack import Stack  # noqa: PLC0415 - only this command needs them
    from modelstack.cli.report.gather import gather  # noqa: PLC0415
    from modelstack.cli.report.page import page  # noqa: PLC0415

    if asked.endpoint:
        raise OperatorError(
            "pr-report reads the config of a stack, and none is named", "Give --stack, not --endpoint.", 2
        )
    stack = Stack(asked.stack, config=config.resolve() if config else None)
    with TemporaryDirectory(prefix="modelstack-report-") as folder:
        facts = gather(stack, Path(folder), partial(say, err=True))
    if out:
        out.write_text(page(facts))
    else:
        say(page(facts), nl=False)
    sys.exit(facts.exit_code)
