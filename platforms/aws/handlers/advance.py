"""Carries the rollout on when nobody waits for it: a scheduled tick."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from monitoring.log import log
from platforms.aws.clients import clients
from platforms.aws.endpoint import controller_with
from platforms.aws.handlers.settings import Context, Settings, seconds_left
from rollout.controller.commands import Commands
from rollout.controller.controller import Progress

_FOLLOW_SECONDS = 20.0  # for which a call goes on, so that what can be done soon need not wait for the next


def handler(event: object, context: Context | None) -> dict[str, Any]:
    """Do all that can be done now, and a little of what can be done soon."""
    settings = Settings.from_environment()
    commands = Commands.of_stack(settings.stack)
    controller = controller_with(
        _clients(), settings.endpoint, settings.journal, topic=settings.topic, commands=commands
    )
    state = controller.follow(seconds_left(context, most=_FOLLOW_SECONDS), poll=5, progress=_tell)
    return {"phase": state.phase.value, "rollout_id": state.rollout_id, "weights": dict(state.weights)}


def _tell(progress: Progress) -> None:
    shares = progress.live.shares() if progress.live else None
    log("tick", phase=progress.state.phase.value, step=progress.state.step, live=shares, doing=progress.doing)


_clients = lru_cache(clients)
