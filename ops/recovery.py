"""What did an interrupted update leave behind, and how is it put right?"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ops.errors import OperatorError
from ops.stack import Stack

# Types whose create refuses a name that exists, and the input that holds the name, which is their id as well. The
# creates of all other types may be repeated.
_NAMED = {
    "aws:dynamodb/table:Table": "name",
    "aws:ecr/repository:Repository": "name",
    "aws:iam/role:Role": "name",
    "aws:kms/alias:Alias": "name",
    "aws:lambda/function:Function": "name",
    "aws:cloudwatch/logGroup:LogGroup": "name",
    "aws:s3/bucket:Bucket": "bucket",
    "aws:sagemaker/endpoint:Endpoint": "name",
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": "name",
    "aws:sagemaker/model:Model": "name",
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": "modelPackageGroupName",
}


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


def locks(backend: Path, project: str, stack: str) -> Iterator[Lock]:
    """Read the locks on a stack."""
    for file in (backend / ".pulumi" / "locks" / "organization" / project / stack).glob("*.json"):
        try:
            content = json.loads(file.read_text())
            yield Lock(int(content["pid"]), str(content["hostname"]))
        except (OSError, ValueError, KeyError):
            continue  # it has just gone, or is being written


def mend(backend: Path) -> list[Path]:
    """Remove files that a killed CLI left half-written: the backend writes `.attrs` in place, and lives without them.

    Returns:
        What was removed.
    """
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


def recover(stack: Stack, backend: Path, project: str, say: Callable[[str], None]) -> None:
    """Make a stack ready for an update, whatever ended the last one.

    A lock of an ended process is taken away. An operation that was cut off is looked up in the cloud: what it had made
    comes into the state.

    Args:
        stack: The stack.
        backend: The folder of its file backend.
        project: The Pulumi project's name.
        say: Told what was found.

    Raises:
        OperatorError: Another update is at work, or the state cannot be put right.
    """
    held = list(locks(backend, project, stack.name))
    for lock in held:
        if not lock.stale:
            raise OperatorError(
                f"another update is at work on stack {stack.name} (process {lock.pid} on {lock.host})",
                f"Wait for it, or stop it with `kill -INT {lock.pid}`.",
            )
    if held:
        say(f"the last update of stack {stack.name} was cut off; taking its lock away")
        _must(stack.pulumi("cancel", "--yes", "--stack", stack.name), f"taking the lock of stack {stack.name} away")
    pending = _pending(stack)
    if pending:
        say(f"{len(pending)} operations were cut off; looking up what they did")
        words = refresh_words(pending)
        _must(stack.pulumi(*words, "--stack", stack.name), f"refreshing stack {stack.name}")


def refresh_words(pending: list[dict[str, Any]]) -> list[str]:
    """The `pulumi refresh` that settles pending operations: creates are looked up by name where a name decides."""
    words = ["refresh", "--yes", "--skip-preview"]
    for operation in pending:
        resource = operation["resource"]
        name = _NAMED.get(resource["type"])
        if operation["type"] == "creating" and name and resource.get("inputs", {}).get(name):
            flag = "--import-pending-creates"  # once for the URN, and once for the id
            words += [flag, resource["urn"], flag, resource["inputs"][name]]
    return [*words, "--clear-pending-creates"]


def _pending(stack: Stack) -> list[dict[str, Any]]:
    exported = stack.pulumi("stack", "export", "--stack", stack.name)
    if exported.code:
        return []
    return json.loads(exported.output)["deployment"].get("pending_operations") or []


def _must(done: Any, what: str) -> None:
    if done.code:
        raise OperatorError(f"{what} failed: {done.error}", "`make down` and then `make up` begin anew.")
