"""Carries the rollout on when nobody waits for it: a scheduled tick."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from monitoring.log import log
from platforms.aws.endpoint import clients, controller_with
from platforms.aws.handlers.settings import Context, Settings, seconds_left
from rollout.controller.commands import Commands
from rollout.controller.controller import Progress


def handler(event: object, context: Context | None) -> dict[str, Any]:
    """Do all that can be done now, and a little of what can be done soon."""
    settings = Settings.from_environment()
    commands = Commands.of_stack(settings.stack)
    rollout = controller_with(_clients(), settings.endpoint, settings.journal, topic=settings.topic, commands=commands)
    state = rollout.follow(seconds_left(context, most=20), poll=5, progress=_tell)
    return {"phase": state.phase.value, "rollout_id": state.rollout_id, "weights": dict(state.weights)}


def _tell(progress: Progress) -> None:
    shares = progress.live.shares() if progress.live else None
    log("tick", phase=progress.state.phase.value, step=progress.state.step, live=shares, doing=progress.doing)


_clients = lru_cache(clients)
