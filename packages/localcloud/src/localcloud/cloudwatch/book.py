"""All alarms of one cloud: who defines them, which state they are in, and what follows from a change.

Every change is one transaction: definition or state, history, and the messages that it leads to. Composite alarms that
depend on a changed alarm change with it.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from localcloud.cloudwatch import history, notifications, outbox
from localcloud.cloudwatch.alarms import COMPOSITE_ALARM, INITIAL_REASON, METRIC_ALARM, Alarm, State, metric_alarm
from localcloud.cloudwatch.composite import Rule, parse_rule
from localcloud.cloudwatch.database import Database
from localcloud.cloudwatch.evaluation import ALARM, INSUFFICIENT_DATA, OK, Verdict, iso
from localcloud.cloudwatch.notifications import Transition
from localcloud.cloudwatch.outbox import Message, Outbox
from localcloud.server.platform import Clock


@dataclass
class _Change:
    """What one transaction writes, and what it makes of the alarms in memory."""

    alarms: dict[str, Alarm | None] = field(default_factory=dict)
    items: list[history.Item] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


class AlarmBook:
    """All alarms; the methods that change one are serialised."""

    def __init__(self, database: Database, box: Outbox, clock: Clock, region: str, account: str) -> None:
        self._database = database
        self._box = box
        self._clock = clock
        self._region = region
        self._account = account
        self._lock = asyncio.Lock()
        self._rules: dict[str, Rule] = {}
        self.alarms: dict[str, Alarm] = {}
        self.redefined: Callable[[str], None] = lambda _name: None
        """Called with the name of a metric alarm that was defined, redefined or deleted."""

    async def open(self) -> None:
        """Learn which alarms there are."""

        def load(connection: sqlite3.Connection) -> list[tuple[str, str, str, str, float]]:
            return connection.execute("select name, kind, definition, state, updated from alarm").fetchall()

        for name, kind, definition, state, updated in await self._database.read(load):
            self._install(name, self.make(kind, json.loads(definition), State(**json.loads(state)), updated))

    def arn(self, name: str) -> str:
        """The ARN of an alarm."""
        return f"arn:aws:cloudwatch:{self._region}:{self._account}:alarm:{name}"

    def make(
        self, kind: str, definition: dict[str, Any], state: State | None = None, now: float | None = None
    ) -> Alarm:
        """Make an alarm out of a request, without keeping it.

        Raises:
            CloudWatchError: The request does not make one.
        """
        now = self._clock.time() if now is None else now
        state = state or State(INSUFFICIENT_DATA, INITIAL_REASON, None, now, now)
        name = definition["AlarmName"]
        if kind == METRIC_ALARM:
            return metric_alarm(definition, self.arn(name), state, now)
        kept = {member: value for member, value in definition.items() if member != "Tags"}
        parse_rule(kept["AlarmRule"])
        return Alarm(name, COMPOSITE_ALARM, self.arn(name), kept, state, now)

    def parents(self, name: str) -> list[Alarm]:
        """Composite alarms whose rules ask about an alarm."""
        return [self.alarms[parent] for parent, rule in sorted(self._rules.items()) if name in rule.children]

    def children(self, name: str) -> list[Alarm]:
        """Alarms that a composite alarm's rule asks about."""
        rule = self._rules.get(name)
        return [self.alarms[child] for child in sorted(rule.children) if child in self.alarms] if rule else []

    async def define(self, alarm: Alarm) -> bool:
        """Keep an alarm; in place of one of its name it takes over that one's state. Returns whether it is new."""
        async with self._lock:
            previous = self.alarms.get(alarm.name)
            if previous is not None:
                alarm = replace(alarm, state=previous.state)
            operation = "Create" if previous is None else "Update"
            change = _Change({alarm.name: alarm}, [history.configured(alarm, operation, alarm.updated)])
            detail = notifications.configuration_detail(alarm, operation.lower(), previous)
            change.messages.append(self._event(alarm, notifications.CONFIGURATION_CHANGE, detail))
            await self._commit(change)
            if alarm.kind == COMPOSITE_ALARM:
                await self._commit(self._composites([alarm.name], ()))
        if alarm.kind == METRIC_ALARM:
            self.redefined(alarm.name)
        return previous is None

    async def delete(self, names: Iterable[str]) -> None:
        """Forget alarms; their history stays."""
        async with self._lock:
            change = _Change()
            now = self._clock.time()
            for name in names:
                alarm = self.alarms[name]
                change.alarms[name] = None
                change.items.append(history.configured(alarm, "Delete", now))
                detail = notifications.configuration_detail(alarm, "delete")
                change.messages.append(self._event(alarm, notifications.CONFIGURATION_CHANGE, detail))
            await self._commit(change)
        for name in change.alarms:
            self.redefined(name)

    async def enable_actions(self, names: Iterable[str], enabled: bool) -> None:
        """Switch the actions of alarms on or off."""
        async with self._lock:
            change = _Change()
            for name in names:
                alarm = self.alarms[name]
                if alarm.actions_enabled != enabled:
                    now = self._clock.time()
                    alarm = replace(alarm, definition={**alarm.definition, "ActionsEnabled": enabled}, updated=now)
                    change.alarms[name] = alarm
                    change.items.append(history.configured(alarm, "Update", now))
            await self._commit(change)

    async def decide(self, decided: Sequence[tuple[Alarm, Verdict]]) -> None:
        """Put alarms into the states that their evaluation came to; one that was redefined meanwhile is left alone."""
        async with self._lock:
            for alarm, verdict in decided:
                present = self.alarms.get(alarm.name)
                if present is not None and present.state is alarm.state and present.queries is alarm.queries:
                    await self._enter(present, verdict.state, verdict.reason, verdict.data)

    async def set_state(self, name: str, value: str, reason: str, data: str | None) -> None:
        """Put an alarm into a state until its next evaluation."""
        async with self._lock:
            await self._enter(self.alarms[name], value, reason, data)

    async def _enter(self, alarm: Alarm, value: str, reason: str, data: str | None) -> None:
        before, now = alarm.state, self._clock.time()
        moved = value != before.value
        state = State(value, reason, data, now, now if moved else before.transitioned)
        changed = replace(alarm, state=state)
        change = _Change({alarm.name: changed})
        if moved:
            self._announce(change, Transition(changed, before, self._account, self._region))
            follow = self._composites([parent.name for parent in self.parents(alarm.name)], (changed,))
            for name in follow.alarms:
                change.alarms[name] = follow.alarms[name]
            change.items += follow.items
            change.messages += follow.messages
        await self._commit(change)

    def _composites(self, names: Sequence[str], triggers: Sequence[Alarm]) -> _Change:
        """The changes of composite alarms, and of those that depend on them in turn; each changes once at most."""
        change = _Change({alarm.name: alarm for alarm in triggers})
        queue = [(name, triggers) for name in names]
        while queue:
            name, causes = queue.pop(0)
            if name in change.alarms:
                continue
            alarm = self.alarms[name]
            known = {**self.alarms, **{one: kept for one, kept in change.alarms.items() if kept is not None}}
            holds = self._rules[name].holds({child: one.state.value for child, one in known.items()})
            value = ALARM if holds else OK
            if value == alarm.state.value:
                continue
            now = self._clock.time()
            reason, data = _composite_reason(alarm, causes, now)
            changed = replace(alarm, state=State(value, reason, data, now, now))
            change.alarms[name] = changed
            self._announce(change, Transition(changed, alarm.state, self._account, self._region, causes))
            queue += [(parent.name, (changed,)) for parent in self.parents(name)]
        for trigger in triggers:
            del change.alarms[trigger.name]
        return change

    def _announce(self, change: _Change, transition: Transition) -> None:
        alarm = transition.alarm
        change.items.append(history.changed(alarm, transition.before))
        detail = notifications.state_change_detail(transition)
        change.messages.append(self._event(alarm, notifications.STATE_CHANGE, detail))
        if not alarm.actions_enabled:
            return
        for target in alarm.actions(alarm.state.value):
            if target.split(":")[2] == "sns":
                message = notifications.dumps(notifications.sns_message(transition))
                body = {"subject": notifications.subject(transition), "message": message}
                change.messages.append(self._message(alarm, outbox.SNS, target, body))
            else:
                body = notifications.lambda_event(transition)
                change.messages.append(self._message(alarm, outbox.LAMBDA, target, body))

    def _event(self, alarm: Alarm, detail_type: str, detail: dict[str, Any]) -> Message:
        return self._message(alarm, outbox.EVENT, detail_type, detail)

    def _message(self, alarm: Alarm, kind: str, target: str, body: dict[str, Any]) -> Message:
        return Message(0, alarm.name, alarm.kind, alarm.arn, kind, target, body, alarm.state.updated)

    async def _commit(self, change: _Change) -> None:
        """Write a change, then let it be seen, then send its messages."""

        def write(connection: sqlite3.Connection) -> list[Message]:
            for name, alarm in change.alarms.items():
                if alarm is None:
                    connection.execute("delete from alarm where name = ?", (name,))
                    continue
                row = (name, alarm.kind, json.dumps(alarm.definition), json.dumps(asdict(alarm.state)), alarm.updated)
                connection.execute("insert or replace into alarm values (?, ?, ?, ?, ?)", row)
            for item in change.items:
                history.insert(connection, item)
            return [replace(message, id=outbox.insert(connection, message)) for message in change.messages]

        if not (change.alarms or change.items or change.messages):
            return
        messages = await self._database.write(write)
        for name, alarm in change.alarms.items():
            self._install(name, alarm)
        for message in messages:
            self._box.send(message)

    def _install(self, name: str, alarm: Alarm | None) -> None:
        self._rules.pop(name, None)
        if alarm is None:
            self.alarms.pop(name, None)
            return
        self.alarms[name] = alarm
        if alarm.kind == COMPOSITE_ALARM:
            self._rules[name] = parse_rule(alarm.definition["AlarmRule"])


def _composite_reason(alarm: Alarm, causes: Sequence[Alarm], now: float) -> tuple[str, str]:
    if not causes:
        return f"{alarm.arn} was created and its alarm rule evaluated", '{"triggeringAlarms":[]}'
    told = [
        f"{cause.arn} transitioned to {cause.state.value} at "
        f"{datetime.fromtimestamp(now, UTC).strftime('%A %d %B, %Y %H:%M:%S')} UTC"
        for cause in causes
    ]
    triggering = [
        {"arn": cause.arn, "state": {"value": cause.state.value, "timestamp": iso(cause.state.updated)}}
        for cause in causes
    ]
    return ", ".join(told), json.dumps({"triggeringAlarms": triggering}, separators=(",", ":"))
