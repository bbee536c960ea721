"""Acts on alarms: takes a challenger back, or a new champion within its watch time.

A shared outage is left to the judge.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from monitoring.alarms.outage import Outage
from monitoring.alarms.response import Answer, respond
from monitoring.log import log
from platforms.aws.alarm_events import read
from platforms.aws.clients import clients
from platforms.aws.endpoint import SnsNotify, controller_with
from platforms.aws.handlers.settings import Context, Settings, seconds_left
from platforms.aws.journal import DynamoJournal
from platforms.aws.numbers import AlarmNumbers
from platforms.clock import SystemClock
from rollout.controller.commands import Commands
from rollout.controller.outbox import Outbox
from rollout.core.errors import RolloutError

_ACT_SECONDS = 60.0  # for which one alarm's rollback is tried
_FOLLOW_SECONDS = 20.0  # for which what is left of a rollback is followed, once the endpoint has taken it


def handler(event: object, context: Context | None) -> dict[str, Any]:
    """Answer every alarm in the event; raises when one could not be acted upon, so that it is delivered again."""
    settings, found = Settings.from_environment(), read(event)
    commands = Commands.of_stack(settings.stack)
    controller = controller_with(
        _clients(), settings.endpoint, settings.journal, by=settings.by, topic=settings.topic, commands=commands
    )
    outage = _outage(settings, commands)
    answers: list[Answer] = []
    failures: list[RolloutError] = []
    for alarm in found:
        try:
            patience = seconds_left(context, most=_ACT_SECONDS)
            answers.append(respond(alarm, settings.endpoint, controller, outage, patience=patience))
            log("alarm", **answers[-1].as_dict())
        except RolloutError as error:
            failures.append(error)
            log("alarm not handled", alarm=alarm, error=str(error))
    if failures:
        raise failures[0]
    if any(answer.action == "rolled back" for answer in answers):
        state = controller.follow(seconds_left(context, most=_FOLLOW_SECONDS), poll=1)
        log("rollback", phase=state.phase.value, rollout_id=state.rollout_id, weights=dict(state.weights))
    return {"answers": [answer.as_dict() for answer in answers]}


def _outage(settings: Settings, commands: Commands) -> Outage:
    """Over clients that give up soon: the question whether the champion fails too must not hold a rollback up."""
    make = _impatient_clients()
    notify = SnsNotify(make, settings.topic, settings.endpoint, commands) if settings.topic else None
    journal = DynamoJournal(make, settings.journal, settings.endpoint, settings.by)
    return Outage(AlarmNumbers(make, settings.endpoint).read, Outbox(journal, notify, SystemClock()))


_clients = lru_cache(clients)


@lru_cache
def _impatient_clients() -> Any:
    return clients(attempts=2, answer_within=3)
