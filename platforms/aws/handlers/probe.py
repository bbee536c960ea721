"""Probes the endpoint, and counts whether it answered: a scheduled run."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

from monitoring.log import log
from platforms.aws.clients import clients
from platforms.aws.handlers.settings import Context, Settings
from platforms.aws.invoke import SageMakerInvoke
from platforms.aws.journal import DynamoJournal
from platforms.aws.metrics import datum, place, put
from platforms.aws.packages import member
from rollout.core.release import Release
from services import probe


def handler(event: object, context: Context | None) -> dict[str, Any]:
    """Probe once. Before the first release nothing is requested, and nothing counted.

    Raises:
        UnreadableSample: The champion's package has no request to probe with.
        DigestMismatch: The champion's package is not the one that was sealed.
    """
    settings = Settings.from_environment()
    champion = DynamoJournal(_clients(), settings.journal, settings.endpoint).read().champion
    if champion is None:
        return {"probed": False}
    outcome = probe.run(SageMakerInvoke(_once, settings.endpoint), champion.variant, _sample(champion))
    log("probe", ok=outcome.ok, milliseconds=outcome.milliseconds, why=outcome.why)
    _count(settings.endpoint, outcome)
    return {"probed": True, "ok": outcome.ok}


def _count(endpoint: str, outcome: probe.Outcome) -> None:
    now = time.time()
    data = [datum(name, place(endpoint), [value], unit, now) for name, value, unit in outcome.metrics()]
    put(_clients()("cloudwatch"), data)


@lru_cache(maxsize=2)
def _sample(champion: Release) -> bytes:
    """The request in the champion's package, which is read once a champion."""
    return probe.sample(member(_clients(), champion, probe.SAMPLE))


_clients = lru_cache(clients)


@lru_cache
def _once(service: str) -> Any:
    """A client that sends once: a second attempt would hide that the first one failed."""
    return clients(attempts=1, answer_within=20)(service)
