"""Options and error handling that all commands share."""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import click

from modelstack.cli.error_handling import show_error
from modelstack.cli.errors import UNKNOWN, WRONG_USE, OperatorError
from modelstack.cli.page import Page, say
from modelstack.cli.target import Target, named, resolve
from modelstack.rollout.controller.commands import DEFAULT_STACK

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
    from modelstack.cli.platform.kubernetes.cluster import named as named_there  # noqa: PLC0415 - it loads what asks a cluster

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
    """Shows every error in one form, as a line and a hint, or with --json as an object. Exit codes: docs/reference.

    An error that nobody expected has its traceback, and the exit code of what could not be found out: 1 always means
    that the answer is no.
    """

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *_options()]

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command with the target options."""
        ctx.obj = ctx.obj or TargetOptions()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(130)  # as in a shell, and without a word: it is how a person leaves `watch`

    def main(self, args: Sequence[str] | None = None, *rest: Any, **kwargs: Any) -> Any:
        """Run, and exit with the command's code or its error's."""
        words = sys.argv[1:] if args is None else list(args)
        try:
            try:
                sys.exit(super().main(words, *rest, **{**kwargs, "standalone_mode": False}) or 0)
            except click.Abort as error:
                if isinstance(error.__context__, KeyboardInterrupt):
                    sys.exit(130)
                _fail(OperatorError("nothing was done: the question was not answered with yes"), words)
            except click.ClickException as error:
                _fail(_of_click(error), words)
            except OperatorError as error:
                _fail(error, words)
        except OSError as error:
            if error.errno not in _FULL:
                _crash()
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter tries once more
            _fail(OperatorError(f"the output cannot be written: {error.strerror}", None, UNKNOWN), ())
        except Exception:
            _crash()


def _crash() -> NoReturn:
    traceback.print_exc()
    sys.exit(UNKNOWN)


def _fail(error: OperatorError, words: Sequence[str]) -> NoReturn:
    """Show an error and exit; --json among the words of the command line makes it an object on standard output."""
    if "--json" in words:
        say(json.dumps({"error": str(error), "hint": error.hint, "exit_code": error.exit_code}, indent=2))
    else:
        show_error(Page(stderr=True, highlight=False, soft_wrap=True, emoji=False), error)
    sys.exit(error.exit_code)


def _of_click(error: click.ClickException) -> OperatorError:
    """Click's error in our form: the words begin small, and the help is the hint."""
    words = error.format_message().rstrip(".")
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "modelstack"
    if isinstance(error, click.NoSuchOption) and command.count(" ") == 0:
        words = _MISPLACED.get(error.option_name, words)
    return OperatorError(words[:1].lower() + words[1:], f"Type: {command} --help", WRONG_USE)
