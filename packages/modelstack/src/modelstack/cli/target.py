"""The endpoint that a command is about: `resolve` reads a stack's outputs; `named` works without Pulumi's backend."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from modelstack.cli.errors import UNKNOWN, OperatorError, explained
from modelstack.pipeline import project
from modelstack.rollout.controller.commands import Commands
from modelstack.services.platform_registry import DEFAULT

if TYPE_CHECKING:  # what is of AWS alone is loaded by who calls it
    import boto3
    from botocore.config import Config

LOCAL = "local"  # prefix of local stacks' names, and the stack of `make up`
LOCAL_CLUSTER = "local-kubernetes"  # the stack of `make up-kubernetes`
Made = TypeVar("Made")
_ASK_AGAIN_S = 60.0
_LONG_AGO = datetime.fromtimestamp(0, UTC)


class NoStack(OperatorError):
    """There is no such local stack: it was never up, or `make down` has removed it."""


_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
_STACK_NAME = re.compile(rf"({_PART}/){{0,2}}{_PART}")  # as Pulumi has it, with its organization and project or not


@dataclass
class _Creation:
    """Creation time of an endpoint, and when it was read (`time.monotonic`)."""

    at: datetime = _LONG_AGO
    asked: float = -math.inf


@dataclass(frozen=True)
class Target:
    """One stack's endpoint, its outputs, and AWS clients, with credentials from `keys` or else this process.

    `stack` is empty when the endpoint was named without it, `region` on other platforms than AWS.
    """

    stack: str
    endpoint: str
    region: str
    outputs: Mapping[str, Any]
    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    _made: dict[str, Any] = field(default_factory=dict[str, Any], init=False, repr=False, compare=False)

    @property
    def commands(self) -> Commands:
        """Command lines for this endpoint."""
        return commands_of(self.stack, self.endpoint, self.region, self.namespace, self.context)

    @property
    def platform(self) -> str:
        """The name of its platform."""
        return str(self.outputs.get("platform") or DEFAULT)

    @property
    def has_journal(self) -> bool:
        """Whether it has a journal: on AWS from the first update on, elsewhere from the first release on."""
        return bool(self.outputs.get("journal_table") or self.outputs.get("champion"))

    @property
    def namespace(self) -> str:
        """Its namespace; empty on AWS."""
        return str(self.outputs.get("namespace") or "")

    @property
    def context(self) -> str:
        """The kubeconfig context of its cluster; empty on AWS."""
        return str(self.outputs.get("context") or "")

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """The cached result of `make` for this endpoint, such as a connection."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    @property
    def created(self) -> datetime:
        """Creation time of the endpoint, at most a minute stale; 1970 if unknown.

        Read repeatedly, as an endpoint may be recreated while a console runs. Without an answer, the last one holds.
        """
        known = self.once("creation", _Creation)
        if time.monotonic() - known.asked >= _ASK_AGAIN_S:
            with suppress(OperatorError), explained(f"reading endpoint {self.endpoint}"):
                answer = self.client("sagemaker").describe_endpoint(EndpointName=self.endpoint)
                known.at, known.asked = answer["CreationTime"], time.monotonic()
        return known.at

    @cached_property
    def _session(self) -> boto3.Session:
        import boto3  # noqa: PLC0415 - see above

        given = (self.keys.get(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
        return boto3.Session(*given, region_name=self.region)

    def client(self, service: str, config: Config | None = None) -> Any:
        """A boto3 client, by default with short time-outs, as a person waits; OperatorError on other platforms."""
        if self.platform != DEFAULT:
            raise unsupported(self)
        if config is not None:
            return self._session.client(service, config=config)
        from botocore.config import Config  # noqa: PLC0415 - see above

        patient = Config(connect_timeout=3, read_timeout=65, retries={"max_attempts": 3, "mode": "standard"})
        return self.once(service, lambda: self._session.client(service, config=patient))

    def output(self, name: str) -> str:
        """A required output; OperatorError if it is missing."""
        value = self.outputs.get(name)
        if not value and not self.stack:
            why = f"endpoint {self.endpoint} was named without its stack, whose output `{name}` this needs"
            raise OperatorError(why, "Give --stack, not --endpoint.", 2)
        if not value:
            raise OperatorError(f"stack {self.stack} has no output `{name}`", _bring_up(self.stack), UNKNOWN)
        return str(value)


def project_root() -> Path:
    """The project of the current folder; OperatorError outside one."""
    try:
        return project.project_root()
    except project.NoProject as error:
        raise OperatorError(str(error), "Go to the folder of a project, and try again.", 2) from None


def unsupported(target: Target) -> OperatorError:
    """The error of a command that does not work on the target's platform."""
    which = f"stack {target.stack}" if target.stack else f"endpoint {target.endpoint}"
    return OperatorError(f"{which} runs on {target.platform}, and this command does not work there", None, 2)


def commands_of(stack: str, endpoint: str, region: str, namespace: str = "", context: str = "") -> Commands:
    """Command lines for a stack, or for an endpoint that was named without one."""
    if stack:
        return Commands.of_stack(stack)
    return Commands.of_cluster(namespace, endpoint, context) if namespace else Commands.of_endpoint(endpoint, region)


def named(endpoint: str, region: str | None) -> Target:
    """An AWS endpoint by its own name; its outputs follow from the naming rules (`modelstack.platforms.aws.names`)."""
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise OperatorError(f"endpoint {endpoint}: no region is given", "Add --region, such as --region us-east-1.", 2)
    bare = Target(stack="", endpoint=endpoint, region=region, outputs={})
    with explained("asking AWS whose the credentials are"):
        arn = bare.client("sts").get_caller_identity()["Arn"]
    partition, account = arn.split(":")[1], arn.split(":")[4]
    outputs = {
        "endpoint_name": endpoint,
        "region": region,
        "package_group": endpoint,
        "artifact_bucket": f"{endpoint}-artifacts-{account}",
        "rollback_function": f"{endpoint}-rollback",
        "journal_table": f"{endpoint}-rollouts",
        "alerts_topic": f"arn:{partition}:sns:{region}:{account}:{endpoint}-alerts",
    }
    return Target(stack="", endpoint=endpoint, region=region, outputs=outputs)


def resolve(stack: str) -> Target:
    """Read a stack's outputs through the Pulumi CLI; OperatorError if it is not up."""
    target = if_up(stack)
    if target is None:
        raise OperatorError(f"stack {stack} exists but is not up", _bring_up(stack), UNKNOWN)
    return target


def if_up(stack: str) -> Target | None:
    """As `resolve`; None for a stack that is not up."""
    if not _STACK_NAME.fullmatch(stack):
        allowed = "letters, digits, `-`, `_` and `.`, and begins with a letter, a digit or `_`"
        hint = f"It holds {allowed}. With a backend that has organizations: ORGANIZATION/PROJECT/STACK."
        raise OperatorError(f"{stack!r} is not the name of a stack", hint, 2)
    return of_outputs(stack, _run_pulumi(stack, "stack", "output", "--stack", stack))


def of_outputs(stack: str, outputs: Mapping[str, Any]) -> Target | None:
    """The target of a stack's outputs; None when it is not up."""
    if not outputs.get("endpoint_name"):
        return None
    region = outputs.get("region") or ""
    if region and stack.startswith(LOCAL):
        _must_point_here(stack, "AWS_ENDPOINT_URL")
    return Target(stack, outputs["endpoint_name"], region, outputs)


def siblings(stack: str) -> list[str]:
    """The project's other stacks that have resources. Raises as `resolve`."""
    found = _run_pulumi(stack, "stack", "ls")
    names = [item["name"] for item in found if item.get("resourceCount")]
    return [name for name in names if name.rpartition("/")[2] != stack.rpartition("/")[2]]


def config_of(stack: str) -> dict[str, dict[str, Any]]:
    """Our sections of a stack's config, such as `model`. Raises as `resolve`."""
    told = _run_pulumi(stack, "config", "--stack", stack)
    ours = {name.partition(":")[2]: item for name, item in told.items() if name.startswith("modelstack:")}
    return {name: item["objectValue"] for name, item in ours.items() if "objectValue" in item}


def _run_pulumi(stack: str, *words: str) -> Any:
    """The JSON that a Pulumi command prints; errors name `stack`."""
    local = stack.startswith(LOCAL)
    if local:
        _must_point_here(stack, "PULUMI_BACKEND_URL")
    try:
        done = subprocess.run(
            ["pulumi", *words, "--json", "--non-interactive"],
            cwd=project_root(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except FileNotFoundError as error:
        hint = f"Type: {_here()}" if local else "Install the Pulumi CLI, or add its folder to PATH."
        raise OperatorError(f"stack {stack}: the pulumi command is not on PATH", hint, UNKNOWN) from error
    except subprocess.TimeoutExpired as error:
        raise OperatorError(f"pulumi did not answer within {error.timeout:.0f} s", exit_code=UNKNOWN) from error
    if done.returncode != 0:
        raise _refused_by_pulumi(
            stack, (done.stderr.strip().splitlines() or ["no reason given"])[-1].removeprefix("error: ")
        )
    return json.loads(done.stdout)


def _must_point_here(stack: str, variable: str) -> None:
    if not os.environ.get(variable):
        raise OperatorError(f"stack {stack}: this shell does not point at the local cloud", f"Type: {_here()}", UNKNOWN)


def _refused_by_pulumi(stack: str, reason: str) -> OperatorError:
    if "no stack named" in reason and stack.startswith(LOCAL):
        return NoStack(f"stack {stack} is not up", _bring_up(stack, new=True), UNKNOWN)
    if "PULUMI_ACCESS_TOKEN" in reason:
        hint = "Type `pulumi login`; see docs/how-to/aws.md."
        return OperatorError(f"stack {stack}: no Pulumi backend is chosen", hint, UNKNOWN)
    return OperatorError(f"stack {stack}: {reason}", "`pulumi stack ls` lists the stacks.", UNKNOWN)


def _bring_up(stack: str, *, new: bool = False) -> str:
    if stack in {LOCAL, LOCAL_CLUSTER} and project.has_makefile():
        return "Type: make up" if stack == LOCAL else "Type: make up-kubernetes"
    return f"Type: pulumi stack init {stack}; pulumi up --stack {stack}" if new else f"Type: pulumi up --stack {stack}"


def _here() -> str:
    """Points a shell at the local stack, from the current folder."""
    root, point = project_root(), project.cloud_commands()[1]
    return point if Path.cwd() == root else point.replace("make", f"make -C {shlex.quote(str(root))}")
