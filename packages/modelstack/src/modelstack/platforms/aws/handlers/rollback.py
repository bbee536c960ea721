"""Acts on alarms: rolls back a challenger, or a new champion within its watch time."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from modelstack.monitoring.log import log
from modelstack.platforms.aws.alarm_events import read
from modelstack.platforms.aws.clients import clients
from modelstack.platforms.aws.handlers.settings import Context, HandlerSettings, seconds_left
from modelstack.platforms.aws.handlers.worker import impatient_clients, worker_of

_ACT_SECONDS = 60.0  # for which one alarm's rollback is tried
_FOLLOW_SECONDS = 20.0  # for which what is left of a rollback is followed, once the endpoint has taken it


def handler(event: object, context: Context | None) -> dict[str, Any]:
    """Respond to every alarm in the event; raises if one could not be acted upon, so that it is delivered again."""
    worker = worker_of(HandlerSettings.from_environment(), _clients(), impatient_clients())
    answers = worker.answer(
        read(event),
        patience=lambda: seconds_left(context, most=_ACT_SECONDS),
        each=lambda answer: log("alarm", **answer.as_dict()),
    )
    if any(answer.action == "rolled back" for answer in answers):
        state = worker.controller.follow(seconds_left(context, most=_FOLLOW_SECONDS), poll=1)
        log("rollback", phase=state.phase.value, rollout_id=state.rollout_id, weights=dict(state.weights))
    return {"answers": [answer.as_dict() for answer in answers]}


_clients = lru_cache(clients)
