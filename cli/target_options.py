"""Options and error handling that all commands share."""

from __future__ import annotations

import errno
import json
import os
import sys
from dataclasses import dataclass, field, replace
from typing import Any

import click

from cli.error_handling import show_error
from cli.errors import OperatorError
from cli.page import Page, say
from cli.target import Target, named, resolve
from rollout.controller.commands import DEFAULT_STACK

_STACK = "MODELSTACK_STACK"
_MISPLACED = {"--json": "--json stands after the name of a command, as in: modelstack status --json"}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}  # write errors of a full or broken device


@dataclass(frozen=True)
class TargetOptions:
    """The chosen endpoint: by stack or, when `endpoint` is given, by name; `was_named` says that an option did so."""

    stack: str = field(default_factory=lambda: os.environ.get(_STACK) or DEFAULT_STACK)
    endpoint: str | None = None
    region: str | None = None
    context: str | None = None
    was_named: bool = False


def find(asked: TargetOptions) -> Target:
    """The target of the options; OperatorError with what to type if it cannot be found."""
    if not asked.endpoint:
        return resolve(asked.stack)
    if asked.context is None and "/" not in asked.endpoint:
        return named(asked.endpoint, asked.region)
    from cli.platform.kubernetes.cluster import named as named_there  # noqa: PLC0415 - it loads what asks a cluster

    return named_there(asked.endpoint, asked.context or "")


def _meant(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Store an option; one after the command's name overrides one before it."""
    if value is not None:
        ctx.obj = replace(ctx.obj or TargetOptions(), was_named=True, **{str(param.name): value})


def _options() -> list[click.Parameter]:
    """The target options, the same before and after the command's name."""
    told = {"expose_value": False, "callback": _meant}
    stack = f"The Pulumi stack of the endpoint.  [env var: {_STACK}; default: {DEFAULT_STACK}]"
    endpoint = "Name the endpoint itself, without asking Pulumi's backend; on Kubernetes NAMESPACE/NAME."
    context = "The kubeconfig's context of --endpoint on Kubernetes. The default is the current one."
    return [
        click.Option(["--stack"], help=stack, **told),
        click.Option(["--endpoint"], help=endpoint, **told),
        click.Option(["--region"], help="The region of --endpoint on AWS. The default is AWS_REGION.", **told),
        click.Option(["--context"], help=context, **told),
    ]


class Command(click.Command):
    """A command that takes the group's options after its name too, as in `modelstack status --stack dev`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *_options()]

    def invoke(self, ctx: click.Context) -> Any:
        """Check that the options go together, and run."""
        for name in ("region", "context"):
            if getattr(ctx.obj, name) and not ctx.obj.endpoint:
                raise click.UsageError(f"--{name} goes with --endpoint; the {name} of a stack is one of its outputs")
        if ctx.obj.region and (ctx.obj.context or "/" in ctx.obj.endpoint):
            raise click.UsageError("--region is of an endpoint on AWS, and --context of one on Kubernetes: give one")
        return super().invoke(ctx)


class Group(click.Group):
    """Shows an OperatorError as a line, a hint and its exit code, or with --json as an object; never a traceback."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *_options()]

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; a failed write ends with a line and no traceback."""
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter tries once more
            say(f"Error: the output cannot be written: {error.strerror}", err=True)
            sys.exit(1)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Report a misplaced --json as JSON."""
        as_json = "--json" in args
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if not as_json:
                raise
            say(_document(_MISPLACED.get(error.option_name) or error.format_message(), None, error.exit_code))
            ctx.exit(error.exit_code)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and exit with its error's code."""
        ctx.obj = ctx.obj or TargetOptions()
        as_json = "--json" in ctx.args
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(130)  # as in a shell, and without a word: it is how a person leaves `watch`
        except OperatorError as error:
            if as_json:
                say(_document(str(error), error.hint, error.exit_code))
            else:
                show_error(Page(stderr=True, highlight=False, soft_wrap=True, emoji=False), error)
            sys.exit(error.exit_code)
        except click.UsageError as error:
            if not as_json:
                raise
            say(_document(error.format_message(), None, error.exit_code))
            sys.exit(error.exit_code)


def _document(error: str, hint: str | None, exit_code: int) -> str:
    return json.dumps({"error": error, "hint": hint, "exit_code": exit_code}, indent=2)
