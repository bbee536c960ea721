"""The scheduled probe of the endpoint."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

from monitoring.log import log
from platforms.aws.clients import clients
from platforms.aws.handlers.settings import Context, HandlerSettings
from platforms.aws.invoke import SageMakerInvoke
from platforms.aws.journal import DynamoJournal
from platforms.aws.packages import Sealed, member
from platforms.aws.published import CloudWatchMetrics
from services import probe


def handler(event: object, context: Context | None) -> dict[str, Any]:
    """Probe the champion once and publish the outcome; without a champion do nothing."""
    settings = HandlerSettings.from_environment()
    champion = DynamoJournal(_clients(), settings.journal, settings.endpoint).read().champion
    if champion is None:
        return {"probed": False}
    outcome = probe.run(SageMakerInvoke(_once, settings.endpoint), champion, _member)
    log("probe", ok=outcome.ok, milliseconds=outcome.milliseconds, why=outcome.why)
    CloudWatchMetrics(_clients()("cloudwatch"), settings.endpoint).put(outcome.data(time.time()))
    return {"probed": True, "ok": outcome.ok}


_clients = lru_cache(clients)


@lru_cache(maxsize=2)
def _member(release: Sealed, name: str) -> bytes | None:
    return member(_clients(), release, name)


@lru_cache
def _once(service: str) -> Any:
    """A client that sends once: a second attempt would hide that the first one failed."""
    return clients(attempts=1, answer_within=20)(service)
