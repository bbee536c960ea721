"""Detects and repairs what an interrupted update left behind."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from modelstack.cli.errors import OperatorError
from modelstack.cli.local.stack import Stack

# Types whose create refuses a name that exists, and the input that holds the name, which is their id as well. The
# creates of all other types may be repeated.
_NAMED = {
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": "alarmName",
    "aws:cloudwatch/logGroup:LogGroup": "name",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "name",
    "aws:dynamodb/table:Table": "name",
    "aws:ecr/repository:Repository": "name",
    "aws:iam/role:Role": "name",
    "aws:lambda/function:Function": "name",
    "aws:lambda/permission:Permission": "statementId",
    "aws:s3/bucket:Bucket": "bucket",
    "aws:sagemaker/endpoint:Endpoint": "name",
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": "name",
    "aws:sagemaker/model:Model": "name",
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": "modelPackageGroupName",
    "aws:scheduler/schedule:Schedule": "name",
}

_ASK_TWICE = (
    "modelstack.cli.local.",
    "demos.",
)  # prefixes of the modules that start the engine for a person, and stop it


@dataclass(frozen=True)
class Lock:
    """An update's lock on a stack in a file backend."""

    pid: int
    host: str

    @property
    def stale(self) -> bool:
        """Whether its holder was a process of this machine that has ended."""
        if self.host != socket.gethostname():
            return False
        try:
            holder = psutil.Process(self.pid)
            return holder.status() == psutil.STATUS_ZOMBIE or "pulumi" not in holder.name()
        except psutil.NoSuchProcess:
            return True

    @property
    def stop(self) -> str:
        """The command that stops its holder. The engine finishes a long step unless it is signalled twice.

        `make up` and `make pipeline` signal twice themselves, so they are named if one started the engine.
        """
        try:
            parents = psutil.Process(self.pid).parents() if self.host == socket.gethostname() else []
            ours = [one.pid for one in parents if any(word.startswith(_ASK_TWICE) for word in one.cmdline())]
        except psutil.Error:
            ours = []
        if ours:
            return f"kill -INT {ours[0]}"
        return f"kill -INT {self.pid}, and the same again where a step of it takes long"


def locks(backend: Path, project: str, stack: str) -> Iterator[Lock]:
    """The locks on a stack."""
    for file in (backend / ".pulumi" / "locks" / "organization" / project / stack).glob("*.json"):
        try:
            content = json.loads(file.read_text())
            yield Lock(int(content["pid"]), str(content["hostname"]))
        except (OSError, ValueError, KeyError):
            continue  # it has just gone, or is being written


def mend(backend: Path) -> list[Path]:
    """Remove files that a killed CLI left half-written, and return them. The backend works without `.attrs` files."""
    removed = []
    for file in (backend / ".pulumi").rglob("*.attrs"):
        try:
            json.loads(file.read_text())
        except ValueError:
            file.unlink()
            removed.append(file)
        except OSError:
            continue  # it has just gone
    return removed


def left(stack: str, backend: Path, project: str) -> list[Lock]:
    """Stale locks on a stack; OperatorError if another update is running."""
    held = list(locks(backend, project, stack))
    for lock in held:
        if not lock.stale:
            raise OperatorError(
                f"another update is at work on stack {stack} (process {lock.pid} on {lock.host})",
                f"Wait for it, or stop it: {lock.stop}",
            )
    return held


def recover(stack: Stack, backend: Path, project: str, say: Callable[[str], None]) -> None:
    """Make a stack ready for an update, however the last one ended; OperatorError if that fails or one is running.

    Removes stale locks, and imports into the state what a cut-off operation had created in the cloud.
    """
    held = left(stack.name, backend, project)
    if held:
        say(f"the last update of stack {stack.name} was cut off; taking its lock away")
        _must(stack.pulumi("cancel", "--yes", "--stack", stack.name), f"taking the lock of stack {stack.name} away")
    exported = stack.pulumi("stack", "export", "--stack", stack.name)
    if exported.code:
        return  # a stack that was never updated
    state = json.loads(exported.output)
    pending = state["deployment"].get("pending_operations") or []
    if pending:
        say("looking up what the last update was at when it was cut off")
        what = f"putting stack {stack.name} right"
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(settled(state), file)
            file.flush()
            _must(stack.pulumi("stack", "import", "--force", "--file", file.name, "--stack", stack.name), what)
        _must(stack.pulumi("refresh", "--yes", "--skip-preview", "--stack", stack.name), what)


def settled(state: dict[str, Any]) -> dict[str, Any]:
    """A stack's exported state without pending operations.

    A pending create becomes a resource if its name determines its id; a refresh then reads or drops it.
    `pulumi refresh --import-pending-creates` (3.274) only forgets the operation.
    """
    deployment = dict(state["deployment"])
    resources = list(deployment.get("resources") or [])
    known = {resource["urn"] for resource in resources}
    for operation in deployment.pop("pending_operations", None) or []:
        resource = operation["resource"]
        identity = resource.get("inputs", {}).get(_NAMED.get(resource["type"], ""))
        if operation["type"] == "creating" and isinstance(identity, str) and resource["urn"] not in known:
            resources.append({**resource, "id": identity, "outputs": resource["inputs"]})
    deployment["resources"] = resources
    return {**state, "deployment": deployment}


def _must(done: Any, what: str) -> None:
    if done.code:
        raise OperatorError(f"{what} failed: {done.error}", "`make down` and then `make up` begin anew.")
