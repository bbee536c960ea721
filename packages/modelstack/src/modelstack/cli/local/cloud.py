"""The local cloud's process, and the environment variables that point at it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from localcloud import process
from localcloud.setup import PORT, UNSET, Places, SetupFailed, variables
from modelstack.cli.error_handling import show_error
from modelstack.cli.errors import OperatorError
from modelstack.cli.local.progress import UpdateOutcome, follow
from modelstack.cli.local.recovery import left, mend, recover
from modelstack.cli.local.stack import Stack
from modelstack.cli.local.yaml_file import read
from modelstack.cli.target import LOCAL, project_root


@dataclass(frozen=True)
class Local:
    """A checkout's local cloud and Pulumi backend."""

    places: Places
    project: str

    @classmethod
    def of(cls, root: Path | None = None) -> Local:
        """This checkout's local cloud, with the environment unchanged."""
        root = root or project_root()
        return cls(Places.of(root), str(read(root / "Pulumi.yaml")["name"]))

    @classmethod
    def here(cls, root: Path | None = None) -> Local:
        """This checkout's local cloud, at which this process points from now on; OperatorError without one."""
        local = cls.of(root)
        local.point()
        return local

    def point(self) -> None:
        """Point this process and its children at the local cloud."""
        try:
            wanted = variables(self.places)
        except SetupFailed as error:
            raise OperatorError(str(error), " ".join(error.advice)) from error
        for name in UNSET:
            os.environ.pop(name, None)
        os.environ.update(wanted)

    def start(self, console: Console) -> str:
        """Start the cloud unless it runs, print why if it had to be restarted, and return its URL."""
        environment = json.loads(self.places.record.read_text())["localcloud"]
        before = process.find(self.places.server_record.parent)
        with console.status("starting the local cloud"):
            said = self._cloud("start", "--port", self._port(), "--python", f"{environment}/bin/python")
        now = process.find(self.places.server_record.parent)
        if before is not None and now is not None and now.pid != before.pid:
            console.print(said, markup=False)
        self.point()
        return os.environ["AWS_ENDPOINT_URL"]

    def _port(self) -> str:
        """The requested port, else that of the last start, else the default."""
        try:
            started = urlsplit(json.loads(self.places.server_record.read_text())["url"]).port
        except (OSError, ValueError, KeyError):
            started = None
        return os.environ.get("LOCALCLOUD_PORT") or str(started or PORT)

    def require_free(self, name: str) -> None:
        """Raise OperatorError while an update of a stack is running."""
        left(name, self.places.backend, self.project)

    def ready(self, console: Console, stack: Stack) -> None:
        """Repair what an interrupted update of a stack left; see `recover`."""
        recover(stack, self.places.backend, self.project, lambda text: console.print(f"  {text}"))

    def follow(self, console: Console, stack: Stack, verb: str, log: str) -> UpdateOutcome:
        """Repair a stack, run `pulumi VERB` on it, and show progress and errors; OperatorError if it cannot start."""
        stack.written()
        self.ready(console, stack)
        console.print(f"stack {stack.name}: pulumi {verb}")
        words = (verb, "--yes", "--skip-preview", "--stack", stack.name, *stack.options())
        outcome = follow(console, stack, *words, log=self.places.logs / log)
        for text in dict.fromkeys(outcome.errors) if outcome.code and not outcome.interrupted else ():
            show_error(console, OperatorError(text))
        return outcome

    def stop(self) -> None:
        """Stop the cloud and its processes."""
        self._cloud("stop")

    def forget(self) -> None:
        """Delete the stopped cloud's data, but not root's keys: shells that have them work with the next cloud."""
        state = self.places.server_record.parent
        for path in state.iterdir() if state.is_dir() else ():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != "credentials":
                path.unlink(missing_ok=True)

    def stack_names(self) -> list[str]:
        """The local stacks in the backend."""
        mend(self.places.backend)
        listed = Stack("", root=self.places.root).pulumi("stack", "ls", "--json")
        if listed.code:
            raise OperatorError(f"the stacks cannot be listed: {listed.error}")
        return [item["name"] for item in json.loads(listed.output) if item["name"].startswith(LOCAL)]

    def stack(self, name: str) -> Stack:
        """A stack with the keys of its account; OperatorError if its file is malformed."""
        stack = Stack(name, root=self.places.root)
        return replace(stack, environment=keys(self.places, stack))

    def select(self, name: str) -> Stack:
        """Select a stack, and create it if needed; OperatorError if the backend refuses or its file is malformed."""
        stack = self.stack(name)
        words = ("select", name) if name in self.stack_names() else ("init", name)
        done = stack.pulumi("stack", *words)
        if done.code:
            raise OperatorError(f"stack {name}: {done.error}")
        return stack

    def _cloud(self, *words: str) -> str:
        """Run a command of the cloud and return its messages."""
        command = [sys.executable, "-m", "localcloud", words[0], "--state", str(self.places.server_record.parent)]
        done = subprocess.run(
            [*command, *words[1:]],
            cwd=self.places.root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["no reason given"]
            raise OperatorError(f"the local cloud: {said[-1].removeprefix('error: ')}")
        return done.stderr.strip()


ALLOWED = "aws:allowedAccountIds"  # Pulumi's AWS provider refuses the keys of every other account


def account_of(stack: Stack) -> str | None:
    """The account that a local stack's file allows, None for the cloud's own; OperatorError if it names several."""
    allowed = (stack.written().get("config") or {}).get(ALLOWED)
    if allowed is None:
        return None
    if not isinstance(allowed, list) or len(allowed) != 1:
        raise OperatorError(
            f"stack {stack.name}: {ALLOWED} is {allowed!r}; of a local stack, allowed is a list of one account, "
            "12 digits in quotes",
            exit_code=2,
        )
    return str(allowed[0])


def keys(places: Places, stack: Stack) -> dict[str, str]:
    """The variables with root's keys of a stack's account, empty for the cloud's own."""
    account = account_of(stack)
    if account is None:
        return {}
    try:
        return process.keys(places.server_record.parent, account)
    except OSError as error:
        raise OperatorError(f"stack {stack.name}: {ALLOWED}: {error}", exit_code=2) from error
