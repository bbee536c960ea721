"""Shows an endpoint's retraining, and sends actions to it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import Target
from modelstack.cli.view.releases import journal_state
from modelstack.cli.view.times import when
from modelstack.monitoring.retraining.record import Candidate, Phase, RetrainingRecord, standing, waiting
from modelstack.records.audit.chain import UNKNOWN
from modelstack.rollout.controller.commands import Commands
from modelstack.rollout.core.state import RolloutState

ACTIONS = ("start", "approve", "decline", "stop", "forget")
_SHOWN = 10


@dataclass(frozen=True)
class Retraining:
    """The state of an endpoint's retraining.

    Attributes:
        counts: The candidate whose training window the next release uses; None for the config's own.
        waits: The candidate that the next update would put on trial; None without one.
        on: Whether the stack has the retraining function.
        fate: What became of the newest candidate that does not wait; empty without one.
    """

    record: RetrainingRecord
    counts: Candidate | None
    waits: Candidate | None
    on: bool = True
    fate: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        counts, waits = (asdict(one) if one else None for one in (self.counts, self.waits))
        record: dict[str, Any] = json.loads(self.record.to_json())
        held = {**record["held"], "text": self.record.held.text} if self.record.held else None
        history = [entry.as_dict() for entry in self.record.history]
        seen = {"counts": counts, "waits": waits, "on": self.on, "fate": self.fate}
        return {**record, "held": held, "history": history, **seen}


def look(target: Target) -> Retraining:
    """Read a stack's retraining; OperatorError if the table does not answer or is malformed."""
    state = journal_state(target)
    record, on = platform_of(target).retraining()
    champion, challenger = (release.id if release else "" for release in (state.champion, state.challenger))
    counts = standing(record, state.rejected, champion)
    waits = waiting(record, state.rejected, champion, challenger)
    if state.restored is not None:  # what was retrained does not count until that is lifted, as the program has it
        held = waits and (
            f"{waits.release}, trained on data to {waits.through}, is not released while release "
            f"{state.restored.release} is restored; to lift that: {target.commands.lift}"
        )
        return Retraining(record, None, None, on, held or fate(record, state))
    return Retraining(record, counts, waits, on, "" if waits else fate(record, state))


def fate(record: RetrainingRecord, state: RolloutState) -> str:
    """What became of the newest candidate; empty without one."""
    newest = record.accepted[0].release if record.accepted else ""
    if not newest:
        return ""
    if state.challenger is not None and state.challenger.id == newest:
        return f"{newest} is on trial"
    if state.champion is not None and state.champion.id == newest:
        return f"{newest} serves"
    if newest in state.rejected:
        return f"{newest} was rejected: {state.rejected[newest].reason.text}"
    if record.accepted[0].served:
        return f"{newest} has served before"
    return f"{newest} does not count any more: it was held against {record.accepted[0].champion}, which serves no more"


def ask(target: Target, action: str, reason: str) -> str:
    """Send an action (one of `ACTIONS`) with a reason; returns a sentence with the result, OperatorError if refused."""
    return platform_of(target).retrain(action, f"{platform_of(target).caller() or UNKNOWN}: {reason}")


def line(seen: Retraining, commands: Commands) -> str:
    """One line for `modelstack status`; empty when nothing is going on or waiting."""
    if seen.record.phase is not Phase.IDLE:
        return doing(seen, commands)
    if seen.waits:
        return f"candidate {waits(seen, commands)}"
    return seen.record.held.text if seen.record.held else ""


def waits(seen: Retraining, commands: Commands) -> str:
    """What the next update would put on trial, in one line."""
    if seen.waits is None:
        return "no candidate waits" + (f": {seen.fate}" * bool(seen.fate))
    return f"{seen.waits.release} waits, trained on data to {seen.waits.through}; {_up(commands)}"


def told(seen: Retraining, commands: Commands) -> RenderableType:
    """The retraining for a person."""
    record = seen.record
    head = Table.grid(padding=(0, 2))
    head.add_row("retraining", doing(seen, commands))
    if record.held:
        head.add_row("held", record.held.text)
    if seen.waits:
        head.add_row("waits", f"{seen.waits.release}, data to {seen.waits.through}; {_up(commands)}")
    if seen.fate:
        head.add_row("newest", seen.fate)
    since = f"data to {seen.counts.through}, by {seen.counts.release}" if seen.counts else "that of the config"
    head.add_row("window", since)
    rows = Table.grid(padding=(0, 2))
    for entry in record.history[-_SHOWN:]:
        rows.add_row(Text(when(entry.at), "dim"), entry.day, entry.text)
    return Group(head, *([Text(), rows] if record.history else []))


def _up(commands: Commands) -> str:
    return f"type: {commands.pulumi_up}"


def doing(seen: Retraining, commands: Commands) -> str:
    """The current activity, and what a person must answer."""
    record = seen.record
    if not seen.on:
        was = f"; when it was switched off, {record.job} was training" if record.job else ""
        return f"off: nothing new is trained (modelstack:retraining.enabled){was}"
    why = record.trigger.why if record.trigger else ""
    if record.stopping:
        return f"{record.job} is being stopped: {record.stopping}"
    if record.phase is Phase.TRAINING:
        return f"{record.job} trains on data to {record.through}: {why}"
    if record.phase is Phase.ASKING:
        answer = f'type: {commands.modelstack} retrain approve --reason "...", or decline --reason "..."'
        return f"waits for a person: {why}; {answer}"
    return "idle"
