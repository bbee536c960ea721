"""The output of a story of several stacks: what is done next, what was observed, and whether it went as it should."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from demos.promotion import documents
from demos.promotion.account_session import AccountSession
from modelstack.cli.errors import OperatorError
from modelstack.cli.local.cloud import Local
from modelstack.cli.local.stack import Done, Stack
from modelstack.cli.local.up import UpdateFailed

RATE = 25  # requests a second: enough for a verdict within a minute, little enough for a laptop
_PATIENCE_S = 120.0  # until the audit record is put away, which the advance function does once a minute by itself


@dataclass
class DemoOutput:
    """Shows a story on a console, and keeps what was checked.

    Attributes:
        console: Where it is shown.
        local: Where the stacks are.
        checks: What should have been, and whether it was.
    """

    console: Console
    local: Local
    checks: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])

    def title(self, title: str, detail: str) -> None:
        """Say what comes next."""
        self.console.print(f"\n[bold]{title}[/bold]")
        self.console.print(f"  {detail}", markup=False)

    def say(self, text: str) -> None:
        """Show a line."""
        self.console.print(text, markup=False, soft_wrap=True)

    def check(self, text: str, held: bool) -> None:
        """Keep whether something is as it should be. What is asked again must hold each time."""
        self.checks.append((text, held))

    def verdict(self) -> bool:
        """Show what was checked; whether all of it held."""
        found: dict[str, bool] = {}
        for text, held in self.checks:
            found[text] = found.get(text, True) and held
        self.console.print()
        for text, held in found.items():
            self.console.print(f"  [{'green]yes' if held else 'red]NO '}[/] {text}")
        return all(found.values())

    def idle(self, place: AccountSession) -> bool:
        """Whether nothing serves on a stack; what serves is told, and what an update left behind is put right."""
        champion = place.stack.outputs().get("champion")
        if champion:
            self.local.ready(self.console, place.stack)
            self.say(f"  {place.stack.name} serves {champion} already")
        return not champion

    def up(self, place: AccountSession, stack: Stack | None = None) -> str:
        """Run `pulumi up` and show how it goes; returns what the CLI printed.

        Raises:
            UpdateFailed: It failed; what it said has been shown.
        """
        log = f"{place.stack.name}.log"
        outcome = self.local.follow(self.console, stack or place.stack, "up", log)
        if outcome.interrupted:
            raise outcome.interrupted
        if outcome.code:
            raise UpdateFailed(f"the update of {place.stack.name} failed", exit_code=outcome.code)
        return (self.local.places.logs / log).read_text()

    def trial(self, place: AccountSession, stack: Stack | None = None, *, version: int = 2) -> None:
        """Run `pulumi up` with requests on the endpoint, and see whether it ends with another champion.

        Args:
            place: Where.
            stack: The stack with another config.
            version: Which version is on trial.

        Raises:
            UpdateFailed: As `up`.
        """
        before = place.stack.outputs()["champion"]
        with place.background("replay", "--rate", str(RATE), "--json") as lines:
            self.up(place, stack)
        answered = json.loads("\n".join(lines) or '{"error": "the replay printed nothing"}')
        if "error" in answered:
            raise OperatorError(answered["error"], answered.get("hint"))
        self.say(f"  {answered['sent']:,} requests were sent meanwhile, {answered['failed']:,} failed")
        after = place.stack.outputs()["champion"]
        self.check(f"{place.name} promoted version {version} after a trial of its own", after != before)
        self.check(f"no request to {place.name} failed meanwhile", answered["sent"] > 0 and not answered["failed"])

    def typed(self, place: AccountSession, *words: str, keys: Mapping[str, str] | None = None) -> Done:
        """Run `modelstack --stack STACK WORDS`, and show the command and what it said."""
        self.say(f"  $ modelstack --stack {place.stack.name} {shlex.join(words)}")
        done = place.modelstack(*words, keys=keys)
        for line in done.output.rstrip().splitlines():
            self.say(f"    {line}")
        return done

    def audit(self, place: AccountSession) -> None:
        """Let the advance function put away what waits to be recorded, and verify the record."""
        end = time.monotonic() + _PATIENCE_S
        while place.read("audit", "verify")["waiting"] and time.monotonic() < end:
            place.client("lambda").invoke(FunctionName=f"{place.stack.outputs()['endpoint_name']}-advance")
        verified = self.typed(place, "audit", "verify")
        self.check(f"the audit record of {place.name} is as it was written", verified.code == 0)

    def documents(self, place: AccountSession, digest: str, folder: Path) -> None:
        """Put what a stack has said of a package into a folder, and see whether all of it is signed."""
        documents.collect(place, digest, folder)
        keys = [node for node in place.read("lineage", digest)["nodes"] if node["kind"] == "key"]
        signed = any(node["facts"]["verified"] for node in keys)
        self.check(f"what {place.name} says of version 2 is signed with its key", signed)
