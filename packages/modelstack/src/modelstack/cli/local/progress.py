"""Shows the events of a Pulumi update as lines for a person."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.text import Text

from modelstack.cli.again import again
from modelstack.cli.local.stack import Stack
from modelstack.rollout.controller.commands import Commands
from modelstack.rollout.controller.notice import waiting

_POLL_S = 0.1
_DONE = {
    "create": ("+", "green", "created"),
    "create-replacement": ("+", "green", "created anew"),
    "update": ("~", "yellow", "updated"),
    "delete": ("-", "red", "deleted"),
    "delete-replaced": ("-", "red", "deleted, its successor is there"),
    "import": ("=", "cyan", "taken over"),
}
_REPEAT_S = 20.0  # how often a line says what is under way, or waited for, where no status line can
_ADVISE_S = 120.0  # how often it is said how to send what is waited for
_STILL_S = 25.0  # with requests on their way, what is waited for changes sooner: two windows of a local stack
_SEND = 'to send some, type in another shell: eval "$(make -s env)"; {modelstack} replay --rate 25'
_ADVICE: dict[str, str] = {
    waiting("requests"): _SEND,
    waiting("evidence"): _SEND,
    waiting("labels"): f"{_SEND} --labels-after 5",
}
_OURS = "pulumi-python:dynamic/modelstack:"
_NO_FAILURE = ("promoted", "running", "waiting", "held")  # rollout outcomes that are no failure of the update
_UNSEEN = ("pulumi:providers:", "pulumi:pulumi:Stack")
_NOISE = ("Duration:", "Resources:")


@dataclass
class UpdateOutcome:
    """How an update ended.

    Attributes:
        changes: What happened, such as `create` or `same` -> number of resources.
        errors: Messages of the engine or the program.
        interrupted: The interrupt that ended it; None without one.
    """

    code: int = 0
    changes: dict[str, int] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    interrupted: KeyboardInterrupt | None = None

    @property
    def changed(self) -> int:
        """Number of resources that changed."""
        return sum(number for kind, number in self.changes.items() if kind not in ("same", "read"))


class Follower:
    """Turns engine events into lines; `modelstack` is how a command on the stack begins."""

    def __init__(self, console: Console, status: Status, modelstack: str = "modelstack") -> None:
        self._modelstack = modelstack
        self.outcome = UpdateOutcome()
        self._console = console
        self._status = status
        self._began: dict[str, float] = {}
        self._waiting = ""
        self._told = self._advised = -math.inf
        self._printed = time.monotonic()
        self._lacking = ""
        self._since = math.inf  # when what is waited for last changed

    def event(self, event: dict[str, Any]) -> None:
        """Show one engine event."""
        if said := event.get("diagnosticEvent"):
            self._said(said)
        elif found := event.get("policyEvent"):
            self._forbidden(found)
        elif before := event.get("resourcePreEvent"):
            self._before(before["metadata"])
        elif after := event.get("resOutputsEvent"):
            self._after(after["metadata"])
        elif failed := event.get("resOpFailedEvent"):
            self._began.pop(failed["metadata"]["urn"], None)
        elif summary := event.get("summaryEvent"):
            self.outcome.changes = dict(summary.get("resourceChanges") or {})
        self.tick()

    def tick(self) -> None:
        """Show the running steps and their durations."""
        now = time.monotonic()
        busy = [f"{_title(urn)} ({now - since:.0f} s)" for urn, since in list(self._began.items())[:3]]
        more = len(self._began) - len(busy)
        doing = ", ".join(busy) + (f" and {more} more" if more else "") if busy else "working"
        doing = f"{doing}: {self._waiting}" if self._waiting else doing
        self._status.update(doing)
        if busy and not self._console.is_terminal and now - self._printed >= _REPEAT_S:
            self._told = now if self._waiting else self._told
            self._print(Text(_indented(doing, "·")))
        self._advise(now)

    def _print(self, line: Text) -> None:
        self._printed = time.monotonic()
        self._console.print(line)

    def _said(self, said: dict[str, Any]) -> None:
        text = "\n".join(line.rstrip() for line in str(said.get("message", "")).splitlines()).strip()
        severity = said.get("severity", "")
        if not text or severity == "debug":
            return
        if severity == "error":
            self.outcome.errors.append(text)
        elif said.get("ephemeral"):
            self._waits(text)
        else:
            self._told = -math.inf  # what is waited for next is news
            style = "yellow" if severity == "warning" else ""
            self._print(Text(_indented(text, "!" if severity == "warning" else "·"), style))

    def _forbidden(self, found: dict[str, Any]) -> None:
        """Keep mandatory violations; advice is left to `pulumi` itself and the log."""
        if found.get("enforcementLevel") == "mandatory":
            self.outcome.errors.append(f"policy {found['policyName']}: {str(found['message']).strip()}")

    def _waits(self, text: str) -> None:
        now = time.monotonic()
        if text != self._waiting:
            self._waiting, self._since = text, now
        lacking = _lacking(text)
        news, self._lacking = lacking not in {"", self._lacking}, lacking
        if not self._console.is_terminal and (news or now - self._told >= _REPEAT_S):
            self._told = now
            self._print(Text(_indented(text, "·")))

    def _advise(self, now: float) -> None:
        """Say how to send what is waited for, if it does not seem to come."""
        advice = _ADVICE.get(_lacking(self._waiting))
        if advice and now - self._since >= _STILL_S and now - self._advised >= _ADVISE_S:
            self._advised = now
            self._print(Text(_indented(advice.format(modelstack=self._modelstack), " ")))

    def _before(self, metadata: dict[str, Any]) -> None:
        if metadata["op"] in _DONE and not metadata["type"].startswith(_UNSEEN):
            self._began[metadata["urn"]] = time.monotonic()

    def _after(self, metadata: dict[str, Any]) -> None:
        since = self._began.pop(metadata["urn"], None)
        self._waiting = self._waiting if self._began else ""
        state = metadata.get("new") or metadata.get("old") or {}
        if since is None or not state.get("custom"):  # a component is created with its children
            return
        sign, style, verb = _DONE[metadata["op"]]
        if failed := _failed(metadata["type"], state.get("outputs") or {}):
            sign, style, verb = "x", "red", failed
        took = time.monotonic() - since
        self._print(
            Text.assemble(
                "  ",
                (sign, style),
                f" {_title(metadata['urn'])} {verb}",
                (f"  {took:.1f} s" if took >= 1 else "", "dim"),
            )
        )


def _failed(kind: str, outputs: Mapping[str, Any]) -> str:
    """How a resource of ours failed, by its outputs; empty if it did not.

    To the engine, a refused package or a rejected release is an updated resource. The program fails later.
    """
    if not kind.startswith(_OURS):
        return ""
    if outputs.get("refused"):
        return "not made"
    outcome = outputs.get("outcome")
    return str(outcome).replace("_", " ") if outcome and outcome not in _NO_FAILURE else ""


def _lacking(text: str) -> str:
    """The known beginning of a line that says what is missing; else empty."""
    return next((begin for begin in _ADVICE if text.startswith(begin)), "")


def follow(console: Console, stack: Stack, *words: str, log: Path) -> UpdateOutcome:
    """Run `pulumi WORDS` on a stack, with its output in `log`, and show its events until it ends.

    The first Ctrl-C lets the engine finish running steps, within limits; a second one ends it at once.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    talkative = replace(stack, environment={**stack.environment, "PULUMI_DEBUG_COMMANDS": "true"})
    with tempfile.TemporaryDirectory() as folder, log.open("w") as output, console.status("working") as status:
        events = Path(folder, "events.json")
        follower = Follower(console, status, Commands.of_stack(stack.name).modelstack)
        lines = _lines(events)
        outcome = follower.outcome

        def show() -> None:
            for line in iter(lines.__next__, None):
                follower.event(json.loads(line))
            follower.tick()

        try:
            with again(_POLL_S, show):
                done = talkative.pulumi(
                    *words, "--event-log", str(events), on_line=lambda line: print(line, file=output, flush=True)
                )
        except KeyboardInterrupt as stop:
            outcome.interrupted = stop
        else:
            outcome.code = done.code
        show()
    if outcome.code and not outcome.errors:
        outcome.errors.append(_last_words(log))
    return outcome


def _lines(events: Path) -> Iterator[str | None]:
    """Yield whole lines of a growing file, and None whenever there is none yet."""
    while not events.exists():
        yield None
    rest = ""
    with events.open() as file:
        while True:
            rest += file.readline()
            if rest.endswith("\n"):
                yield rest
                rest = ""
            else:
                yield None


def _last_words(log: Path) -> str:
    lines = [line.rstrip() for line in log.read_text().splitlines() if line.strip()]
    start = next((number for number, line in enumerate(lines) if line.startswith("error:")), max(len(lines) - 3, 0))
    return (
        "\n".join(line for line in lines[start:] if not line.startswith(_NOISE)).removeprefix("error: ")
        or "no reason given"
    )


def _title(urn: str) -> str:
    """A URN as type and name: `sagemaker Endpoint serving` for `aws:sagemaker/endpoint:Endpoint`."""
    kind, _, name = urn.rpartition("::")
    kind = kind.rpartition("::")[2].rpartition("$")[2]
    package, _, rest = kind.partition(":")
    module, _, type_name = rest.partition(":")
    module = module.partition("/")[0]
    short = type_name if package == "modelstack" or module in ("index", "dynamic") else f"{module} {type_name}"
    return f"{short} {name}"


def _indented(text: str, sign: str) -> str:
    return f"  {sign} " + text.replace("\n", "\n    ")
