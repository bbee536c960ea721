"""What the advance function checks: that the endpoint answers, and that the stack's other functions can run."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

from modelstack.monitoring.log import log
from modelstack.platforms.aws.clients import clients
from modelstack.platforms.aws.functions import missing
from modelstack.platforms.aws.handlers.settings import HandlerSettings
from modelstack.platforms.aws.invoke import SageMakerInvoke
from modelstack.platforms.aws.journal import DynamoJournal
from modelstack.platforms.aws.packages import Sealed, member
from modelstack.platforms.aws.published import CloudWatchMetrics
from modelstack.rollout.core.release import Release
from modelstack.services import probe

_FUNCTIONS_MINUTES = 5
"""The time between two checks of the functions."""
_AGAIN_SECONDS = 60
"""An update may be creating what is missing."""


class NotRunning(RuntimeError):
    """A function of the stack does not run."""


def watch(settings: HandlerSettings, now: float) -> None:
    """Do the checks that are due in the minute of `now`, epoch seconds; without a champion none is.

    Raises `NotRunning` where what runs the functions is missing, and still is a minute later.
    """
    minute = int(now // 60)
    probes, functions = (_due(minute, every) for every in (settings.probe_minutes, _FUNCTIONS_MINUTES))
    if not probes and not functions:
        return
    champion = DynamoJournal(_clients(), settings.journal, settings.endpoint).read().champion
    if champion is None:
        return
    if probes:
        _probe(settings, champion)
    if functions and settings.topic and _missing(settings):
        time.sleep(_AGAIN_SECONDS)
        if gone := _missing(settings):
            raise NotRunning(f"{'; '.join(gone)}; `pulumi up --refresh` makes them again")


def _due(minute: int, every: int) -> bool:
    return every > 0 and minute % every == 0


def _missing(settings: HandlerSettings) -> tuple[str, ...]:
    return missing(_clients(), settings.endpoint, settings.topic or "")


def _probe(settings: HandlerSettings, champion: Release) -> None:
    outcome = probe.run(SageMakerInvoke(_once, settings.endpoint), champion, _member)
    log("probe", ok=outcome.ok, milliseconds=outcome.milliseconds, why=outcome.why)
    CloudWatchMetrics(_clients()("cloudwatch"), settings.endpoint).put(outcome.data(time.time()))


_clients = lru_cache(clients)


@lru_cache(maxsize=2)
def _member(release: Sealed, name: str) -> bytes | None:
    return member(_clients(), release, name)


@lru_cache
def _once(service: str) -> Any:
    """A client that sends once: a second attempt would hide that the first one failed."""
    return clients(attempts=1, answer_within=20)(service)
